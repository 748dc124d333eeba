"""Backbones of several parts: the graph against the separate networks, run by NumPy and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from punctum.export.parts.canvas import choose_clip, match_rates  # noqa: E402
from punctum.export.parts.components import fit  # noqa: E402
from punctum.export.parts.compose import compose_backbone  # noqa: E402
from punctum.export.parts.options import parse_part  # noqa: E402
from punctum.export.parts.resample import apply, area_matrix, resampling  # noqa: E402
from punctum.export.parts.source import read_part  # noqa: E402
from punctum.runtime import InputError  # noqa: E402
from punctum.runtime.backbone.backbone import VideoBackbone  # noqa: E402
from punctum.runtime.backbone.extractor import Extractor  # noqa: E402
from punctum.runtime.backbone.folder import read_shipped  # noqa: E402
from punctum.runtime.backbone.preprocess import Preprocessor  # noqa: E402
from punctum.runtime.bundle.backbone_spec import BackboneSpec  # noqa: E402

from tests.helpers.backbones import graph, scene, spec  # noqa: E402
from tests.helpers.part_networks import DIM, SPEC, image_network, node  # noqa: E402


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """A folder with an image network and a backbone folder of clips."""
    monkeypatch.chdir(tmp_path)
    write("net", image_network())
    of = spec()
    Path("clips").mkdir()
    Path("clips/backbone.onnx").write_bytes(graph(of))
    Path("clips/backbone.json").write_text(of.model_dump_json())
    return tmp_path


def write(name: str, data: bytes, **changes: object) -> None:
    Path(f"{name}.onnx").write_bytes(data)
    Path(f"{name}.json").write_text(json.dumps({**SPEC, **changes}))


def compose(*texts: str, **options):
    return compose_backbone([parse_part(text) for text in texts], **options)


def rows_of(backbone: VideoBackbone, frames, batch: int = 1) -> np.ndarray:
    extractor = Extractor(backbone, batch=batch)
    parts = [extractor.push(frame) for frame in frames]
    return np.concatenate([*parts, extractor.flush()])


def opened(made) -> VideoBackbone:
    return VideoBackbone.from_graph(made.backbone.graph, made.backbone.spec)


def run_images(data: bytes, images: np.ndarray, output: str = "features") -> np.ndarray:
    return ort.InferenceSession(data).run([output], {"x": images.astype(np.float32)})[0]


def prepared(frames, of: BackboneSpec) -> np.ndarray:
    prepare = Preprocessor(of)
    return np.stack([prepare(frame) for frame in frames])


# --- features ---------------------------------------------------------------------------------------------------------


def test_an_image_part_sees_the_middle_frame_of_each_snippet(work):
    made = compose("net.onnx")
    frames = scene(10)
    of = BackboneSpec.model_validate(SPEC)
    images = prepared(frames, of)
    # Two frames per snippet: the middle one is the second.
    assert rows_of(opened(made), frames) == pytest.approx(run_images(image_network(), images[1::2]), abs=1e-5)
    assert made.backbone.spec.parts[0].settings == "frames=middle"


@pytest.mark.parametrize("frames_option", ["last", "mean"])
def test_other_frames(work, frames_option):
    images = prepared(scene(10), BackboneSpec.model_validate(SPEC))
    rows = run_images(image_network(), images).reshape(5, 2, DIM)
    expected = rows[:, 1] if frames_option == "last" else rows.mean(1)
    found = rows_of(opened(compose(f"net.onnx,frames={frames_option}")), scene(10))
    assert found == pytest.approx(expected, abs=1e-5)


def test_change_and_both(work):
    images = prepared(scene(12), BackboneSpec.model_validate(SPEC))
    rows = run_images(image_network(), images[1::2])
    # Before the first frame, the first frame is repeated, so the snippets before have the features of frame 0.
    before = np.concatenate([np.repeat(run_images(image_network(), images[:1]), 2, 0), rows[:-2]])
    change = rows - before
    assert rows_of(opened(compose("net.onnx,give=change,lag=2")), scene(12)) == pytest.approx(change, abs=1e-5)
    made = compose("net.onnx,give=both,lag=2")
    assert rows_of(opened(made), scene(12)) == pytest.approx(np.hstack([rows, change]), abs=1e-5)
    assert made.backbone.spec.parts[0].settings == "frames=middle, give=both, lag=2"


def test_a_folder_of_the_same_size_gives_its_own_features(work):
    alone = VideoBackbone.load("clips")
    of = alone.spec
    made = compose("clips", "clips,give=change")
    found = rows_of(opened(made), scene(16))
    expected = rows_of(alone, scene(16))
    assert made.backbone.spec.clip_shape[1:] == (3, of.height, of.width)
    assert found[:, :4] == pytest.approx(expected, abs=1e-5)
    assert found[1:, 4:] == pytest.approx(np.diff(expected, axis=0), abs=1e-5)
    assert [part.name for part in made.backbone.spec.parts] == ["clips", "clips-2"]


def test_a_clip_network_at_a_lower_rate_takes_every_second_frame(work):
    of = spec(fps=5.0, snippet_frames=1, clip_frames=3, height=10, width=12)
    Path("slow").mkdir()
    Path("slow/backbone.onnx").write_bytes(graph(of))
    Path("slow/backbone.json").write_text(of.model_dump_json())
    made = compose("slow", "net.onnx", "clips")
    clip = made.backbone.spec
    assert (clip.fps, clip.snippet_frames, clip.clip_frames, clip.right_frames) == (10.0, 2, 6, 0)
    # The clip ends with frame 2 k + 1 of 10 per second; the network sees 2 k, 2 k - 2, 2 k - 4.
    small = scene(20, rows=clip.height, columns=clip.width)
    alone = rows_of(VideoBackbone.load("slow"), small[::2])
    assert rows_of(opened(made), small)[:, : alone.shape[1]] == pytest.approx(alone, abs=1e-5)


def test_right_frames_are_kept(work):
    of = spec(clip_frames=6, right_frames=2)
    Path("late").mkdir()
    Path("late/backbone.onnx").write_bytes(graph(of))
    Path("late/backbone.json").write_text(of.model_dump_json())
    made = compose("net.onnx,give=both,lag=3", "late")
    assert made.backbone.spec.right_frames == 2
    alone = rows_of(VideoBackbone.load("late"), scene(20, rows=24, columns=32))
    assert made.backbone.spec.height == 24  # a multiple of 12 x 16 that covers 20 x 24
    assert rows_of(opened(made), scene(20, rows=24, columns=32))[:, -4:] == pytest.approx(alone, abs=1e-4)


def test_the_shipped_motion_network_keeps_its_features(work):
    """Frames of another size than that of the network, whose first resampling is to a multiple of 48 x 64."""
    clips, shipped = read_shipped()
    write("large", image_network(height=100, width=100), height=100, width=100)
    made = compose("motion", "large.onnx")
    assert (made.backbone.spec.height, made.backbone.spec.width) == (144, 192)
    frames = scene(24, rows=180, columns=250)
    alone = rows_of(VideoBackbone.from_graph(shipped, clips), frames)
    found = rows_of(opened(made), frames)[:, :200]
    assert np.abs(found - alone).max() < 2e-4 * max(1, np.abs(alone).max())


@pytest.mark.parametrize(
    "changes", [{"colour": "bgr"}, {"resize": "short-side"}, {"resize": "short-side", "width": 14}]
)
def test_colors_and_crops_are_those_of_the_preprocessor(work, changes):
    values = {**SPEC, **changes}
    of, clip = BackboneSpec.model_validate(values), spec(height=32, width=50, mean=(0, 0, 0), std=(1, 1, 1))
    image = np.random.default_rng(0).integers(0, 256, (32, 50, 3), np.uint8)
    canvas = image.transpose(2, 0, 1)[None] / 255
    assert apply(resampling(of, clip), canvas)[0] == pytest.approx(Preprocessor(of)(image), abs=1e-5)


def test_area_matrix_is_a_mean_over_cells():
    weights = area_matrix(6, 4, 0.0, 6.0)
    assert weights.sum(1) == pytest.approx(np.ones(4))
    assert weights[0] == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0])
    assert area_matrix(2, 4, 0.5, 1.0).tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("opset", [11, 13, 21])
def test_operator_sets_and_layouts(work, opset, layout):
    data = image_network(opset=opset, layout=layout, seed=3)
    write("other", data, layout=layout)
    images = prepared(scene(8), BackboneSpec.model_validate(SPEC))[1::2]
    expected = run_images(data, images.transpose(0, 2, 3, 1) if layout == "NHWC" else images)
    made = compose("other.onnx", "net.onnx")  # tensors of the two have the same names
    assert rows_of(opened(made), scene(8))[:, :DIM] == pytest.approx(expected, abs=1e-5)
    assert made.parity.keys() == {"other", "net"}


def test_a_tensor_inside_the_graph_is_the_output(work):
    nodes = (node("Softmax", ["pooled"], ["classes"]),)
    write("classifier", image_network(output_nodes=nodes, output="classes"), output="pooled")
    images = prepared(scene(6), BackboneSpec.model_validate(SPEC))[1::2]
    assert rows_of(opened(compose("classifier.onnx")), scene(6)) == pytest.approx(
        run_images(image_network(), images), abs=1e-5
    )


@pytest.mark.parametrize("opset", [11, 20])
def test_a_network_of_one_image_is_run_one_by_one(work, opset):
    write("single", image_network(batch=1, opset=opset))
    images = prepared(scene(8), BackboneSpec.model_validate(SPEC))
    expected = run_images(image_network(opset=opset), images).reshape(4, 2, DIM).mean(1)
    made = compose("single.onnx,frames=mean", "single.onnx", "net.onnx")
    found = rows_of(opened(made), scene(8), batch=3)
    assert found[:, :DIM] == pytest.approx(expected, abs=1e-5)
    assert found[:, DIM : 2 * DIM] == pytest.approx(found[:, 2 * DIM :], abs=1e-5)


def test_a_pose_network_gives_its_key_points(work):
    """As pose networks are published: one image of whole numbers at a time, and key points on several axes."""
    model = onnx.load_from_string(
        image_network(batch=1, layout="NHWC", output_nodes=(node("Reshape", ["pooled", "points"], ["features"]),))
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 1, 2, 3]), "points"))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    model.graph.node.insert(0, node("Cast", ["x"], ["real"], to=1))
    model.graph.node[1].input[0] = "real"
    scale = {"mean": [0, 0, 0], "std": [1 / 255] * 3, "layout": "NHWC"}
    write("pose", model.SerializeToString(), flatten=True, **scale)
    of = BackboneSpec.model_validate({**SPEC, **scale, "layout": "NTCHW"})
    images = np.round(prepared(scene(8), of)[1::2])
    expected = run_images(image_network(), images)
    assert rows_of(opened(compose("pose.onnx")), scene(8)) == pytest.approx(
        expected, rel=5e-3, abs=0.3
    )  # .5 is rounded up or down


# --- principal components ---------------------------------------------------------------------------------------------


def test_components_are_those_of_numpy():
    rng = np.random.default_rng(1)
    rows = (rng.normal(size=(200, 3)) @ rng.normal(size=(3, 7)) + 5).astype(np.float32)
    made = fit(rows, 3, "p")
    projected = (rows - made.mean) @ made.matrix
    assert made.kept == pytest.approx(1, abs=1e-5)
    assert made.matrix.T @ made.matrix == pytest.approx(np.eye(3), abs=1e-5)
    centered = rows - rows.mean(0)
    assert projected.var(0) == pytest.approx(np.linalg.svd(centered)[1][:3] ** 2 / 200, rel=1e-3)
    assert (projected @ made.matrix.T + made.mean) == pytest.approx(rows, abs=1e-3)
    with pytest.raises(InputError, match="components are wanted"):
        fit(rows[:3], 3, "p")


def test_components_of_footage(work):
    pytest.importorskip("av", reason="footage is a video")
    from tests.helpers.backbones import write_video

    write_video("clip.mp4", scene(80))
    made = compose("net.onnx,components=2", "clips", videos=[Path("clip.mp4")])
    whole = compose("net.onnx", "clips")
    assert made.backbone.dim == 2 + 4
    assert made.backbone.spec.parts[0].settings.startswith("frames=middle, components=2 (")
    from punctum.runtime.datasets.extraction import read_features

    few, all_rows = (read_features(opened(each), Path("clip.mp4"))[0] for each in (made, whole))
    centered = all_rows[:, :DIM] - all_rows[:, :DIM].mean(0)
    axes = np.linalg.svd(centered, full_matrices=False)[2][:2]
    assert np.abs(few[:, :2]) == pytest.approx(np.abs(centered @ axes.T), abs=1e-3)
    assert few[:, 2:] == pytest.approx(all_rows[:, DIM:], abs=1e-5)


def test_long_footage_is_thinned(work):
    pytest.importorskip("av", reason="footage is a video")
    from punctum.export.parts.assemble import assemble
    from punctum.export.parts.components import sample_rows

    from tests.helpers.backbones import write_video

    write_video("clip.mp4", scene(200))
    parts = match_rates([read_part(parse_part("net.onnx"))])
    clip = choose_clip(parts)
    rows = sample_rows(assemble(parts, clip), clip, [Path("clip.mp4")], most=32)
    assert 8 <= len(rows) <= 40
    assert np.unique(rows, axis=0).shape[0] > 1


# --- what everything else needs ---------------------------------------------------------------------------------------


def test_rows_do_not_depend_on_chunks_or_batches(work):
    backbone = opened(compose("motion", "net.onnx,give=both", "clips"))
    frames = scene(31)
    once = rows_of(backbone, frames)
    assert rows_of(backbone, frames, batch=8) == pytest.approx(once, abs=2e-5)
    extractor = Extractor(backbone, batch=1)
    again = [extractor.push(frame) for frame in frames[:13]]
    again += [extractor.push(frame) for frame in frames[13:]]
    assert np.array_equal(np.concatenate([*again, extractor.flush()]), once)


def test_the_fingerprint_is_checked_and_records_are_kept(work):
    made = compose("clips,license=MIT,publisher=A shop", "net.onnx,name=pictures", timed=True)
    text = made.backbone.spec.model_dump_json()
    parts = json.loads(text)["parts"]
    assert [(part["name"], part["columns"]) for part in parts] == [("clips", [0, 4]), ("pictures", [4, 10])]
    assert (parts[0]["license"], parts[0]["publisher"]) == ("MIT", "A shop")
    assert all(part["ms_per_frame"] > 0 and len(part["source_sha256"]) == 64 for part in parts)
    again = compose("clips", "net.onnx,name=other")
    assert again.backbone.digest == made.backbone.digest  # the records are no part of the identity
    model = onnx.load_from_string(made.backbone.graph)
    weights = next(t for t in model.graph.initializer if t.name == "part2/net/w")
    weights.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weights), weights.name))
    with pytest.raises(InputError, match="reference clip"):
        VideoBackbone.from_graph(model.SerializeToString(), made.backbone.spec)


def test_a_composed_folder_is_a_part(work):
    from punctum.export.graphs.backbone import write_folder

    made = compose("clips,license=MIT", "net.onnx,license=BSD-3-Clause,publisher=B")
    Path("made").mkdir()
    write_folder(made.backbone, Path("made"))
    part = compose("made", "net.onnx").backbone.spec.parts[0]
    assert (part.name, part.dim, part.license, part.publisher) == ("made", 10, "MIT AND BSD-3-Clause", "B")


def test_no_operator_that_tensorrt_refuses(work):
    model = onnx.load_from_string(compose("motion", "net.onnx,frames=mean").backbone.graph)
    assert not [n for n in model.graph.node if n.op_type == "Resize"]
    onnx.checker.check_model(model)
