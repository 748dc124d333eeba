"""A small writer of ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import NodeProto

OPSET = 20
END = np.iinfo(np.int64).max  # end of a Slice: up to the last row
FLOAT, INT64, DOUBLE = 1, 7, 11  # onnx.TensorProto, without importing onnx
Attribute = int | float | str | list[int]
Shape = Sequence[int | str]
"""Sizes of a tensor; names are free sizes."""


class GraphWriter:
    """Collects nodes and constants; methods that add a node return the name of its result."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, np.ndarray] = {}
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """A constant tensor; equal tensors are stored once."""
        array = np.ascontiguousarray(value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._names:
            self._names[key] = f"c{len(self._names)}"
            self._constants[self._names[key]] = array
        return self._names[key]

    def add(self, op: str, *inputs: str, name: str | None = None, **attributes: Attribute) -> str:
        """Add a node with one result; returns its name."""
        stem = name or self._stem(op)
        self._append(op, inputs, [stem], stem, attributes)
        return stem

    def add_several(self, op: str, *inputs: str, outputs: int, **attributes: Attribute) -> list[str]:
        """Add a node with several results; returns their names."""
        stem = self._stem(op)
        names = [f"{stem}_{i}" for i in range(outputs)]
        self._append(op, inputs, names, stem, attributes)
        return names

    def _stem(self, op: str) -> str:
        return f"{op.lower()}_{len(self._nodes)}"

    def _append(
        self, op: str, inputs: Sequence[str], outputs: list[str], stem: str, attributes: Mapping[str, Attribute]
    ) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(op, list(inputs), outputs, name=f"node_{stem}", **attributes))

    def slice(self, x: str, axis: int, start: int, stop: int = END, *, name: str | None = None) -> str:
        """Rows `start` to `stop` of one axis."""
        ends = [self.constant([value], np.int64) for value in (start, stop, axis)]
        return self.add("Slice", x, *ends, name=name)

    def finish(self, inputs: Mapping[str, tuple[int, Shape]], outputs: Mapping[str, Shape]) -> bytes:
        """Serialize the model deterministically.

        inputs: name -> (FLOAT or INT64, shape); outputs: name -> shape, of type float.
        """
        import onnx
        from onnx import helper, numpy_helper

        graph_inputs = [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()]
        graph_outputs = [helper.make_tensor_value_info(n, FLOAT, shape) for n, shape in outputs.items()]
        stored = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, "punctum", graph_inputs, graph_outputs, stored)
        model = helper.make_model(
            graph, producer_name="punctum", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10
        )
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data
