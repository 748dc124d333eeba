"""Small TensorFlow.js graph models, written node by node."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def numbers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


class Model:
    """Collects nodes and tensors; `files` gives the JSON and the weights as float16."""

    def __init__(self, height: int, width: int) -> None:
        self.shape = (1, height, width, 3)
        self.nodes: list[dict[str, Any]] = [{"name": "input", "op": "Placeholder", "attr": {}}]
        self.weights: dict[str, np.ndarray] = {}

    def constant(self, name: str, values: Any) -> str:
        array = np.asarray(values)
        self.weights[name] = array.astype(np.int32 if array.dtype.kind == "i" else np.float16)
        self.nodes.append({"name": name, "op": "Const", "attr": {}})
        return name

    def node(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})
        return name

    def convolution(
        self,
        name: str,
        source: str,
        weights: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        activation: str = "",
        stride: int = 1,
        padding: str = "SAME",
        deep: bool = False,
    ) -> str:
        """weights [height, width, inputs, outputs]; of a convolution of each channel, outputs is 1."""
        inputs = [source, self.constant(f"{name}/weights", weights)]
        attributes: dict[str, Any] = {
            "strides": numbers(1, stride, stride, 1),
            "dilations": numbers(1, 1, 1, 1),
            "padding": text(padding),
            "data_format": text("NHWC"),
        }
        fused = bias is not None
        if bias is not None:
            inputs.append(self.constant(f"{name}/bias", bias))
            applied = ["BiasAdd", *([activation] if activation else [])]
            attributes["fused_ops"] = {"list": {"s": [text(each)["s"] for each in applied]}}
        op = {
            (False, False): "Conv2D",
            (False, True): "_FusedConv2D",
            (True, False): "DepthwiseConv2dNative",
            (True, True): "FusedDepthwiseConv2dNative",
        }[deep, fused]
        return self.node(name, op, *inputs, **attributes)

    def files(self) -> tuple[bytes, bytes]:
        listed, data = [], b""
        for name, values in self.weights.items():
            entry: dict[str, Any] = {"name": name, "shape": list(values.shape), "dtype": "int32"}
            if values.dtype == np.float16:
                entry |= {"dtype": "float32", "quantization": {"dtype": "float16", "original_dtype": "float32"}}
            listed.append(entry)
            data += values.astype(values.dtype.newbyteorder("<")).tobytes()
        axes = [{"size": str(size)} for size in self.shape]
        record = {
            "format": "graph-model",
            "signature": {"inputs": {"input": {"name": "input", "tensorShape": {"dim": axes}}}},
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["weights.bin"], "weights": listed}],
        }
        return json.dumps(record).encode(), data


def brightness_movenet(size: int = 128) -> tuple[bytes, bytes]:
    """A model with the heads of MoveNet that sees every key point where the picture is brightest."""
    model = Model(size, size)
    model.node("StatefulPartitionedCall/stack", "ExpandDims", "input")
    mean = np.full((4, 4, 3, 1), 1 / 16)
    pooled = model.convolution("pooled", "StatefulPartitionedCall/stack", mean, stride=4, padding="VALID", deep=True)
    bright = np.full((1, 1, 3, 1), 8 / 255 / 3)

    def head(name: str, outputs: int, gain: float, bias: float) -> str:
        return model.convolution(
            f"StatefulPartitionedCall/{name}/BiasAdd",
            pooled,
            np.repeat(bright, outputs, axis=3) * gain,
            np.full(outputs, float(bias)),
        )

    model.node("StatefulPartitionedCall/Sigmoid", "Sigmoid", head("kpt_heatmap_0/conv2d_5", 17, 1, -4))
    model.node("StatefulPartitionedCall/Sigmoid_1", "Sigmoid", head("center_0/conv2d_4", 1, 1, -4))
    near = model.constant("near", np.ones((size // 4, size // 4, 1)))
    model.node("StatefulPartitionedCall/truediv_2", "Mul", "StatefulPartitionedCall/Sigmoid_1", near)
    head("kpt_regress_0/conv2d_6", 34, 0, 0)
    head("kpt_offset_0/conv2d_7", 34, 0, 0.5)
    return model.files()
