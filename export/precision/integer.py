"""fp32 graph -> int8 graph with Q/DQ pairs, by ONNX Runtime's static quantisation.

For the CPU: activations uint8 with a zero point, weights int8 per channel in 7 bits. On x86 the engine multiplies
uint8 by int8 and nothing else fast (signed activations run no faster than fp32), and without VNNI it adds two products
in 16 bits: 2 * 255 * 64 just fits, 2 * 255 * 127 would saturate unnoticed. A bundle travels, so seven bits it is.

For TensorRT: int8 on both sides, symmetric, no quantised bias, and pairs before products only: the builder fuses what
stands between a product and the next pair.

Measured on a CPU with VNNI, one thread, real recordings: the locator takes 0.3 of the time of fp32 (nearly all of it
is convolutions), the scorer 0.8 to 0.85 (two fifths are products; exact pooling and arithmetic on time stay fp32).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.backends.onnxruntime.session import import_onnxruntime
from punctum.runtime.errors import PunctumError

from ._onnx import View, finish, load
from .half import FEWEST

if TYPE_CHECKING:
    from onnx import ModelProto

PRODUCTS = ("Conv", "Gemm", "MatMul")
Style = Literal["cpu", "tensorrt"]
Feed = dict[str, npt.NDArray[Any]]


def to_int8(graph: bytes, feeds: Sequence[Feed], *, style: Style, name: str = "the graph") -> bytes | None:
    """The int8 graph, its ranges measured on `feeds`; None where no product has FEWEST weights.

    Raises InputError for bytes that are no ONNX graph; PunctumError where ONNX Runtime cannot quantise it.
    """
    import_onnxruntime("quantizing")
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = load(graph, name)
    chosen = _number(model)
    if not chosen:
        return None
    signed = style == "tensorrt"
    # A Gemm gives fp32 anyway, and a pair behind one costs precision and time. A MatMul needs its own: without, the
    # engine folds the Add behind it into a Gemm before it looks for pairs, and runs that in fp32, five times slower.
    bare = PRODUCTS if signed else ("Gemm",)
    options: dict[str, Any] = {
        "ActivationSymmetric": signed,
        "WeightSymmetric": True,
        "QuantizeBias": not signed,
        "MatMulConstBOnly": True,
        "OpTypesToExcludeOutputQuantization": list(bare),
    }
    with tempfile.TemporaryDirectory() as folder, _quiet():
        out = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                model,
                out,
                _Reader(_fitted(model, feeds)),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(PRODUCTS),
                nodes_to_quantize=chosen,
                per_channel=True,
                reduce_range=not signed,
                activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options=options,
            )
        except Exception as error:
            raise PunctumError(
                "quantise-failed",
                f"ONNX Runtime cannot quantise {name}: {failure_text(error)}",
                "a graph of convolutions and matrix products",
                "leave int8 out, or report this",
            ) from error
        made = load(out.read_bytes(), name)
    made.producer_name, made.producer_version, made.doc_string = "punctum", "", ""
    return finish(made)


def _number(model: ModelProto) -> list[str]:
    """Give every node a name of its own, and return those of the products with weights enough to gain."""
    view = View(model)
    chosen = []
    for k, node in enumerate(view.nodes):
        node.name = f"{node.op_type}_{k}"
        weights = [view.constants[name] for name in node.input[1:2] if name in view.constants]
        if node.op_type in PRODUCTS and weights and np.prod(weights[0].dims) >= FEWEST and view.is_float(node.input[0]):
            chosen.append(node.name)
    return chosen


def _fitted(model: ModelProto, feeds: Sequence[Feed]) -> list[Feed]:
    """Of each feed what the graph takes: bundles may leave inputs of the scorer out, and those made before locators
    took stacks of windows take one window without its axis."""
    ranks = {given.name: len(given.type.tensor_type.shape.dim) for given in model.graph.input}
    return [
        {
            name: feed[name][0] if feed[name].ndim == rank + 1 else feed[name]
            for name, rank in ranks.items()
            if name in feed
        }
        for feed in feeds
    ]


class _Reader:
    """Feeds one by one, as the calibrator asks for them."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)

    def __iter__(self) -> Iterator[Feed]:
        return self._feeds


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser logs advice to the root logger, which is not ours to configure for longer."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
