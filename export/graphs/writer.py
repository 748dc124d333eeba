"""A small writer of ONNX graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

OPSET = 20
END = np.iinfo(np.int64).max  # end of a Slice: up to the last row
FLOAT, INT64, DOUBLE = 1, 7, 11  # onnx.TensorProto, without importing onnx


class GraphWriter:
    """Collects nodes and constants; methods that add a node return the name of its result."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A constant tensor; equal tensors are stored once."""
        array = np.ascontiguousarray(value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._names:
            self._names[key] = f"c{len(self._names)}"
            self._constants[self._names[key]] = array
        return self._names[key]

    def add(self, op: str, *inputs: str, outputs: int = 1, name: str | None = None, **attributes: Any) -> Any:
        """Add a node; returns the name of its result, or a list of names if `outputs` is not 1."""
        from onnx import helper

        stem = name or f"{op.lower()}_{len(self._nodes)}"
        names = [stem] if outputs == 1 else [f"{stem}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=f"node_{stem}", **attributes))
        return stem if outputs == 1 else names

    def slice(self, x: str, axis: int, start: int, stop: int = END, *, name: str | None = None) -> str:
        """Rows `start` to `stop` of one axis."""
        ends = [self.constant([value], np.int64) for value in (start, stop, axis)]
        return str(self.add("Slice", x, *ends, name=name))

    def finish(self, inputs: dict[str, tuple[int, list[Any]]], outputs: dict[str, list[Any]]) -> bytes:
        """Serialise the model deterministically.

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
