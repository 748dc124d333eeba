"""An ONNX graph as nodes, constants and names, read from its file and written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...datatypes import compact
from .wire import Field, Fixed, Malformed, Value, int64s, numbers, read_fields, signed, write_fields

Attribute = int | list[int] | Fixed | bytes
"""An integer, integers, a float as its four bytes, or a text. Others are left as they are."""

FLOAT, INT64 = 1, 7  # onnx.TensorProto
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 3, 4, 5, 7
_TYPE_INT, _TYPE_INTS = 2, 7


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Node:
    """One operator.

    Attributes:
        op: Its name; with its domain if that is not ONNX's own.
        inputs: Names; "" for one that is left out.
        outputs: Names.
        attributes: What `Attribute` can hold; others only in `raw`.
        raw: Every attribute as it is written, by name.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    raw: Mapping[str, bytes] = field(default_factory=dict)

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def integers(self, name: str) -> list[int] | None:
        """An attribute that is a list of integers; None if the node does not have it."""
        value = self.attributes.get(name)
        return value if isinstance(value, list) else None

    def renamed(self, names: Mapping[str, str]) -> Node:
        """The node with other names of values."""
        inputs, outputs = (tuple(names.get(name, name) for name in values) for values in (self.inputs, self.outputs))
        return replace(self, inputs=inputs, outputs=outputs)

    def encoded(self, inputs: Sequence[str], outputs: Sequence[str], changes: Mapping[str, Sequence[int]]) -> bytes:
        """The node on other values, with some attributes replaced."""
        raw = {**self.raw, **{name: _attribute(name, value) for name, value in changes.items()}}
        return encode_node(self.op, inputs, outputs, raw)


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Tensor:
    """A constant: its dimensions, its values if they are int64, and how it is written."""

    dims: tuple[int, ...]
    kind: int
    integers: tuple[int, ...] | None
    raw: bytes


@dataclass(slots=True)
class Graph:
    """The main graph of a model.

    Attributes:
        nodes: In an order in which they can run.
        constants: By name.
        inputs: Name -> dimensions; None for a free one.
        outputs: As `inputs`.
        frame: The model's other fields: versions and operator sets.
        plain: Nothing but nodes and constants: no functions, no sparse constants, no operators of other domains.
    """

    nodes: list[Node]
    constants: dict[str, Tensor]
    inputs: dict[str, tuple[int | None, ...]]
    outputs: dict[str, tuple[int | None, ...]]
    frame: list[Field]
    plain: bool


def read_graph(data: bytes) -> Graph:
    """Read an ONNX file. Raises Malformed."""
    frame = list[Field]()
    body, plain = b"", True
    for number, value in read_fields(data):
        if number == 7:
            body = _bytes(value)
        elif number in (1, 8):  # version of the format, operator sets
            frame.append((number, value))
        elif number in (20, 25):  # training information, functions
            plain = False
    graph = Graph([], {}, {}, {}, frame, plain)
    for number, value in read_fields(body):
        if number == 1:
            node = _read_node(_bytes(value))
            graph.nodes.append(node)
            graph.plain &= "." not in node.op
        elif number == 5:
            name, tensor = _read_tensor(_bytes(value))
            graph.constants[name] = tensor
        elif number in (11, 12):
            name, dims = _read_value(_bytes(value))
            (graph.inputs if number == 11 else graph.outputs)[name] = dims
        elif number == 15:
            graph.plain = False
    return graph


def write_graph(
    nodes: Sequence[bytes],
    constants: Sequence[bytes],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    frame: Sequence[Field],
) -> bytes:
    """An ONNX file of encoded nodes and constants; inputs and outputs are float32."""
    body: list[Field] = [(1, node) for node in nodes]
    body += [(2, b"step"), *((5, tensor) for tensor in constants)]
    body += [(11, _value(name, dims)) for name, dims in inputs.items()]
    body += [(12, _value(name, dims)) for name, dims in outputs.items()]
    return write_fields([*frame, (7, write_fields(body))])


