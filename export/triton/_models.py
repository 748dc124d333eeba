"""The graphs of a bundle as models of a server: tensors, batch sizes, warm-up runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.backends.tensorrt.profiles import CLIPS, WINDOWS
from punctum.runtime.bundle.precision import Part
from punctum.runtime.datatypes import compact
from punctum.runtime.errors import InputError
from punctum.runtime.session.engine import Shape

TYPES = {
    "tensor(float)": ("TYPE_FP32", np.float32),
    "tensor(float16)": ("TYPE_FP16", np.float16),
    "tensor(double)": ("TYPE_FP64", np.float64),
    "tensor(int64)": ("TYPE_INT64", np.int64),
    "tensor(int32)": ("TYPE_INT32", np.int32),
}
MAX_BATCH = {"locator": WINDOWS, "backbone": CLIPS}  # the batch sizes of TensorRT engines
WARM_UP_BATCH = 8  # windows or clips of the larger warm-up
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        name: as in the graph.
        type: Triton's data type.
        dims: of one request, without the batch axis; -1: a free size.
        columns_are_labels: the last axis is that of the classes.
    """

    name: str
    type: str
    dims: tuple[int, ...]
    columns_are_labels: bool = False


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Sizes of one warm-up run; the data are zeros.

    Attributes:
        name: for the configuration.
        batch: batch size; 0: the model has no batch axis.
        dims: of each input.
    """

    name: str
    batch: int
    dims: Mapping[str, tuple[int, ...]]


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Model:
    """One graph as a model of the server.

    Attributes:
        name: in the server.
        part: of the bundle.
        graph: ONNX.
        inputs: of the graph.
        outputs: of the graph.
        max_batch: largest batch size; 0: requests cannot share a run.
        warm_ups: runs before the model is ready.
    """

    name: str
    part: Part
    graph: bytes
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch: int
    warm_ups: tuple[WarmUp, ...]


def read_model(name: str, part: Part, graph: bytes, session: Any, shapes: Sequence[Shape]) -> Model:
    """Describe one graph as a model, and run every warm-up once.

    Args:
        name: of the model in the server.
        part: of the bundle.
        graph: ONNX.
        session: the graph in ONNX Runtime.
        shapes: of the runs of a stream.

    Raises:
        InputError: a server cannot run the graph, or it fails on a warm-up.
    """
    max_batch = _max_batch(part, session)
    labels = ("class_track", "class_probability")
    inputs = tuple(_tensor(i, max_batch, name) for i in session.get_inputs())
    outputs = tuple(_tensor(o, max_batch, name, columns_are_labels=o.name in labels) for o in session.get_outputs())
    warm_ups = tuple(_warm_ups(part, inputs, max_batch, shapes))
    for warm_up in warm_ups:
        _run_warm_up(session, name, inputs, outputs, warm_up)
    return Model(name, part, graph, inputs, outputs, max_batch, warm_ups)


def _max_batch(part: Part, session: Any) -> int:
    """The largest batch size: 0 unless every tensor has a free first axis of windows or clips.

    The time axis of a window is not a batch axis: rows of two windows must not share a convolution, and proposals
    belong to their window.
    """
    tensors = [*session.get_inputs(), *session.get_outputs()]
    stacks = part == "backbone" or (part == "locator" and len(session.get_inputs()[0].shape) == 3)
    return MAX_BATCH[part] if stacks and not any(isinstance(t.shape[0], int) for t in tensors) else 0


def _tensor(value: Any, max_batch: int, model: str, *, columns_are_labels: bool = False) -> Tensor:
    if value.type not in TYPES:
        raise InputError(
            "triton-type",
            f"{value.name} of {model} has the type {value.type}",
            ", ".join(TYPES),
            "export the bundle again",
        )
    dims = tuple(n if isinstance(n, int) else -1 for n in value.shape)
    return Tensor(value.name, TYPES[value.type][0], dims[1:] if max_batch else dims, columns_are_labels)


def _warm_ups(part: Part, inputs: Sequence[Tensor], max_batch: int, shapes: Sequence[Shape]) -> list[WarmUp]:
    batches = (1, min(WARM_UP_BATCH, max_batch)) if max_batch else (0,)
    if part == "backbone":
        return [WarmUp(f"{b} clips", b, {t.name: t.dims for t in inputs}) for b in batches]
    if part == "locator":
        lengths = sorted({s.length for s in shapes if not s.proposals})
        return [
            WarmUp(f"{b or 1} x {n} snippets", b, {t.name: (n, *t.dims[1:]) for t in inputs})
            for n in lengths
            for b in batches
        ]
    sizes = sorted({(s.length, s.proposals) for s in shapes if s.proposals})
    warm_ups = []
    for rows, count in sizes:
        sizes_by_input = {t.name: rows if t.name in ("features", "tracks") else count for t in inputs}
        dims = {t.name: (sizes_by_input[t.name], *t.dims[1:]) for t in inputs}
        warm_ups.append(WarmUp(f"{count} proposals in {rows} snippets", 0, dims))
    return warm_ups


def _run_warm_up(session: Any, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], warm_up: WarmUp) -> None:
    """Run one warm-up as the server will, so that a failure appears here first."""
    stack = (warm_up.batch,) if warm_up.batch else ()
    kinds = dict(TYPES.values())
    feeds = {t.name: np.zeros((*stack, *warm_up.dims[t.name]), kinds[t.type]) for t in inputs}
    try:
        arrays: list[Array] = session.run([t.name for t in outputs], feeds)
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
        raise _unfit(name, warm_up, failure_text(error)) from None
    for tensor, array in zip(outputs, arrays, strict=True):
        dims = array.shape[len(stack) :]
        fits = len(dims) == len(tensor.dims) and all(w in (-1, n) for n, w in zip(dims, tensor.dims, strict=True))
        if not fits or array.shape[: len(stack)] != stack:
            raise _unfit(name, warm_up, f"{tensor.name} has shape {array.shape}, and the graph declares {tensor.dims}")
        if not np.isfinite(array).all():
            raise _unfit(name, warm_up, f"{tensor.name} is not finite")


def _unfit(name: str, warm_up: WarmUp, why: str) -> InputError:
    return InputError(
        "triton-graph", f"{name} fails on zeros ({warm_up.name}): {why}", "a graph that runs", "export the bundle again"
    )
