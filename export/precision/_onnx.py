"""Helpers of passes over ONNX graphs: types by name, constants, readers of a value, unused names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.graph_scan import check_graph
from punctum.runtime.errors import InputError, MissingDependencyError, PunctumError
from punctum.runtime.machine.telemetry import switch_off_telemetry

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


def need_onnx(purpose: str = "making precision variants") -> None:
    """Raise MissingDependencyError without onnx or ONNX Runtime. purpose: the subject of the message."""
    switch_off_telemetry()
    for library in ("onnx", "onnxruntime"):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(library, "export", purpose) from None


def load(graph: bytes, name: str) -> ModelProto:
    """Parse a graph, with functions inlined and Constant nodes as initializers. Raises InputError unless it is ONNX.

    name: of the graph, for messages.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import inliner

    try:
        model = onnx.load_from_string(graph)
        check_graph(graph, name)
        onnx.checker.check_model(model)
        if model.functions:
            model = inliner.inline_local_functions(model)
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError(
            "graph-unreadable",
            f"{name} is not a valid ONNX graph ({failure_text(error)})",
            "ONNX",
            "export the bundle again",
        ) from None
    _lift_constants(model)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _lift_constants(model: ModelProto) -> None:
    from onnx import numpy_helper

    remaining = []
    for node in model.graph.node:
        tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type != "Constant" or tensor is None:
            remaining.append(node)
        else:
            model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(tensor), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(remaining)


def finish(model: ModelProto) -> bytes:
    """Serialize a model deterministically, without unused initializers and recorded shapes. Raises PunctumError if the
    model is not valid."""
    import onnx

    graph = model.graph
    used = {name for node in _all_nodes(graph) for name in node.input} | {o.name for o in graph.output}
    used_tensors = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(used_tensors)
    del graph.value_info[:]
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PunctumError(
            "precision-graph", f"The converted graph is not valid ({failure_text(error)})", "", "report this"
        ) from error
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _all_nodes(graph: GraphProto) -> Iterable[NodeProto]:
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from _all_nodes(inner)


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """The graphs inside If, Loop and Scan."""
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def captured(graph: GraphProto) -> set[str]:
    """Names that inner graphs read from this one."""
    inner = [subgraph for node in graph.node for subgraph in subgraphs(node)]
    read = {name for subgraph in inner for node in _all_nodes(subgraph) for name in node.input}
    return read | {out.name for subgraph in inner for out in subgraph.output}


class View:
    """Look-ups over one model.

    Attributes:
        types: ONNX element types by name.
        constants: initializers by name.
        nodes: of the graph, in order.
        producer: node that computes a name.
        readers: nodes that read a name.
        pinned: outputs, and names that inner graphs read, which must keep their names and types.
    """

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.model = model
        self.constants: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        self.types: dict[str, int] = {tensor.name: tensor.data_type for tensor in graph.initializer}
        for value in (*graph.input, *graph.output, *graph.value_info):
            self.types[value.name] = value.type.tensor_type.elem_type
        self.nodes = list(graph.node)
        self.producer = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                self.readers[name].append(node)
        self.pinned = {out.name for out in graph.output} | captured(graph)
        self._taken = {*self.types, *self.producer}

    def is_float(self, name: str) -> bool:
        """Whether a name is a float32 tensor."""
        return self.types.get(name) == 1  # TensorProto.FLOAT

    def floats(self, node: NodeProto) -> list[str]:
        """The float32 inputs of a node, each once."""
        return [name for name in dict.fromkeys(node.input) if name and self.is_float(name)]

    def unused(self, name: str) -> str:
        """`name`, with a number appended if it is in use. It is in use from now on."""
        unused, k = name, 1
        while unused in self._taken:
            unused, k = f"{name}_{k}", k + 1
        self._taken.add(unused)
        return unused
