"""A small convolutional backbone as an ONNX graph, and videos to feed it. Made here, needs no torch."""

from __future__ import annotations

import numpy as np
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.extractor import Extractor
from punctum.runtime.bundle.backbone_spec import BackboneSpec

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


def locator(examples: np.ndarray, classes: int = 2, seed: int = 3) -> bytes:
    """Class tracks: a logistic of features, smoothed over three snippets, that is now high and now low on examples."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    dim = examples.shape[1]
    weights = rng.normal(0, 1, (classes, dim))
    seen = examples @ weights.T
    weights *= (2.5 / (seen.std(axis=0) + 1e-9))[:, None]
    bias = -np.quantile(examples @ weights.T, 0.6, axis=0)
    kernel = np.repeat(weights[..., None], 3, axis=2) / 3
    tensors = [
        numpy_helper.from_array(kernel.astype(np.float32), "w"),
        numpy_helper.from_array(bias.astype(np.float32), "b"),
        numpy_helper.from_array(np.array([2], np.int64), "axis"),
    ]
    nodes = [
        helper.make_node("Transpose", ["features"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["t", "w", "b"], ["c"], kernel_shape=[3], pads=[1, 1]),
        helper.make_node("Transpose", ["c"], ["l"], perm=[0, 2, 1]),
        helper.make_node("Sigmoid", ["l"], ["class_track"]),
        helper.make_node("ReduceMax", ["class_track", "axis"], ["actionness"], keepdims=0),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "locator",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", "T", dim])],
            [
                helper.make_tensor_value_info("class_track", TensorProto.FLOAT, ["B", "T", classes]),
                helper.make_tensor_value_info("actionness", TensorProto.FLOAT, ["B", "T"]),
            ],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    return model.SerializeToString()


def write_bundle(path, of: BackboneSpec | None, *, name: str = "video") -> str:
    """A bundle that runs: locator, no second graph, and the backbone of `of` with its fingerprint."""
    from punctum.runtime.backbone.fingerprint import make_fingerprint
    from punctum.runtime.bundle.config import FeatureSpec, Graph, PostProcess
    from punctum.runtime.bundle.writer import write_bundle as write

    seen = of or spec()
    made = VideoBackbone.from_graph(graph(seen), seen)
    extractor = Extractor(made)
    files = {"locator.onnx": locator(np.concatenate([extractor.push(image) for image in scene(300)]))}
    if of is not None:
        files[of.file] = graph(of)
        of = of.model_copy(update={"fingerprint": make_fingerprint(made)})
    return write(
        path,
        name=name,
        version="1.0",
        labels=("left", "right"),
        features=FeatureSpec(dim=DIM, stride_s=seen.stride_s),
        locator=Graph(file="locator.onnx", left=1, right=1),
        center=None,
        post=PostProcess(right_context_s=0.5),
        files=files,
        precision={},
        provenance={},
        backbone=of,
    )


def write_video(path, frames, *, rate: int = 10, pause: tuple[int, int] = (0, 0)) -> None:
    """Frames [H, W, 3] as an H.264 file. pause: before that frame nothing comes for so many frames."""
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for k, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k + (pause[1] if k >= pause[0] else 0), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def scene(count: int, seed: int = 0, rows: int = 48, columns: int = 64) -> list[np.ndarray]:
    """A bright block that stands still, moves and changes color at times; on a dark ground."""
    rng = np.random.default_rng(seed)
    frames, place, color = [], 0, np.array([80, 80, 80])
    for t in range(count):
        if t % 15 == 0:
            color = rng.integers(0, 256, 3)
            speed = int(rng.integers(0, 5))
        place = (place + speed) % (columns - 20)
        image = np.full((rows, columns, 3), 20, np.uint8)
        image[10:38, place : place + 20] = color
        frames.append(image)
    return frames
