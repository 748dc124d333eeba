"""The scale of the features that a locator expects, as far as its graph states it.

A network that normalizes its input begins with constants: the mean that it subtracts, the deviation by which it
divides, or a batch normalization with stored statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

F64: TypeAlias = npt.NDArray[np.float64]
_SAME = frozenset(("Identity", "Cast", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "Dropout"))


def input_scale(graph: bytes, dim: int) -> tuple[F64, F64] | None:
    """Mean and deviation [dim] of features that the first nodes of a graph bring to mean 0 and deviation 1.

    None for a graph that does not begin with constants of this kind, and where the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        return None
    parsed = onnx.load_from_string(graph).graph
    factor, offset = np.ones(dim), np.zeros(dim)  # what the nodes compute: factor * features + offset
    for node, constants in _first_nodes(parsed, "features"):
        if node.op_type == "BatchNormalization":
            _, _, mean, variance = (_columns(value, dim) for value in constants)
            if mean is None or variance is None:
                return None
            deviation = np.sqrt(np.maximum(variance, 0) + 1e-12)
            factor, offset = factor / deviation, (offset - mean) / deviation
            break
        value = _columns(constants[0], dim)
        if value is None:
            break
        if node.op_type in ("Add", "Sub"):
            offset = offset + (value if node.op_type == "Add" else -value)
        else:
            value = value if node.op_type == "Mul" else 1 / np.where(value == 0, 1, value)
            factor, offset = factor * value, offset * value
    factor = np.where(factor == 0, 1, factor)
    mean, deviation = -offset / factor, np.abs(1 / factor)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()) or (not mean.any() and (deviation == 1).all()):
        return None
    return mean, deviation


def _first_nodes(graph: GraphProto, name: str) -> Iterator[tuple[NodeProto, list[F64 | None]]]:
    """Nodes from the input on that combine one tensor with constants, each with these constants."""
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in graph.initializer}
    made = {node.output[0]: node for node in graph.node if node.op_type in ("Constant", "Identity") and node.output}

    def constant(key: str) -> F64 | None:
        for _ in range(8):  # constants behind identities
            if key in stored:
                return np.asarray(numpy_helper.to_array(stored[key]), np.float64)
            node = made.get(key)
            if node is None:
                return None
            if node.op_type == "Constant":
                found = next((a.t for a in node.attribute if a.name == "value"), None)
                return None if found is None else np.asarray(numpy_helper.to_array(found), np.float64)
            key = node.input[0]
        return None

    for _ in range(len(graph.node)):
        users = [node for node in graph.node if name in node.input and node.op_type != "Shape"]
        if len(users) != 1:
            return
        node = users[0]
        others = [constant(key) for key in node.input if key != name]
        pair = node.op_type in ("Add", "Mul") or (node.op_type in ("Sub", "Div") and node.input[0] == name)
        if node.op_type == "BatchNormalization" or (pair and others and others[0] is not None):
            yield node, others
        elif node.op_type not in _SAME:
            return
        name = node.output[0]


def _columns(value: F64 | None, dim: int) -> F64 | None:
    """A constant as one number for each column; None where it is something else."""
    if value is None or value.size not in (1, dim):
        return None
    return np.broadcast_to(value.reshape(-1), (dim,)).astype(np.float64)
