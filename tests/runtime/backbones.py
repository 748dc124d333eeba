"""A small convolutional backbone as an ONNX graph, and videos to feed it. Made here, needs no torch."""

from __future__ import annotations

import numpy as np
from punctum.runtime.video.backbone import VideoBackbone
from punctum.runtime.video.spec import BackboneSpec

DIM = 4


def spec(**changes) -> BackboneSpec:
    """Clips of 5 frames every 2 frames, at 10 frames a second."""
    values = {
        "fps": 10.0,
        "clip_frames": 5,
        "snippet_frames": 2,
        "height": 12,
        "width": 16,
        "mean": (0.4, 0.5, 0.45),
        "std": (0.2, 0.25, 0.3),
        "resize": "stretch",
    }
    return BackboneSpec.model_validate(values | changes)


def graph(
    of: BackboneSpec, *, dim: int = DIM, seed: int = 0, batch: int | str = "N", outputs: str | None = None
) -> bytes:
    """Conv3d, ReLU, mean over time and space, Gemm."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    hidden = 6
    weights = {
        "w": rng.normal(0, 0.5, (hidden, of.channels, 3, 3, 3)),
        "b": rng.normal(0, 0.1, hidden),
        "v": rng.normal(0, 1, (hidden, dim)),
        "u": rng.normal(0, 0.1, dim),
    }
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    tensors.append(numpy_helper.from_array(np.array([2, 3, 4], np.int64), "axes"))
    nodes = []
    first = of.input
    if of.layout == "NTCHW":
        nodes.append(helper.make_node("Transpose", [first], ["turned"], perm=[0, 2, 1, 3, 4]))
        first = "turned"
    nodes += [
        helper.make_node("Conv", [first, "w", "b"], ["c"], kernel_shape=[3, 3, 3], pads=[1] * 6),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r", "axes"], ["m"], keepdims=0),
        helper.make_node("Gemm", ["m", "v", "u"], [outputs or of.output]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "backbone",
            [helper.make_tensor_value_info(of.input, TensorProto.FLOAT, [batch, *of.clip_shape])],
            [helper.make_tensor_value_info(outputs or of.output, TensorProto.FLOAT, [batch, dim])],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    return model.SerializeToString()


def backbone(seed: int = 0, **changes) -> VideoBackbone:
    of = spec(**changes)
    return VideoBackbone.from_graph(graph(of, seed=seed), of)


def images(count: int, seed: int = 0, rows: int = 24, columns: int = 30) -> list[np.ndarray]:
    """Frames that differ everywhere and change slowly."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 200, (rows, columns, 3))
    return [np.clip(np.roll(base, 2 * t, axis=1) + 3 * t % 50, 0, 255).astype(np.uint8) for t in range(count)]
