"""An ONNX file as a network with one input and one output, ready to be placed in a larger graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.backends.onnxruntime.session import open_runner
from punctum.runtime.backends.options import CPU
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.bundle.limits import DIMENSION
from punctum.runtime.datatypes import compact
from punctum.runtime.errors import InputError, PunctumError

from ..graphs.onnx_file import network_input
from .surgery import OPSET, converted, cut, from_integers, one_at_a_time, opset_of, unfit

F32 = npt.NDArray[np.float32]
Layout = Literal["NTCHW", "NCTHW", "NCHW", "NHWC"]
IMAGES: tuple[Layout, ...] = ("NCHW", "NHWC")
_INTEGERS = (2, 3, 6, 7)
"""TensorProto.UINT8, INT8, INT32 and INT64."""


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Network:
    """A network with one input and one output.

    Attributes:
        graph: ONNX, with nothing but what the output needs.
        layout: Order of the axes of its input.
        shape: Shape of one image or clip at its input.
        input: Name of its input.
        output: Name of its output.
        dim: Number of features.
    """

    graph: bytes
    layout: Layout
    shape: tuple[int, ...]
    input: str
    output: str
    dim: int

    @property
    def takes_images(self) -> bool:
        return self.layout in IMAGES


def read_network(
    graph: bytes, spec: BackboneSpec, layout: Layout | None, output: str | None, name: str, *, flatten: bool = False
) -> Network:
    """Cut a network to the tensor with its features, and try it.

    Args:
        graph: ONNX, all data inside.
        spec: What it takes.
        layout: Order of its axes; None: by the number of axes of its input, and `spec.layout` for clips.
        output: Tensor with the features, also one inside the graph; None: the only output.
        name: Of the part, for messages.
        flatten: Whether features on several axes, such as [N, 17, 3], become one row.

    Raises:
        InputError: It does not fit the spec, does not run, or gives features that are not finite.
    """
    import onnx
    from onnx import inliner

    model = onnx.load_from_string(graph)
    if model.functions:
        model = inliner.inline_local_functions(model)
    tensor = network_input(model)
    if tensor is None:
        raise unfit(name, "has several inputs, or one without a shape", "one input, an image or a clip")
    source, shape = tensor
    if layout is None:
        layout = "NCHW" if len(shape) == 4 else spec.layout
    wanted = _shape(spec, layout)
    if len(shape) != len(wanted) + 1 or any(a not in (None, b) for a, b in zip(shape[1:], wanted, strict=True)):
        raise unfit(name, f"takes {_words(shape)}", f"{_words([None, *wanted])}, as its spec says ({layout})")
    if shape[0] not in (None, 1):
        raise unfit(name, f"takes exactly {shape[0]} at a time", "any number (a dynamic first axis), or one")
    model, result = cut(model, output, name)
    integers = model.graph.input[0].type.tensor_type.elem_type in _INTEGERS
    if integers or shape[0] == 1:
        model = converted(model, max(OPSET, opset_of(model)), name)
    if integers:
        from_integers(model, source)
    if shape[0] == 1:
        model = one_at_a_time(model, wanted)
    source, result = model.graph.input[0].name, model.graph.output[0].name
    try:
        data: bytes = model.SerializeToString(deterministic=True)
    except ValueError as error:
        raise unfit(name, f"is too large ({failure_text(error)})", "at most 2 GiB") from None
    return Network(data, layout, wanted, source, result, _dim(data, source, result, wanted, name, flatten))


def run_network(network: Network, batch: F32, name: str) -> F32:
    """Features [N, D] of images or clips [N, *network.shape]. Raises InputError."""
    runner = open_runner(network.graph, f"the graph of part {name}", CPU, purpose="composing a backbone")
    return _rows(runner.run([network.output], {network.input: batch})[0], len(batch), name, flatten=True)


def _shape(spec: BackboneSpec, layout: Layout) -> tuple[int, ...]:
    sizes = {"T": spec.clip_frames, "C": spec.channels, "H": spec.height, "W": spec.width}
    return tuple(sizes[axis] for axis in layout[1:])


def _dim(data: bytes, source: str, output: str, shape: tuple[int, ...], name: str, flatten: bool) -> int:
    runner = open_runner(data, f"the graph of part {name}", CPU, purpose="composing a backbone")
    taken = runner.get_inputs()[0]
    if taken.type != "tensor(float)":
        raise unfit(name, f"takes {taken.type}", "float32")
    dims = []
    for count in (1, 3):
        batch = np.random.default_rng(count).random((count, *shape), np.float32)
        try:
            rows = _rows(runner.run([output], {source: batch})[0], count, name, flatten=flatten)
        except InputError:
            raise
        except PunctumError as error:
            raise unfit(name, f"does not run on {count}: {failure_text(error)}", "any number at a time") from None
        dims.append(rows.shape[1])
    if dims[0] != dims[1] or not 1 <= dims[0] <= DIMENSION:
        raise unfit(name, f"returns {dims} features", f"the same number every time, at most {DIMENSION:,}")
    return int(dims[0])


def _rows(value: object, count: int, name: str, *, flatten: bool) -> F32:
    given = np.asarray(value)
    if given.dtype != np.float32 or given.ndim < 2 or len(given) != count:
        raise unfit(name, f"returns {given.dtype} {_words(given.shape)} for {count}", f"float32 [{count}, D]")
    if not flatten and sum(n != 1 for n in given.shape[1:]) > 1:
        raise unfit(
            name,
            f"returns {_words(given.shape)}, which are not pooled",
            f'[{count}, D]; name the pooled tensor with "output" in its spec, or set "flatten": true',
        )
    if not np.isfinite(given).all():
        raise InputError(
            "features-not-finite",
            f"Part {name} returns NaN or infinite values",
            next_step="check the graph, and mean and std in its spec",
        )
    return given.reshape(count, -1)


def _words(shape: object) -> str:
    return "[" + ", ".join("N" if n is None else str(n) for n in shape) + "]"  # type: ignore[attr-defined]
