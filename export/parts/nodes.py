"""Writes ONNX graphs node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

OPSET = 20
_IR = 9


class Nodes:
    """Nodes and constants of a graph. Every method returns the name of the tensor that it adds."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._stored: dict[str, Any] = {}

    def constant(self, values: Any, name: str = "") -> str:
        """A constant: float32 or, for whole numbers, int64.

        Args:
            values: Array or number.
            name: Unique in the graph, for constants that are used several times; empty: a new name.
        """
        from onnx import numpy_helper

        name = name or f"c{len(self._stored)}"
        if name not in self._stored:
            array = np.asarray(values)
            array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
            self._stored[name] = numpy_helper.from_array(array.copy(order="C"), name)
        return name

    def add(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """A node with one output. Inputs that are no names become constants."""
        from onnx import helper

        taken = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        output = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, taken, [output], **attributes))
        return output

    def reshape(self, tensor: str, *shape: int) -> str:
        """The tensor in another shape; 0: as it is, -1: the rest."""
        return self.add("Reshape", tensor, np.array(shape, np.int64))

    def take(self, tensor: str, index: int | Sequence[int], axis: int) -> str:
        """Elements along an axis; one number removes the axis."""
        return self.add("Gather", tensor, np.array(index, np.int64), axis=axis)

    def total(self, tensor: str, axis: int, *, keep: bool = False) -> str:
        """The sum along an axis."""
        return self.add("ReduceSum", tensor, np.array([axis], np.int64), keepdims=int(keep))

    def clamp(self, tensor: str, least: float, most: float) -> str:
        """Values cut to a range."""
        return self.add("Clip", tensor, least, most)

    def graph(
        self,
        name: str,
        inputs: Mapping[str, Sequence[int | str]],
        outputs: Mapping[str, tuple[str, Sequence[int | str]]],
    ) -> bytes:
        """The graph as ONNX.

        Args:
            name: Of the graph.
            inputs: Shapes by name; all are float32.
            outputs: Tensor and shape by name.
        """
        from onnx import TensorProto, helper

        ends = [helper.make_node("Identity", [tensor], [output]) for output, (tensor, _) in outputs.items()]
        taken = [helper.make_tensor_value_info(key, TensorProto.FLOAT, list(shape)) for key, shape in inputs.items()]
        given = [helper.make_tensor_value_info(key, TensorProto.FLOAT, list(s)) for key, (_, s) in outputs.items()]
        whole = helper.make_model(
            helper.make_graph([*self._nodes, *ends], name, taken, given, list(self._stored.values())),
            producer_name="punctum",
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        whole.ir_version = _IR
        data: bytes = whole.SerializeToString(deterministic=True)
        return data
