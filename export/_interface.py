"""Whether graphs and modules have the inputs and outputs that a bundle needs, before anything is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from punctum.runtime import InputError, PunctumError
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.backends.graph_io import SCORER_INPUTS, TERMS, TRACKS
from punctum.runtime.backends.onnxruntime.session import open_session
from punctum.runtime.backends.runner import TensorInfo
from punctum.runtime.text.display import shown

if TYPE_CHECKING:
    from torch import nn

F32 = npt.NDArray[np.float32]
FLOAT, INTEGER = "tensor(float)", "tensor(int64)"


def check_locator_graph(graph: bytes, dim: int, classes: int) -> None:
    """Raises InputError for a locator's graph with other tensors than those of the reference page on graphs."""
    session = open_session(graph, "the locator", purpose="a bundle around a locator")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    given = f"The locator takes {_listed(inputs)} and returns {_listed(outputs)}"
    wanted = f"features [B, T, {dim}] in, class_track [B, T, {classes}] and actionness [B, T] out, all float32"
    if [value.name for value in inputs] != ["features"] or sorted(v.name for v in outputs) != sorted(TRACKS):
        raise _mismatch(given, wanted, "give its tensors these names, and no others")
    found = {value.name: value for value in (*inputs, *outputs)}
    for value in found.values():
        if value.type != FLOAT:
            cast = "convert to float32 inside" if value.name == "features" else "convert the output to float32"
            raise _mismatch(f"{_role(value.name)} of the locator has type {_type(value)}", wanted, f"{cast} the graph")
    rank = len(found["features"].shape)
    ranks = {"features": rank, "class_track": rank, "actionness": rank - 1}
    if rank not in (2, 3) or any(len(found[name].shape) != size for name, size in ranks.items()):
        raise _mismatch(given, wanted, "change its shapes, or leave out B everywhere")
    for name, size, parameter in (("features", dim, "`dim`"), ("class_track", classes, "the number of `labels`")):
        columns = found[name].shape[-1]
        if isinstance(columns, int) and columns != size:
            raise _mismatch(
                f"{_role(name)} of the locator has {columns} columns, but {parameter} is {size}",
                wanted,
                f"correct {parameter.replace('the number of ', '')}, or use another locator",
            )
    batch, length = found["features"].shape[:-1][-2:] if rank == 3 else (None, found["features"].shape[0])
    if isinstance(length, int):
        raise shape_error(
            f"The locator accepts only windows of {length} snippets", "make T a dynamic dimension at export"
        )
    if isinstance(batch, int) and batch != 1:
        raise shape_error(f"The locator accepts only {batch} windows at a time", "make B a dynamic dimension, or 1")


def check_scorer_graph(graph: bytes) -> None:
    """Raises InputError for a scorer's graph with other tensors than those of the reference page on graphs."""
    session = open_session(graph, "the scorer", purpose="a bundle around a scorer")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    wanted = f"inputs from {', '.join(SCORER_INPUTS)}, float32 and labels int64; outputs {', '.join(TERMS)}, float32"
    types = {value.name: value.type for value in (*inputs, *outputs)}
    wrong = [name for name, kind in types.items() if kind != (INTEGER if name == "labels" else FLOAT)]
    if not {v.name for v in inputs} <= set(SCORER_INPUTS) or not set(TERMS) <= {v.name for v in outputs} or wrong:
        raise _mismatch(
            f"The scorer takes {_listed(inputs)} and returns {_listed(outputs)}", wanted, "change its tensors"
        )


def check_module(module: nn.Module, dim: int, classes: int) -> bool:
    """Raises InputError for a module that does not map [1, T, dim] to ([1, T, classes], [1, T]).

    Returns:
        Whether it takes several windows at once.
    """
    import torch

    wanted = f"features [B, T, {dim}] -> (class_track [B, T, {classes}], actionness [B, T]), all float32"
    try:
        with torch.no_grad():
            outputs = module.eval()(torch.zeros(1, 33, dim))
    except Exception as error:
        raise _module(
            f"The module fails on features [1, 33, {dim}] ({type(error).__name__}: {failure_text(error, 300)})", wanted
        ) from error
    if not isinstance(outputs, tuple | list) or not all(isinstance(value, torch.Tensor) for value in outputs):
        raise _module(f"The module returns an object of type {type(outputs).__name__}", wanted)
    shapes = [tuple(value.shape) for value in outputs]
    if any(len(shape) > 1 and shape[1] != 33 for shape in shapes):
        raise shape_error(
            f"The module returns shapes {shapes} for features [1, 33, {dim}]",
            "pad convolutions and poolings so that every snippet has a row",
        )
    if shapes != [(1, 33, classes), (1, 33)]:
        raise _module(f"The module returns shapes {shapes} for features [1, 33, {dim}]", wanted)
    if any(value.dtype != torch.float32 for value in outputs):
        raise _module(f"The module returns {', '.join(str(value.dtype) for value in outputs)}", wanted)
    try:
        with torch.no_grad():
            return [tuple(value.shape) for value in module(torch.zeros(2, 33, dim))] == [(2, 33, classes), (2, 33)]
    except Exception:  # noqa: BLE001 - the module's own code; it is exported for one window
        return False


def run_graph(outputs: Any, part: str, size: str) -> tuple[Any, ...]:
    """What a graph returns for an input of this size. Raises InputError where it fails.

    Args:
        outputs: Runs the graph.
        part: "locator" or "scorer".
        size: The input, in words.
    """
    try:
        found: tuple[Any, ...] = outputs()
    except InputError:
        raise
    except PunctumError as error:
        why = failure_text(error.given.removeprefix("The engine failed: "), 300)
        raise shape_error(
            f"The {part} fails on {size} ({why})",
            "pad convolutions and poolings, and export without sizes or loops over T that are fixed to one length"
            if part == "locator"
            else "export it without fixed sizes",
        ) from None
    return found


def shape_error(given: str, next_step: str) -> InputError:
    """The error for a graph that does not take inputs of every size."""
    return InputError(
        "graph-shape", given, required="any number of snippets T from 1 on, and as many rows out", next_step=next_step
    )


def _mismatch(given: str, required: str, next_step: str) -> InputError:
    return InputError("graph-mismatch", given, required=required, next_step=next_step)


def _module(given: str, required: str) -> InputError:
    return InputError(
        "locator-module", given, required=required, next_step="change its forward method, or wrap it in a module"
    )


def _listed(values: Sequence[TensorInfo]) -> str:
    return ", ".join(f"{shown(v.name, 60)} {_shape(v)} {_type(v)}" for v in values) or "nothing"


def _role(name: str) -> str:
    return f"The {'input' if name == 'features' else 'output'} {name}"


def _type(value: TensorInfo) -> str:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(kind, kind)


def _shape(value: TensorInfo) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in value.shape)}]"
