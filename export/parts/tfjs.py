"""TensorFlow.js graph models as nodes of an ONNX graph: the operations of convolutional networks of images.

Such a model is a JSON file with the nodes of TensorFlow's graph and a list of its tensors, whose values follow each
other in a binary file. TensorFlow keeps channels last; here they come second, as everywhere in ONNX.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.runtime.datatypes import by_value
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import shown

from .nodes import Nodes

Array = npt.NDArray[Any]
_STORED = {"float16": "<f2", "float32": "<f4", "int32": "<i4"}
_ACTIVATIONS = {"Relu": None, "Relu6": 6.0}
_CONVOLUTIONS = ("Conv2D", "_FusedConv2D")
_DEPTHWISE = ("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative")
_BINARY = {"Add": "Add", "AddV2": "Add", "Sub": "Sub", "Mul": "Mul", "RealDiv": "Div"}


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GraphModel:
    """A TensorFlow.js graph model.

    Attributes:
        name: For messages.
        nodes: Its nodes by name: operation, inputs, attributes.
        tensors: Its constants by name, in the order of axes of TensorFlow.
        input_shape: Shape of its input, batch first and channels last.
    """

    name: str
    nodes: Mapping[str, Mapping[str, Any]]
    tensors: Mapping[str, Array]
    input_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A tensor [N, channels, height, width] of the ONNX graph."""

    tensor: str
    channels: int
    height: int
    width: int


def read_graph_model(topology: bytes, weights: bytes, name: str) -> GraphModel:
    """Read a model.

    Args:
        topology: The JSON file.
        weights: The binary file.
        name: Of the network, for messages.

    Raises:
        InputError: The files are damaged or do not belong together, or the weights are stored in an unknown way.
    """
    try:
        record = json.loads(topology)
        nodes = {node["name"]: node for node in record["modelTopology"]["node"]}
        (taken,) = record["signature"]["inputs"].values()
        shape = tuple(int(axis["size"]) for axis in taken["tensorShape"]["dim"])
        listed = [entry for group in record["weightsManifest"] for entry in group["weights"]]
        tensors: dict[str, Array] = {}
        at = 0
        for entry in listed:
            stored = entry.get("quantization", {"dtype": entry["dtype"]})
            if stored["dtype"] not in _STORED or "scale" in stored:
                raise ValueError(f"weights stored as {stored}")
            kind, count = np.dtype(_STORED[stored["dtype"]]), int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(weights, kind, count, at).reshape(entry["shape"])
            tensors[entry["name"]] = values.astype(np.float32) if kind.kind == "f" else values.astype(np.int64)
            at += count * kind.itemsize
        if at != len(weights):
            raise ValueError(f"{len(weights):,} bytes of weights where {at:,} are listed")
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise _unfit(name, f"are no TensorFlow.js graph model ({type(error).__name__}: {error})") from None
    return GraphModel(name, nodes, tensors, shape)


def convert(model: GraphModel, writer: Nodes, fed: Mapping[str, Picture], wanted: Sequence[str]) -> list[Picture]:
    """Write what some tensors of a model need, as nodes of an ONNX graph.

    Args:
        model: The model. It may be written several times; its constants are stored once.
        writer: The graph.
        fed: Tensors of the ONNX graph in place of tensors of the model, by the names of the latter.
        wanted: Names of the tensors that are needed.

    Returns:
        The tensors of the ONNX graph.

    Raises:
        InputError: The model lacks a tensor, or has operations that are not known here.
    """
    made = dict(fed)
    try:
        for name in wanted:
            pending = [name]
            while pending:
                current = pending[-1]
                node = model.nodes[current]
                sources = [_plain(source) for source in node.get("input", ())]
                missing = [s for s in sources if s not in made and s not in model.tensors]
                if current in made or not missing:
                    pending.pop()
                    if current not in made:
                        made[current] = _write(model, writer, node, sources, made)
                elif len(pending) > len(model.nodes):
                    raise ValueError(f"{current} needs itself")
                else:
                    pending += missing
        return [made[name] for name in wanted]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _unfit(model.name, f"cannot be converted ({type(error).__name__}: {error})") from None


def _write(
    model: GraphModel, writer: Nodes, node: Mapping[str, Any], sources: list[str], made: Mapping[str, Picture]
) -> Picture:
    kind = node["op"]
    if kind in (*_CONVOLUTIONS, *_DEPTHWISE):
        return _convolution(model, writer, node, made[sources[0]], sources[1:])
    if kind in _BINARY:
        return _binary(model, writer, _BINARY[kind], sources, made)
    picture = made[sources[0]]
    if kind == "Sigmoid":
        return _like(picture, writer.add("Sigmoid", picture.tensor))
    if kind in _ACTIVATIONS:
        return _like(picture, _activated(writer, picture.tensor, kind))
    if kind == "Identity":
        return picture
    if kind == "ResizeBilinear":
        return _resized(model, writer, node, picture, sources[1])
    raise ValueError(f"the operation {shown(kind, 40)} is not known here")


