"""What a graph of a bundle is to a server: its tensors, whether requests can share a run, what to warm up with."""

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
MOST = {"locator": WINDOWS, "backbone": CLIPS}  # of one run, as engines of TensorRT take them
TOGETHER = 8  # windows or clips of the larger warm-up
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output. dims: of one request, without the axis of a batch; -1 where free."""

    name: str
    type: str
    dims: tuple[int, ...]
    columns_are_labels: bool = False


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Sizes of one run before the model is ready. batch: 0 for a model without the axis; the data are zeros."""

    name: str
    batch: int
    dims: Mapping[str, tuple[int, ...]]


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Model:
    """One graph under its name in the server. most: requests of one run, 0 where they cannot share one."""

    name: str
    part: Part
    graph: bytes
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    most: int
    warm_ups: tuple[WarmUp, ...]


def read_model(name: str, part: Part, graph: bytes, session: Any, shapes: Sequence[Shape]) -> Model:
    """The model of one graph, every warm-up run once.

    session: the graph in ONNX Runtime. shapes: of the runs of a stream. Raises InputError for a graph that a server
    cannot take, or that fails on a warm-up.
    """
    most = _most(part, session)
    labels = ("class_track", "class_probability")
    inputs = tuple(_tensor(i, most, name) for i in session.get_inputs())
    outputs = tuple(_tensor(o, most, name, columns_are_labels=o.name in labels) for o in session.get_outputs())
    warm_ups = tuple(_warm_ups(part, inputs, most, shapes))
    for warm_up in warm_ups:
        _try(session, name, inputs, outputs, warm_up)
    return Model(name, part, graph, inputs, outputs, most, warm_ups)


def _most(part: Part, session: Any) -> int:
    """Of one run: a first axis of windows or clips that every tensor has. A window's own axis is none: rows of two
    windows must not meet in a convolution, and proposals belong to the window that they came from."""
    tensors = [*session.get_inputs(), *session.get_outputs()]
    stacks = part == "backbone" or (part == "locator" and len(session.get_inputs()[0].shape) == 3)
    return MOST[part] if stacks and not any(isinstance(t.shape[0], int) for t in tensors) else 0


def _tensor(given: Any, most: int, model: str, *, columns_are_labels: bool = False) -> Tensor:
    if given.type not in TYPES:
        raise InputError(
            "triton-type", f"{given.name} of {model} is a {given.type}", ", ".join(TYPES), "export the bundle again"
        )
    dims = tuple(n if isinstance(n, int) else -1 for n in given.shape)
    return Tensor(given.name, TYPES[given.type][0], dims[1:] if most else dims, columns_are_labels)


def _warm_ups(part: Part, inputs: Sequence[Tensor], most: int, shapes: Sequence[Shape]) -> list[WarmUp]:
    batches = (1, min(TOGETHER, most)) if most else (0,)
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
    made = []
    for rows, count in sizes:
        of_window = {t.name: rows if t.name in ("features", "tracks") else count for t in inputs}
        dims = {t.name: (of_window[t.name], *t.dims[1:]) for t in inputs}
        made.append(WarmUp(f"{count} proposals in {rows} snippets", 0, dims))
    return made


def _try(session: Any, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], warm_up: WarmUp) -> None:
    """One warm-up as the server will do it, so that what fails there fails here first."""
    stack = (warm_up.batch,) if warm_up.batch else ()
    kinds = dict(TYPES.values())
    feeds = {t.name: np.zeros((*stack, *warm_up.dims[t.name]), kinds[t.type]) for t in inputs}
    try:
        made: list[Array] = session.run([t.name for t in outputs], feeds)
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
        raise _unfit(name, warm_up, failure_text(error)) from None
    for tensor, array in zip(outputs, made, strict=True):
        dims = array.shape[len(stack) :]
        fits = len(dims) == len(tensor.dims) and all(w in (-1, n) for n, w in zip(dims, tensor.dims, strict=True))
        if not fits or array.shape[: len(stack)] != stack:
            raise _unfit(name, warm_up, f"{tensor.name} is {array.shape}, and the graph says {tensor.dims} of each")
        if not np.isfinite(array).all():
            raise _unfit(name, warm_up, f"{tensor.name} is not finite")


def _unfit(name: str, warm_up: WarmUp, why: str) -> InputError:
    return InputError(
        "triton-graph", f"{name} on zeros, {warm_up.name}: {why}", "a graph that runs", "export the bundle again"
    )
