"""A center scorer in two graphs, with the pooling between them left to a kernel.

The scorer that the exporter writes (`export.graphs.center`) embeds each snippet, pools the embedded snippets over the
bins of each proposal, and scores the means. Pooling in operators of ONNX gathers and multiplies small matrices of
doubles and takes most of a run with few proposals; `kernels.pool_windows` computes the same means. It also keeps
windows apart, so that the proposals of any number of windows share a run, those at the edge of a stream too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..datatypes import compact
from .graph_io import TERMS
from .stepping.graph import Graph, Node, Tensor, encode_node, read_graph, write_graph
from .stepping.wire import Malformed, read_fields

DOUBLE = 11  # onnx.TensorProto
MEANS = "means"
TO_EDGES = ("Reshape", "Add", "Cast", "Max", "Floor", "Min", "Max", "Reshape", "MatMul")
"""Operators from the rows that are gathered up to the edges of the bins."""


class NotSeparableError(ValueError):
    """The scorer has another form, and what differs."""


@compact
@dataclass(frozen=True, slots=True, repr=False)
class ScorerParts:
    """A scorer in two graphs, and how its proposals are pooled.

    Attributes:
        embedding: The ONNX file: features [T, D] -> embedded [T, E].
        head: The ONNX file: means [M, bins, E] and segments [M, 2] -> the terms of the scorer.
        bins: See `kernels.pool_segments`.
        context: See `kernels.pool_segments`.
        max_context: See `kernels.pool_segments`.
    """

    embedding: bytes
    head: bytes
    bins: int
    context: float
    max_context: float


def separate(data: bytes) -> ScorerParts:
    """The two graphs of a scorer.

    Args:
        data: The scorer's ONNX file.

    Raises:
        NotSeparableError: It has another form than the exporter writes, or the file cannot be read.
    """
    try:
        graph = read_graph(data)
        return _separate(graph)
    except (Malformed, UnicodeDecodeError, IndexError, KeyError, struct.error) as error:
        raise NotSeparableError(f"a graph of another form ({error})") from None


def _separate(graph: Graph) -> ScorerParts:
    links = _Links(graph)
    sums = links.only("CumSum")
    padded = links.made_by("Pad", sums.inputs[0])
    if padded.attributes.get("mode") != b"edge" or _integers(graph, padded.inputs[1]) != (1, 0, 1, 0):
        raise NotSeparableError("running sums of other rows")
    embedded = links.before_cast(padded.inputs[0])
    gathered = links.user("Gather", sums.outputs[0])
    means = links.after_cast(links.user("MatMul", gathered.outputs[0]).outputs[0])
    edges = links.upwards(gathered.inputs[1], *TO_EDGES)
    wide = links.made_by("Min", links.made_by("Concat", edges.inputs[0]).inputs[-1])
    share = links.made_by("Mul", wide.inputs[0])
    (context,), (max_context,) = (_numbers(graph, name) for name in (share.inputs[1], wide.inputs[1]))
    bins = graph.constants[edges.inputs[1]].dims[1] - 1
    dim = graph.inputs["features"][-1]
    classes = graph.outputs[TERMS[0]][-1]
    outputs: dict[str, Sequence[int | str]] = {TERMS[0]: ["M", classes or "C"], TERMS[1]: ["M"], TERMS[2]: ["M"]}
    return ScorerParts(
        _part(graph, links, {"features": ["T", dim or "D"]}, {"embedded": ["T", "E"]}, {"embedded": embedded}),
        _part(graph, links, {MEANS: ["M", bins, "E"], "segments": ["M", 2]}, outputs, {MEANS: means}),
        bins,
        context,
        max_context,
    )


def _part(
    graph: Graph,
    links: _Links,
    inputs: dict[str, Sequence[int | str]],
    outputs: dict[str, Sequence[int | str]],
    names: dict[str, str],
) -> bytes:
    """The nodes between inputs and outputs as a graph of its own. names: in the whole graph, where they differ."""
    sources = {names.get(name, name) for name in inputs}
    wanted = [names.get(name, name) for name in outputs]
    nodes, constants = links.needed(wanted, sources)
    new = {old: name for name, old in names.items()}
    encoded = []
    for node in nodes:
        here = node.renamed(new)
        encoded.append(encode_node(here.op, here.inputs, here.outputs, here.raw))
    return write_graph(encoded, [graph.constants[name].raw for name in constants], inputs, outputs, graph.frame)


class _Links:
    """Which node makes a value, and which nodes use it."""

    def __init__(self, graph: Graph) -> None:
        if not graph.plain:
            raise NotSeparableError("operators of an engine")
        self._graph = graph
        self._maker = {name: node for node in graph.nodes for name in node.outputs}

    def only(self, op: str) -> Node:
        """The one node of this operator."""
        return _single((node for node in self._graph.nodes if node.op == op), f"one {op}")

    def made_by(self, op: str, name: str) -> Node:
        """The node that makes a value, which must be of this operator."""
        node = self._maker.get(name)
        if node is None or node.op != op:
            raise NotSeparableError(f"{name} is not made by {op}")
        return node

    def user(self, op: str, name: str) -> Node:
        """The one node that uses a value, which must be of this operator."""
        node = _single((node for node in self._graph.nodes if name in node.inputs), f"one use of {name}")
        if node.op != op:
            raise NotSeparableError(f"{name} is used by {node.op}")
        return node

    def upwards(self, name: str, *ops: str) -> Node:
        """The node at the end of a chain of first inputs; every node in it must be of the next operator."""
        node = self.made_by(ops[0], name)
        for op in ops[1:]:
            node = self.made_by(op, node.inputs[0])
        return node

    def before_cast(self, name: str) -> str:
        """A value before it was cast."""
        node = self._maker.get(name)
        return node.inputs[0] if node is not None and node.op == "Cast" else name

    def after_cast(self, name: str) -> str:
        """A value after it is cast, if it is."""
        casts = [node for node in self._graph.nodes if node.op == "Cast" and name in node.inputs]
        return casts[0].outputs[0] if casts else name

    def needed(self, wanted: Iterable[str], sources: set[str]) -> tuple[list[Node], list[str]]:
        """The nodes in order and the constants from which values can be computed, given the sources."""
        missing, found, constants = list(wanted), set[str](), dict[str, None]()
        while missing:
            name = missing.pop()
            if name in found or name in sources or not name:
                continue
            found.add(name)
            if name in self._graph.constants:
                constants[name] = None
            elif name in self._maker:
                missing += self._maker[name].inputs
            else:
                raise NotSeparableError(f"{name} is used beside the pooling")
        return [node for node in self._graph.nodes if found & set(node.outputs)], list(constants)


def _single(nodes: Iterator[Node], what: str) -> Node:
    found = list(nodes)
    if len(found) != 1:
        raise NotSeparableError(f"not {what}")
    return found[0]


def _integers(graph: Graph, name: str) -> tuple[int, ...] | None:
    tensor = graph.constants.get(name)
    return None if tensor is None else tensor.integers


def _numbers(graph: Graph, name: str) -> tuple[float, ...]:
    """The values of a constant of float32 or float64."""
    tensor: Tensor = graph.constants[name]
    form, size = ("d", 8) if tensor.kind == DOUBLE else ("f", 4)
    fields = (value for number, value in read_fields(tensor.raw) if number in (4, 9, 10))
    raw = b"".join(value for value in fields if isinstance(value, bytes))
    return struct.unpack(f"<{len(raw) // size}{form}", raw)
