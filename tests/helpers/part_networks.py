"""Small networks of images as ONNX files, written node by node."""

from __future__ import annotations

from typing import Any

import numpy as np

SPEC = {
    "fps": 10,
    "snippet_frames": 2,
    "clip_frames": 2,
    "height": 20,
    "width": 24,
    "resize": "stretch",
    "mean": [0.43, 0.39, 0.37],
    "std": [0.22, 0.25, 0.21],
}
DIM = 6


def image_network(
    *,
    seed: int = 0,
    batch: int | str = "N",
    height: int = 20,
    width: int = 24,
    layout: str = "NCHW",
    opset: int = 18,
    dim: int = DIM,
    output_nodes: tuple[Any, ...] = (),
    output: str = "features",
    kind: int | None = None,
    imports: tuple[Any, ...] = (),
) -> bytes:
    """Convolution, ReLU and the mean over the picture -> pooled [N, DIM], then `output_nodes`."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    tensors = [
        numpy_helper.from_array(rng.normal(0, 0.5, (dim, 3, 3, 3)).astype(np.float32), "w"),
        numpy_helper.from_array(rng.normal(0, 0.1, dim).astype(np.float32), "b"),
        numpy_helper.from_array(np.float32(np.nan), "nan"),
        numpy_helper.from_array(np.array([1, 70_000], np.int64), "many"),
    ]
    nodes = []
    first, shape = "x", [batch, 3, height, width]
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 3, 1, 2]))
        first, shape = "turned", [batch, height, width, 3]
    if opset >= 18:
        tensors.append(numpy_helper.from_array(np.array([2, 3], np.int64), "axes"))
        mean = helper.make_node("ReduceMean", ["r", "axes"], ["pooled"], keepdims=0)
    else:
        mean = helper.make_node("ReduceMean", ["r"], ["pooled"], axes=[2, 3], keepdims=0)
    nodes += [helper.make_node("Conv", [first, "w", "b"], ["c"]), helper.make_node("Relu", ["c"], ["r"]), mean]
    nodes += output_nodes or [helper.make_node("Identity", ["pooled"], [output])]
    graph = helper.make_graph(
        nodes,
        "images",
        [helper.make_tensor_value_info("x", kind or TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), *imports], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def node(*arguments: Any, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(*arguments, **attributes)
