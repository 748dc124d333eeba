"""Reject ONNX graphs that refer to anything outside themselves.

An engine that gets a graph as bytes resolves external data against the working folder of the process. Its results then
depend on files that no manifest lists, and any readable file can be turned into scores. Such graphs are rejected here,
before an engine gets them, by reading the protobuf wire format directly: the runtime does not depend on the `onnx`
package, and neither may this check.

The scan enters every message that can contain a tensor or a node (main graph, subgraphs in attributes, functions,
sparse tensors, training information) and skips everything else. It accepts no more than protobuf's own parsers: what
they reject, or could read in two ways, is rejected as well. `MAX_FIELDS` bounds the time, the depth bounds the memory.
"""

from __future__ import annotations

from ..errors import InputError

MAX_FIELDS = 4_000_000
"""Fields of one graph; graphs with more are rejected. About three seconds; a large backbone has 100,000."""
MAX_DEPTH = 100
"""Nested messages, the limit of protobuf's own parsers."""

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING, _ENTRY = range(9)
# Message -> field number -> message in it. From onnx.proto; other fields contain no tensor and no node.
_INSIDE: tuple[dict[int, int], ...] = (
    {7: _GRAPH, 14: _ENTRY, 20: _TRAINING, 25: _FUNCTION},
    {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    {5: _ATTRIBUTE},
    {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    {},
    {1: _TENSOR, 2: _TENSOR},
    {7: _NODE, 11: _ATTRIBUTE},
    {1: _GRAPH, 2: _GRAPH},
    {},
)
_TENSOR_EXTERNAL, _TENSOR_LOCATION, _NODE_OPERATOR, _ENTRY_KEY = 13, 14, 4, 1
_ORT_FORMAT = b"ORTM"  # identifier of ONNX Runtime's own format, which has external data of its own
_ENGINE_FILE = b"EPContext"  # an operator for a compiled engine, which may be in a file beside the graph
_SESSION_OPTIONS = b"ort_config"  # metadata from which ONNX Runtime can be made to read session options
_EXTERNAL = "has data in another file (external data)"


class _Malformed(ValueError):
    """The bytes are not a protobuf message."""


def check_graph(graph: bytes, name: str, *, opening: bool = True) -> None:
    """Check that a graph refers to nothing outside itself. Whether it is valid is left to the engine.

    Args:
        graph: The ONNX file.
        name: The graph, for messages.
        opening: An engine opens it next, so bytes that cannot be read to their end are rejected too. Loading a bundle
            leaves that to the code that opens the graph.

    Raises:
        InputError: The graph refers to something outside itself.
    """
    if graph[4:8] == _ORT_FORMAT:
        raise InputError(
            "graph-format",
            f"{name} is in ONNX Runtime's own format",
            required="an ONNX graph",
            next_step="export it as .onnx",
        )
    try:
        reference = _scan(graph)
    except _Malformed as error:
        if not opening:
            return
        raise InputError(
            "graph-unreadable",
            f"Cannot load {name}: it is not an ONNX graph ({error})",
            next_step="export or copy it again",
        ) from None
    if reference:
        raise InputError(
            "graph-external-data",
            f"{name} {reference}",
            required="graphs that contain all their data and refer to no file",
            next_step="save the graph with its weights inside; for a backbone, `punctum export-backbone` does that",
        )


def _scan(data: bytes) -> str:
    """What the graph refers to outside itself, or ""."""
    parents: list[tuple[int, int, int]] = []  # enclosing messages: kind, where to continue, end
    kind, at, end = _MODEL, 0, len(data)
    inside = _INSIDE[kind]
    for _ in range(MAX_FIELDS):
        while at == end:
            if not parents:
                return ""
            kind, at, end = parents.pop()
            inside = _INSIDE[kind]
        # Nearly all tags and sizes are one byte; the general reader takes four times as long.
        tag = data[at]
        at += 1
        if tag & 0x80:
            tag, at = _varint(data, at - 1, end, 5)
        field, wire = tag >> 3, tag & 7
        if field == 0 or tag >> 32:
            raise _Malformed("a field without a number")
        if wire == 2:
            size, at = (data[at], at + 1) if at < end and data[at] < 0x80 else _varint(data, at, end, 5)
            stop = at + size
            if stop > end:
                raise _Malformed("it is truncated")
            into = inside.get(field)
            if into is not None:
                if len(parents) + 1 >= MAX_DEPTH:
                    raise _Malformed(f"graphs nested more than {MAX_DEPTH} deep")
                parents.append((kind, stop, end))
                kind, end, inside = into, stop, _INSIDE[into]
                continue
            if kind == _TENSOR and field == _TENSOR_EXTERNAL:
                return _EXTERNAL
            if kind == _NODE and field == _NODE_OPERATOR and data[at:stop] == _ENGINE_FILE:
                return "names a compiled engine (an EPContext node), which may be in another file"
            if kind == _ENTRY and field == _ENTRY_KEY and data[at:stop] == _SESSION_OPTIONS:
                return "contains session options (ort_config in its metadata), which may make the engine write files"
            at = stop
        elif wire == 0:
            value, at = _varint(data, at, end, 10)
            if kind == _TENSOR and field == _TENSOR_LOCATION and value:
                return _EXTERNAL
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
            if at > end:
                raise _Malformed("it is truncated")
        else:  # groups, which ONNX has never used, and undefined wire types
            raise _Malformed(f"a field of wire type {wire}")
    raise _Malformed(f"more than {MAX_FIELDS:,} fields")


def _varint(data: bytes, at: int, end: int, longest: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = 0
    for k in range(longest):
        if at >= end:
            raise _Malformed("it is truncated")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * k)
        if not byte & 0x80:
            return value, at
    raise _Malformed("a number of too many bytes")
