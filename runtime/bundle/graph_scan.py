"""What an ONNX graph may reach: nothing but itself.

An engine that is handed a graph as bytes resolves the external data it names against the working folder of the process,
so its answers depend on files that no manifest lists, and any readable file can be turned into scores. Such graphs are
refused here, before an engine sees them, by reading the protobuf wire format directly: the runtime has no `onnx`
package, and the check must not depend on one.

The walk enters every message that can hold a tensor or a node (main graph, subgraphs in attributes, functions, sparse
tensors, training information) and skips everything else unread. It accepts no more than protobuf's own parsers do:
what they reject, or could read in two ways, is refused as well. Time is bounded by `MOST_FIELDS`, memory by the depth.
"""

from __future__ import annotations

from ..errors import InputError

MOST_FIELDS = 4_000_000
"""Fields of one graph that are looked at; more are refused. About three seconds; a large backbone has 100,000."""
DEEPEST = 100
"""Messages inside messages, the limit of protobuf's own parsers."""

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING, _ENTRY = range(9)
# Message -> number of a field -> the message that it holds. From onnx.proto; other fields hold no tensor and no node.
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
_ORT_FORMAT = b"ORTM"  # identifier of ONNX Runtime's own format, which carries external data of its own
_ENGINE_FILE = b"EPContext"  # an operator that stands for a compiled engine, which may lie in a file beside the graph
_SESSION_OPTIONS = b"ort_config"  # metadata that ONNX Runtime can be made to read session options from
_EXTERNAL = "keeps data in another file (external data)"


class _Malformed(ValueError):
    """The bytes are no protobuf message."""


def check_graph(graph: bytes, name: str, *, opening: bool = True) -> None:
    """Raises InputError for a graph that refers to anything outside itself.

    name: of the graph, for the message. opening: an engine is given it next, so that bytes that cannot be followed to
    their end are refused as well; a bundle that is only loaded leaves that to whoever opens the graph. Whether the
    graph makes sense is left to the engine.
    """
    if graph[4:8] == _ORT_FORMAT:
        raise InputError(
            "graph-format", f"{name} is in ONNX Runtime's own format", "an ONNX graph", "export it as .onnx"
        )
    try:
        found = _scan(graph)
    except _Malformed as error:
        if not opening:
            return
        raise InputError(
            "graph-unreadable",
            f"cannot load {name}: it is not an ONNX graph ({error})",
            "a whole ONNX file",
            "export or copy it again",
        ) from None
    if found:
        raise InputError(
            "graph-external-data",
            f"{name} {found}",
            "graphs that hold all their data and refer to no file",
            "save the graph with its weights inside; for a backbone, `punctum export-backbone` does that",
        )


def _scan(data: bytes) -> str:
    """What the graph refers to outside itself, or ""."""
    above: list[tuple[int, int, int]] = []  # messages that hold this one: kind, where to go on, end
    kind, at, end = _MODEL, 0, len(data)
    inside = _INSIDE[kind]
    for _ in range(MOST_FIELDS):
        while at == end:
            if not above:
                return ""
            kind, at, end = above.pop()
            inside = _INSIDE[kind]
        # Nearly all tags and sizes are one byte; the general reader is four times as slow.
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
                raise _Malformed("it is cut off")
            into = inside.get(field)
            if into is not None:
                if len(above) + 1 >= DEEPEST:
                    raise _Malformed(f"graphs nested more than {DEEPEST} deep")
                above.append((kind, stop, end))
                kind, end, inside = into, stop, _INSIDE[into]
                continue
            if kind == _TENSOR and field == _TENSOR_EXTERNAL:
                return _EXTERNAL
            if kind == _NODE and field == _NODE_OPERATOR and data[at:stop] == _ENGINE_FILE:
                return "names a compiled engine (an EPContext node), which may lie in another file"
            if kind == _ENTRY and field == _ENTRY_KEY and data[at:stop] == _SESSION_OPTIONS:
                return "holds session options (ort_config in its metadata), which may make the engine write files"
            at = stop
        elif wire == 0:
            value, at = _varint(data, at, end, 10)
            if kind == _TENSOR and field == _TENSOR_LOCATION and value:
                return _EXTERNAL
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
            if at > end:
                raise _Malformed("it is cut off")
        else:  # groups, which ONNX never had, and numbers without a meaning
            raise _Malformed(f"a field of wire type {wire}")
    raise _Malformed(f"more than {MOST_FIELDS:,} fields")


def _varint(data: bytes, at: int, end: int, longest: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = 0
    for k in range(longest):
        if at >= end:
            raise _Malformed("it is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * k)
        if not byte & 0x80:
            return value, at
    raise _Malformed("a number of too many bytes")
