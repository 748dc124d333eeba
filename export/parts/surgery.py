"""Changes to an ONNX graph: cut at a tensor, integer input, one image at a time, another operator set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from punctum.runtime.backends.failures import failure_text
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import shown

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 20


def cut(model: ModelProto, output: str | None, name: str) -> tuple[ModelProto, str]:
    """The model with the features as its only output, without what they do not need; and the name of that output.

    Args:
        model: The model.
        output: Tensor with the features; None: the only output.
        name: Of the part, for messages.

    Raises:
        InputError: There is no such tensor.
    """
    from onnx import helper

    graph = model.graph
    outputs = [value.name for value in graph.output]
    made = {tensor for node in graph.node for tensor in node.output if tensor}
    if output is None:
        if len(outputs) != 1:
            raise unfit(name, f"returns {', '.join(outputs) or 'nothing'}", "one output, or `output` in its spec")
        output = outputs[0]
    if output not in made:
        raise unfit(
            name, f"has no tensor {shown(output, 80)}", f"an output ({', '.join(outputs)}) or a tensor in the graph"
        )
    needed, nodes = {output}, []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            nodes.append(node)
            needed.update(node.input)
            needed.update(_captured(node))
    stored = {tensor.name for tensor in graph.initializer}
    whole = helper.make_model(
        helper.make_graph(
            nodes[::-1],
            "network",
            [value for value in graph.input if value.name not in stored],
            [helper.make_empty_tensor_value_info(output)],
            [tensor for tensor in graph.initializer if tensor.name in needed],
            sparse_initializer=[tensor for tensor in graph.sparse_initializer if tensor.values.name in needed],
        ),
        opset_imports=list(model.opset_import),
    )
    whole.ir_version = model.ir_version
    return whole, output


def _captured(node: object) -> set[str]:
    """Tensors of the outer graph that subgraphs of a node use (names inside may be among them, which is harmless)."""
    names: set[str] = set()
    pending = [node]
    while pending:
        for attribute in pending.pop().attribute:  # type: ignore[attr-defined]
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                names.update(value.name for value in graph.output)
                for inner in graph.node:
                    names.update(inner.input)
                    pending.append(inner)
    return names


def from_integers(model: ModelProto, source: str) -> None:
    """Make a model whose input are whole numbers take float32, which it rounds."""
    from onnx import TensorProto, helper

    value = model.graph.input[0].type.tensor_type
    wanted = value.elem_type
    taken = source
    while any(taken in (*node.input, *node.output) for node in model.graph.node):
        taken += "_float"
    before = [
        helper.make_node("Round", [taken], [f"{taken}/rounded"]),
        helper.make_node("Cast", [f"{taken}/rounded"], [source], to=wanted),
    ]
    nodes = [*before, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    value.elem_type = TensorProto.FLOAT
    model.graph.input[0].name = taken


def one_at_a_time(model: ModelProto, shape: tuple[int, ...]) -> ModelProto:
    """A model that takes a batch of one as a model that takes any number [N, *shape], which it runs one by one.

    Args:
        model: Its input is float32 [1, *shape].
        shape: Of one image or clip.

    Returns:
        A model of input "batch" and output "rows" [N, D].
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    before = helper.make_node("Unsqueeze", ["batch/one", "batch/first"], [graph.input[0].name])
    after = helper.make_node("Reshape", [graph.output[0].name, "batch/all"], ["batch/row"])
    body = helper.make_graph(
        [before, *graph.node, after],
        "one",
        [helper.make_tensor_value_info("batch/one", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("batch/row", TensorProto.FLOAT, None)],
    )
    stored = [numpy_helper.from_array(np.array([k], np.int64), f"batch/{n}") for k, n in ((0, "first"), (-1, "all"))]
    whole = helper.make_model(
        helper.make_graph(
            [helper.make_node("Scan", ["batch"], ["rows"], body=body, num_scan_inputs=1)],
            "network",
            [helper.make_tensor_value_info("batch", TensorProto.FLOAT, ["N", *shape])],
            [helper.make_empty_tensor_value_info("rows")],
            [*graph.initializer, *stored],
            sparse_initializer=list(graph.sparse_initializer),
        ),
        opset_imports=list(model.opset_import),
    )
    whole.ir_version = model.ir_version
    return whole


def with_prefix(model: ModelProto, prefix: str) -> GraphProto:
    """The graph with all tensors renamed, also those inside subgraphs, so that scopes stay as they are.

    `onnx.compose.add_prefix` leaves tensors that a subgraph takes from outside under their old names.
    """
    graph = type(model.graph)()
    graph.CopyFrom(model.graph)
    pending = [graph]
    while pending:
        inner = pending.pop()
        for value in (*inner.input, *inner.output, *inner.value_info, *inner.initializer):
            value.name = prefix + value.name
        for sparse in inner.sparse_initializer:
            sparse.values.name = prefix + sparse.values.name
        for node in inner.node:
            node.name = ""
            for names in (node.input, node.output):
                names[:] = [prefix + name if name else "" for name in names]
            for attribute in node.attribute:
                pending += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
    return graph


def opset_of(model: ModelProto) -> int:
    """Version of the standard operators."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)


def converted(model: ModelProto, opset: int, name: str) -> ModelProto:
    """The model in another version of the standard operators. Raises InputError."""
    from onnx import version_converter

    if opset_of(model) == opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except (version_converter.ConvertError, RuntimeError, ValueError) as error:
        raise opset_error(name, f"cannot be converted to operator set {opset}: {failure_text(error, 300)}") from None


def opset_error(name: str, given: str) -> InputError:
    """The error for a network whose operators do not go with those of the others."""
    return InputError(
        "part-opset",
        f"The network of part {name} {given}",
        f"networks of ONNX operator set {OPSET}, or of one that the package onnx converts to it",
        f"export the network again with opset_version={OPSET}",
    )


def unfit(name: str, given: str, allowed: str) -> InputError:
    """The error for a network that does not fit its spec."""
    return InputError("part-graph", f"The network of part {name} {given}", allowed, "correct the network or its spec")