def encode_node(op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, bytes]) -> bytes:
    """A node with encoded attributes."""
    fields: list[Field] = [(_NODE_INPUT, name.encode()) for name in inputs]
    fields += [(_NODE_OUTPUT, name.encode()) for name in outputs]
    fields += [(_NODE_NAME, f"step_{outputs[0]}".encode()), (_NODE_OPERATOR, op.encode())]
    return write_fields([*fields, *((_NODE_ATTRIBUTE, value) for value in attributes.values())])


def encode_axis(axis: int) -> dict[str, bytes]:
    """The attribute `axis`."""
    return {"axis": write_fields([(1, b"axis"), (3, axis), (20, _TYPE_INT)])}


def encode_integers(name: str, values: Sequence[int]) -> bytes:
    """A constant int64 [n]."""
    raw = b"".join(value.to_bytes(8, "little", signed=True) for value in values)
    return write_fields([(1, len(values)), (2, INT64), (8, name.encode()), (9, raw)])


def _attribute(name: str, values: Sequence[int]) -> bytes:
    return write_fields([(1, name.encode()), *((8, value) for value in values), (20, _TYPE_INTS)])


def _read_node(data: bytes) -> Node:
    inputs, outputs, op, domain = list[str](), list[str](), "", ""
    attributes, raw = dict[str, Attribute](), dict[str, bytes]()
    for number, value in read_fields(data):
        if number == _NODE_INPUT:
            inputs.append(_text(value))
        elif number == _NODE_OUTPUT:
            outputs.append(_text(value))
        elif number == _NODE_OPERATOR:
            op = _text(value)
        elif number == _NODE_DOMAIN:
            domain = _text(value)
        elif number == _NODE_ATTRIBUTE:
            name, attribute = _read_attribute(_bytes(value))
            raw[name] = _bytes(value)
            if attribute is not None:
                attributes[name] = attribute
    other = domain not in ("", "ai.onnx")
    return Node(f"{domain}.{op}" if other else op, tuple(inputs), tuple(outputs), attributes, raw)


def _read_attribute(data: bytes) -> tuple[str, Attribute | None]:
    name, kind, integers = "", 0, list[int]()
    attribute: Attribute | None = None
    for number, value in read_fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2 and isinstance(value, Fixed):
            attribute = value
        elif number == 3 and isinstance(value, int):
            attribute = signed(value)
        elif number in (4, 5):  # a text, a tensor
            attribute = _bytes(value)
        elif number == 8:
            integers += numbers(value)
        elif number == 20 and isinstance(value, int):
            kind = value
    if attribute is None and kind == _TYPE_INT:
        return name, 0  # 0 may be left out
    return name, integers if integers or kind == _TYPE_INTS else attribute


def _read_tensor(data: bytes) -> tuple[str, Tensor]:
    dims, kind, name, raw, listed = list[int](), 0, "", b"", list[int]()
    for number, value in read_fields(data):
        if number == 1:
            dims += numbers(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 7:
            listed += numbers(value)
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = _bytes(value)
    integers = tuple(listed or int64s(raw)) if kind == INT64 else None
    return name, Tensor(tuple(dims), kind, integers, data)


def read_constant(node: Node) -> Tensor | None:
    """The tensor of a Constant node."""
    value = node.attributes.get("value")
    return _read_tensor(value)[1] if isinstance(value, bytes) else None


def _read_value(data: bytes) -> tuple[str, tuple[int | None, ...]]:
    """Name and dimensions of an input or output."""
    name, dims = "", list[int | None]()
    for number, value in read_fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            tensor = dict(read_fields(_bytes(value))).get(1, b"")
            shape = dict(read_fields(_bytes(tensor))).get(2, b"")
            for inner, dim in read_fields(_bytes(shape)):
                size = dict(read_fields(_bytes(dim))).get(1)
                if inner == 1:
                    dims.append(size if isinstance(size, int) else None)
    return name, tuple(dims)


def _value(name: str, dims: Sequence[int | str]) -> bytes:
    shape = [write_fields([(1, d) if isinstance(d, int) else (2, d.encode())]) for d in dims]
    tensor = write_fields([(1, FLOAT), (2, write_fields([(1, dim) for dim in shape]))])
    return write_fields([(1, name.encode()), (2, write_fields([(1, tensor)]))])


def _bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    raise Malformed("a number in place of a message")


def _text(value: Value) -> str:
    return _bytes(value).decode()
