"""Graphs that refer to other files are refused, wherever in the graph they do; judged against the onnx package."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.bundle.graph_scan import MAX_DEPTH, check_graph

onnx = pytest.importorskip("onnx")
from onnx import AttributeProto, helper, numpy_helper  # noqa: E402

PLACES = (
    "initializer",
    "sparse values",
    "sparse indices",
    "attribute",
    "attribute tensors",
    "attribute sparse",
    "attribute sparse list",
    "subgraph",
    "subgraphs",
    "function",
    "function default",
    "training",
    "training algorithm",
)


def tensor(external: bool, *, location: bool = True) -> onnx.TensorProto:
    made = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    if external:
        made.ClearField("raw_data")
        for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "16")):
            entry = made.external_data.add()
            entry.key, entry.value = key, value
        if location:
            made.data_location = onnx.TensorProto.EXTERNAL
    return made


def sparse(values: onnx.TensorProto, indices: onnx.TensorProto) -> onnx.SparseTensorProto:
    made = onnx.SparseTensorProto(dims=[8])
    made.values.CopyFrom(values)
    made.indices.CopyFrom(indices)
    return made


def put(model: onnx.ModelProto, graph: onnx.GraphProto, place: str, external: bool, depth: int) -> None:
    """A tensor at a place of a graph, or of a graph that many levels further in."""
    for _ in range(depth):
        node = graph.node.add(op_type="If")
        attribute = node.attribute.add(name="then_branch", type=AttributeProto.GRAPH)
        graph = attribute.g
    held = tensor(external)
    node = graph.node.add(op_type="Constant", name="n", output=["o"])
    attribute = node.attribute.add(name="value")
    if place == "initializer":
        graph.initializer.append(held)
    elif place == "sparse values":
        graph.sparse_initializer.append(sparse(held, tensor(False)))
    elif place == "sparse indices":
        graph.sparse_initializer.append(sparse(tensor(False), held))
    elif place == "attribute":
        attribute.t.CopyFrom(held)
    elif place == "attribute tensors":
        attribute.tensors.extend([tensor(False), held])
    elif place == "attribute sparse":
        attribute.sparse_tensor.CopyFrom(sparse(held, tensor(False)))
    elif place == "attribute sparse list":
        attribute.sparse_tensors.append(sparse(tensor(False), held))
    elif place == "subgraph":
        attribute.g.initializer.append(held)
    elif place == "subgraphs":
        attribute.graphs.add().node.add().attribute.add().t.CopyFrom(held)
    elif place == "function":
        model.functions.add(name="f", domain="d").node.add(op_type="C").attribute.add().t.CopyFrom(held)
    elif place == "function default":
        model.functions.add(name="f", domain="d").attribute_proto.add().t.CopyFrom(held)
    elif place == "training":
        model.training_info.add().initialization.initializer.append(held)
    else:
        model.training_info.add().algorithm.initializer.append(held)


def model_with(place: str, *, external: bool, depth: int = 0) -> onnx.ModelProto:
    model = onnx.ModelProto(ir_version=9, producer_name="test", doc_string="x" * 200)
    model.graph.name = "g"
    model.graph.input.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["T", 300]))
    put(model, model.graph, place, False, 0)
    put(model, model.graph, place, external, depth)
    return model


def refers_outside(message) -> bool:
    """What the scanner looks for, by protobuf's own reflection."""
    if isinstance(message, onnx.TensorProto) and (message.external_data or message.data_location):
        return True
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            children = value if hasattr(value, "__len__") else [value]
            if any(refers_outside(child) for child in children):
                return True
    return False


def code(data: bytes) -> str:
    try:
        check_graph(data, "the graph")
    except InputError as error:
        return error.code
    return ""


@pytest.mark.parametrize("depth", [0, 3])
@pytest.mark.parametrize("place", PLACES)
def test_external_data_wherever_it_lies(place, depth):
    assert code(model_with(place, external=False, depth=depth).SerializeToString()) == ""
    data = model_with(place, external=True, depth=depth).SerializeToString()
    assert code(data) == "graph-external-data"


def test_external_data_without_the_location_that_announces_it():
    model = onnx.ModelProto(ir_version=9)
    model.graph.initializer.append(tensor(True, location=False))
    assert code(model.SerializeToString()) == "graph-external-data"


def test_engines_and_session_options_that_lie_in_other_files():
    model = onnx.ModelProto(ir_version=9)
    model.graph.node.add(op_type="EPContext", domain="com.microsoft")
    assert code(model.SerializeToString()) == "graph-external-data"
    model = onnx.ModelProto(ir_version=9)
    model.metadata_props.add(key="ort_config", value='{"session_options": {"enable_profiling": 1}}')
    assert code(model.SerializeToString()) == "graph-external-data"


def test_the_format_of_onnxruntime_is_refused():
    assert code(b"\x18\0\0\0ORTM" + bytes(100)) == "graph-format"


@pytest.mark.parametrize(
    "data",
    [
        b"\x3a",  # a graph without its length
        b"\x3a\x7f\x00",  # longer than the file
        b"\x3a\xff\xff\xff\xff\xff\x01",  # a length of six bytes
        b"\x03",  # a field without a number
        b"\x0b\x0c",  # a group
        b"\x08" + b"\xff" * 11,  # a number that does not end
        b"\x09\x00",  # eight bytes of which one is there
    ],
)
def test_bytes_that_are_no_message(data):
    assert code(data) == "graph-unreadable"


@pytest.mark.slow
def test_depth_and_number_of_fields_are_bounded():
    data = b""
    for _ in range(MAX_DEPTH + 5):  # graphs in attributes of nodes of graphs
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            size = len(data)
            length = b""
            while size > 0x7F:
                length, size = length + bytes([0x80 | size & 0x7F]), size >> 7
            data = tag + length + bytes([size]) + data
    size = len(data)
    head = b"\x3a" + bytes([0x80 | size & 0x7F, 0x80 | size >> 7 & 0x7F, size >> 14])
    assert code(head + data) == "graph-unreadable"
    assert code(b"\x08\x01" * 4_100_000) == "graph-unreadable"


@settings(max_examples=300)
@given(st.data())
def test_nothing_that_protobuf_reads_as_external_passes(data):
    """Damaged graphs: what the onnx package still parses, and finds external data in, must not pass."""
    place, depth = data.draw(st.sampled_from(PLACES)), data.draw(st.integers(0, 2))
    raw = bytearray(model_with(place, external=data.draw(st.booleans()), depth=depth).SerializeToString())
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    for _ in range(data.draw(st.integers(0, 4))):
        k, kind = rng.randrange(len(raw)), rng.random()
        if kind < 0.5:
            raw[k] = rng.choice((0, 1, 2, 0x6A, 0x70, 0x7A, 0x80, 0xFF, rng.randrange(256)))
        elif kind < 0.75:
            raw[k:k] = bytes([rng.choice((0x70, 0x01, 0x6A, 0x00, rng.randrange(256)))])
        else:
            del raw[k]
    try:
        parsed = onnx.ModelProto.FromString(bytes(raw))
    except Exception:  # noqa: BLE001 - what protobuf refuses, an engine refuses
        return
    if refers_outside(parsed):
        assert code(bytes(raw))