def _convolution(
    model: GraphModel, writer: Nodes, node: Mapping[str, Any], picture: Picture, sources: list[str]
) -> Picture:
    weights = model.tensors[sources[0]]
    deep = node["op"] in _DEPTHWISE
    tall, wide, inputs, outputs = weights.shape
    if inputs != picture.channels or _text(node, "data_format", "NHWC") != "NHWC" or (deep and outputs != 1):
        raise ValueError(f"{shown(node['name'], 80)} takes {inputs} channels of {picture.channels}")
    _, down, across, _ = _numbers(node, "strides")
    if any(step != 1 for step in _numbers(node, "dilations") or [1]):
        raise ValueError(f"{shown(node['name'], 80)} is dilated")
    turned = weights.transpose(2, 3, 0, 1) if deep else weights.transpose(3, 2, 0, 1)
    padding = _text(node, "padding", "")
    (top, bottom, height), (left, right, width) = (
        _padded(size, kernel, step, padding)
        for size, kernel, step in ((picture.height, tall, down), (picture.width, wide, across))
    )
    given = [picture.tensor, writer.constant(turned, sources[0])]
    fused = [_decoded(each) for each in node["attr"].get("fused_ops", {}).get("list", {}).get("s", ())]
    if fused[:1] == ["BiasAdd"]:
        given.append(writer.constant(model.tensors[sources[1]], sources[1]))
    if len(fused) > 2 or (fused and fused[0] != "BiasAdd") or any(each not in _ACTIVATIONS for each in fused[1:]):
        raise ValueError(f"{shown(node['name'], 80)} applies {fused}")
    tensor = writer.add(
        "Conv",
        *given,
        kernel_shape=[tall, wide],
        strides=[down, across],
        pads=[top, left, bottom, right],
        group=inputs if deep else 1,
    )
    if fused[1:]:
        tensor = _activated(writer, tensor, fused[1])
    return Picture(tensor, inputs if deep else outputs, height, width)


def _padded(size: int, kernel: int, step: int, padding: str) -> tuple[int, int, int]:
    """Rows added before and after, and rows of the result, as TensorFlow counts them."""
    if padding == "VALID":
        return 0, 0, (size - kernel) // step + 1
    if padding != "SAME":
        raise ValueError(f"padding is {shown(padding, 40)}")
    result = -(-size // step)
    total = max((result - 1) * step + kernel - size, 0)
    return total // 2, total - total // 2, result


def _binary(model: GraphModel, writer: Nodes, kind: str, sources: list[str], made: Mapping[str, Picture]) -> Picture:
    """An operation on two pictures, or on a picture and a constant."""
    pictures = [made[source] for source in sources if source in made]
    given = []
    for source in sources:
        if source in made:
            given.append(made[source].tensor)
        else:
            values = model.tensors[source]
            shape = (1,) * (4 - values.ndim) + values.shape
            given.append(writer.constant(values.reshape(shape).transpose(0, 3, 1, 2), source))
    if any((p.channels, p.height, p.width) != (pictures[0].channels, pictures[0].height, pictures[0].width)
           for p in pictures):  # fmt: skip
        raise ValueError(f"{kind} of pictures of different sizes")
    return _like(pictures[0], writer.add(kind, *given))


def _resized(model: GraphModel, writer: Nodes, node: Mapping[str, Any], picture: Picture, size: str) -> Picture:
    height, width = (int(n) for n in model.tensors[size])
    attributes = node["attr"]
    if attributes.get("align_corners", {}).get("b") or not attributes.get("half_pixel_centers", {}).get("b"):
        raise ValueError("an interpolation that does not count from the centers of pixels")
    # The operator rounds sizes down, so that a ratio which is not exact must not be too small.
    ratios = [
        np.nextafter(np.float32(a / b), np.float32(np.inf)) if a % b else a // b
        for a, b in ((height, picture.height), (width, picture.width))
    ]
    scales = writer.constant(np.array([1, 1, *ratios], np.float32))
    tensor = writer.add(
        "Resize", picture.tensor, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"
    )
    return Picture(tensor, picture.channels, height, width)


def _activated(writer: Nodes, tensor: str, kind: str) -> str:
    most = _ACTIVATIONS[kind]
    if most is None:
        return writer.add("Relu", tensor)
    return writer.add("Clip", tensor, writer.constant(0.0, "zero"), writer.constant(most, "six"))


def _like(picture: Picture, tensor: str) -> Picture:
    return Picture(tensor, picture.channels, picture.height, picture.width)


def _plain(source: str) -> str:
    """The name of an input without the number of its output."""
    return source.removesuffix(":0")


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(f"the attribute {shown(text, 40)} is no text") from None


def _text(node: Mapping[str, Any], key: str, default: str) -> str:
    value = node["attr"].get(key)
    return default if value is None else _decoded(value["s"])


def _numbers(node: Mapping[str, Any], key: str) -> list[int]:
    return [int(value) for value in node["attr"].get(key, {}).get("list", {}).get("i", ())]


def _unfit(name: str, given: str) -> InputError:
    return InputError(
        "part-weights",
        f"The files of {name} {given}",
        "the published files",
        f"fetch them again with `punctum backbones fetch {name}`",
    )
