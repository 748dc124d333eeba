"""fp32 graph -> int8 graph with Q/DQ pairs, by ONNX Runtime's static quantization.

For the CPU: activations are uint8 with a zero point, weights int8 per channel with 7 bits. On x86 ONNX Runtime is fast
for uint8 times int8 only (signed activations run no faster than fp32), and without VNNI it adds two products in 16
bits: 2 * 255 * 64 fits, 2 * 255 * 127 would saturate silently. A bundle runs on any machine, hence 7 bits.

For TensorRT: symmetric int8 for both, no quantized bias, and pairs before products only, since the builder fuses the
nodes between a product and the next pair.

Measured on a CPU with VNNI, one thread, real recordings: the locator takes 0.3 of the time of fp32 (almost all of it
is convolutions), the center scorer 0.8 to 0.85 (two fifths are products; exact pooling and arithmetic on time stay
fp32).
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
from .half import MIN_WEIGHTS

if TYPE_CHECKING:
    from onnx import ModelProto

PRODUCTS = ("Conv", "Gemm", "MatMul")
Style = Literal["cpu", "tensorrt"]
Feed = dict[str, npt.NDArray[Any]]


def to_int8(graph: bytes, feeds: Sequence[Feed], *, style: Style, name: str = "the graph") -> bytes | None:
    """Convert a graph to int8.

    Args:
        graph: the fp32 graph.
        feeds: inputs on which the ranges are measured.
        style: engine that the graph is made for.
        name: of the graph, for messages.

    Returns:
        The int8 graph; None if no product has `MIN_WEIGHTS` weights.

    Raises:
        InputError: the bytes are not an ONNX graph.
        PunctumError: ONNX Runtime cannot quantize it.
    """
    import_onnxruntime("quantizing")
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = load(graph, name)
    chosen = _name_products(model)
    if not chosen:
        return None
    signed = style == "tensorrt"
    # A Gemm returns fp32 anyway, and a pair after it costs precision and time. A MatMul needs one: without it, ONNX
    # Runtime fuses the following Add into a Gemm before it looks for pairs, and runs that in fp32, five times slower.
    without_output_pair = PRODUCTS if signed else ("Gemm",)
    options: dict[str, Any] = {
        "ActivationSymmetric": signed,
        "WeightSymmetric": True,
        "QuantizeBias": not signed,
        "MatMulConstBOnly": True,
        "OpTypesToExcludeOutputQuantization": list(without_output_pair),
    }
    with tempfile.TemporaryDirectory() as folder, _quiet_root_logger():
        out = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                model,
                out,
                _FeedReader(_fit_feeds(model, feeds)),
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
                "quantize-failed",
                f"ONNX Runtime cannot quantize {name}: {failure_text(error)}",
                "a graph of convolutions and matrix products",
                "leave int8 out, or report this",
            ) from error
        quantized = load(out.read_bytes(), name)
    quantized.producer_name, quantized.producer_version, quantized.doc_string = "punctum", "", ""
    return finish(quantized)


def _name_products(model: ModelProto) -> list[str]:
    """Give every node a unique name, and return the names of the products that are large enough."""
    view = View(model)
    chosen = []
    for k, node in enumerate(view.nodes):
        node.name = f"{node.op_type}_{k}"
        weights = [view.constants[name] for name in node.input[1:2] if name in view.constants]
        if (
            node.op_type in PRODUCTS
            and weights
            and np.prod(weights[0].dims) >= MIN_WEIGHTS
            and view.is_float(node.input[0])
        ):
            chosen.append(node.name)
    return chosen


def _fit_feeds(model: ModelProto, feeds: Sequence[Feed]) -> list[Feed]:
    """The inputs of each feed that the graph has.

    Center scorers may lack inputs, and locators of early bundles take one window without a batch axis.
    """
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.input}
    return [
        {
            name: feed[name][0] if feed[name].ndim == rank + 1 else feed[name]
            for name, rank in ranks.items()
            if name in feed
        }
        for feed in feeds
    ]


class _FeedReader:
    """Passes feeds to the calibrator, one at a time."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        """The next feed; None at the end."""
        return next(self._feeds, None)

    def __iter__(self) -> Iterator[Feed]:
        return self._feeds


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Silence the root logger, to which the quantizer writes advice, and restore it."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
