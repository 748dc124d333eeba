"""Backbones: clips and their edges, batches, preprocessing, the fingerprint, and what does not fit is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.kernels import reference
from punctum.runtime import Bundle, FeatureSpec, InputError, PostProcess
from punctum.runtime.bundle.config import Graph
from punctum.runtime.bundle.writer import write_bundle

pytest.importorskip("onnxruntime", reason="running a backbone needs onnxruntime")
pytest.importorskip("onnx", reason="making the backbone of these tests needs onnx")
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.extractor import Extractor
from punctum.runtime.backbone.fingerprint import make_fingerprint, reference_clip
from punctum.runtime.backbone.folder import SPEC_FILE, read_backbone
from punctum.runtime.backbone.preprocess import Preprocessor, crop_window
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from pydantic import ValidationError

from tests.helpers import backbones


def extract(backbone, frames, *, batch=1) -> np.ndarray:
    extractor = Extractor(backbone, batch=batch)
    return np.concatenate([*(extractor.push(frame) for frame in frames), extractor.flush()])


def by_definition(backbone, frames) -> np.ndarray:
    """Each clip on its own, written from the definition of a snippet."""
    spec, prepare = backbone.spec, backbone.preprocessor()
    planes = [prepare(frame) for frame in frames]
    count, left = divmod(len(frames), spec.snippet_frames)
    count += spec.snippet_frames > 1 and 2 * left >= spec.snippet_frames
    rows = []
    for t in range(count):
        end = (t + 1) * spec.snippet_frames + spec.right_frames
        clip = [planes[min(max(k, 0), len(planes) - 1)] for k in range(end - spec.clip_frames, end)]
        stacked = np.stack(clip, axis=1 if spec.layout == "NCTHW" else 0)
        rows.append(backbone.embed(stacked[None])[0])
    return np.array(rows, np.float32).reshape(-1, backbone.dim)


@settings(max_examples=40)
@given(
    count=st.integers(0, 23),
    clip=st.integers(1, 7),
    size=st.integers(1, 5),
    right=st.integers(0, 6),
    batch=st.integers(1, 6),
    layout=st.sampled_from(["NTCHW", "NCTHW"]),
)
def test_rows_are_the_clips_of_the_definition(count, clip, size, right, batch, layout):
    made = backbones.backbone(clip_frames=clip, snippet_frames=size, right_frames=min(right, clip - 1), layout=layout)
    frames = backbones.images(count)
    rows = extract(made, frames, batch=batch)
    expected = by_definition(made, frames)
    assert rows.shape == expected.shape
    np.testing.assert_allclose(rows, expected, atol=1e-5)  # whatever else is in the batch


@settings(max_examples=25)
@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 5), st.integers(1, 4))
def test_rows_do_not_depend_on_how_frames_arrive(cuts, batch, seed):
    """Bit by bit, also over several stretches, and when rows that a restart has already are left out."""
    made = backbones.backbone(seed=seed)
    frames = backbones.images(17, seed)
    whole = extract(made, frames, batch=batch)
    extractor = Extractor(made, batch=batch)
    for skip in [0, *cuts]:
        extractor.skip = skip
        parts = [extractor.push(frame) for frame in frames] + [extractor.flush()]
        np.testing.assert_array_equal(np.concatenate(parts), whole[skip:])
        assert extractor.rows == len(whole)
        extractor.reset()
        extractor.skip = 0


def test_memory_is_bounded():
    extractor = Extractor(backbones.backbone(), batch=3)
    held = extractor._frames.nbytes
    for frame in backbones.images(2) * 100:
        extractor.push(frame)
    assert extractor._frames.nbytes == held


@pytest.mark.parametrize(("rows", "columns"), [(24, 30), (9, 50), (50, 9), (12, 16), (3, 3)])
@pytest.mark.parametrize("resize", ["stretch", "short-side"])
@pytest.mark.parametrize("colour", ["rgb", "bgr", "gray"])
def test_preprocessing_is_exact(rows, columns, resize, colour):
    few = {"mean": (0.3,), "std": (0.5,)} if colour == "gray" else {}
    spec = backbones.spec(resize=resize, colour=colour, **few)
    frame = backbones.images(1, rows=rows, columns=columns)[0]
    window = crop_window(rows, columns, spec)
    top, left, tall, wide = window
    assert top >= 0
    assert left >= 0
    if resize == "short-side":
        assert tall / wide == pytest.approx(spec.height / spec.width)
        assert tall == pytest.approx(rows) or wide == pytest.approx(columns)
    small = reference.resize_area(frame, spec.height, spec.width, crop=window).astype(np.float64) / 255
    if colour == "gray":
        small = (small @ [0.299, 0.587, 0.114])[..., None]
    elif colour == "bgr":
        small = small[..., ::-1]
    expected = ((small - spec.mean) / spec.std).transpose(2, 0, 1)
    got = Preprocessor(spec)(frame)
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("frame", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_a_frame_of_another_form_is_refused(frame):
    with pytest.raises(InputError) as error:
        Preprocessor(backbones.spec())(frame)
    assert error.value.code == "frame-form"


def test_reference_clip_is_the_same_everywhere():
    """Integer arithmetic: these numbers hold on every machine."""
    clip = reference_clip(3)
    assert clip.shape == (3, 117, 203, 3)
    assert int(clip.astype(np.int64).sum()) == 23950235
    assert clip[2, 50, 100].tolist() == [147, 111, 162]
    assert not np.array_equal(reference_clip(1, seed=1), reference_clip(1, seed=2))


@pytest.mark.parametrize(
    "change",
    [
        {"mean": (0.4, 0.5, 0.46)},
        {"std": (0.2, 0.25, 0.31)},
        {"colour": "bgr"},
        {"resize": "short-side"},
        {"right_frames": 1},
        {"snippet_frames": 3},
    ],
)
def test_any_other_preprocessing_is_noticed(change):
    made = backbones.backbone()
    graph = backbones.graph(made.spec)
    sealed = made.spec.model_copy(update={"fingerprint": make_fingerprint(made)})
    VideoBackbone.from_graph(graph, sealed)
    with pytest.raises(InputError, match=r"mean|std|quantiles|projection") as error:
        VideoBackbone.from_graph(graph, sealed.model_copy(update=change))
    assert error.value.code == "backbone-fingerprint"
    with pytest.raises(InputError):
        VideoBackbone.from_graph(backbones.graph(made.spec, seed=1), sealed)


@pytest.mark.filterwarnings("error")
def test_a_fingerprint_of_huge_numbers_is_refused_without_a_warning():
    made = backbones.backbone()
    recorded = make_fingerprint(made)
    huge = recorded.model_copy(update={"projection": (1e308,) * len(recorded.projection)})
    with pytest.raises(InputError, match="projection") as error:
        VideoBackbone.from_graph(
            backbones.graph(made.spec), made.spec.model_copy(update={"fingerprint": huge}), name="huge"
        )
    assert error.value.code == "backbone-fingerprint"


def test_digest_covers_what_decides_the_features():
    base = backbones.spec()
    assert base.digest("a") == base.model_copy(update={"file": "x", "fingerprint": None}).digest("a")
    others = [base.digest("b"), backbones.spec(fps=9).digest("a"), backbones.spec(colour="bgr").digest("a")]
    assert base.digest("a") not in others


@pytest.mark.parametrize(
    "change",
    [
        {"fps": 0},
        {"mean": (0.5,)},
        {"colour": "gray"},
        {"std": (0, 1, 1)},
        {"right_frames": 5},
        {"file": "../x.onnx"},
        {"layout": "NHWC"},
        {"clip_frames": 0},
        {"fps": float("nan")},
    ],
)
def test_specs_that_make_no_sense(change):
    with pytest.raises(ValidationError):
        backbones.spec(**change)


@pytest.mark.parametrize(
    ("given_graph", "code"),
    [
        (lambda s: b"no graph", "graph-unreadable"),
        (lambda s: backbones.graph(s, batch=2), "graph-mismatch"),
        (lambda s: backbones.graph(s, outputs="other"), "graph-mismatch"),
        (lambda s: backbones.graph(backbones.spec(height=11)), "graph-mismatch"),
        (lambda s: backbones.graph(backbones.spec(input="other")), "graph-mismatch"),
    ],
)
def test_graphs_that_do_not_fit(given_graph, code):
    spec = backbones.spec()
    with pytest.raises(InputError) as error:
        VideoBackbone.from_graph(given_graph(spec), spec)
    assert error.value.code == code
    assert error.value.next_step


def test_folders(tmp_path):
    spec = backbones.spec()
    (tmp_path / "backbone.onnx").write_bytes(backbones.graph(spec))
    (tmp_path / SPEC_FILE).write_text(spec.model_dump_json())
    assert VideoBackbone.load(tmp_path).dim == backbones.DIM
    assert read_backbone(tmp_path)[0] == spec
    (tmp_path / "backbone.onnx").unlink()
    for text, code in (
        (spec.model_dump_json(), "backbone-missing"),
        ("{", "backbone-spec"),
        (json.dumps({"fps": 3}), "backbone-spec"),
    ):
        (tmp_path / SPEC_FILE).write_text(text)
        with pytest.raises(InputError) as error:
            VideoBackbone.load(tmp_path)
        assert error.value.code == code
    with pytest.raises(InputError, match="train-backbone"):
        VideoBackbone.load(tmp_path / "nowhere")


def bundle(path, spec: BackboneSpec | None, *, stride_s: float, files: dict[str, bytes] | None = None) -> str:
    return write_bundle(
        path,
        name="test",
        version="1.0",
        labels=("x",),
        features=FeatureSpec(dim=backbones.DIM, stride_s=stride_s),
        locator=Graph(file="locator.onnx"),
        center=None,
        post=PostProcess(),
        files={"locator.onnx": b"graph", **(files or {})},
        precision={},
        provenance={},
        backbone=spec,
    )


def test_bundles(tmp_path):
    spec = backbones.spec()
    graph = {"backbone.onnx": backbones.graph(spec)}
    plain = bundle(tmp_path / "plain", None, stride_s=spec.stride_s, files=graph)
    assert "backbone" not in json.loads((tmp_path / "plain" / "manifest.json").read_text())
    assert bundle(tmp_path / "with", spec, stride_s=spec.stride_s, files=graph) != plain
    loaded = Bundle.load(tmp_path / "with")
    assert loaded.manifest.backbone == spec
    assert VideoBackbone.open(loaded).digest == VideoBackbone.from_graph(graph["backbone.onnx"], spec).digest
    with pytest.raises(InputError, match="--backbone"):
        VideoBackbone.open(Bundle.load(tmp_path / "plain"))
    bundle(tmp_path / "unlisted", spec, stride_s=spec.stride_s)
    with pytest.raises(InputError) as error:
        Bundle.load(tmp_path / "unlisted")
    assert error.value.code == "bundle-file-unlisted"
    with pytest.raises(ValidationError, match="row every"):
        bundle(tmp_path / "stride", spec, stride_s=0.3, files=graph)


def test_the_demo_bundle_keeps_its_id():
    """A bundle without a backbone is identified as before there were any."""
    from importlib import resources

    assert Bundle.load(str(resources.files("punctum.runtime") / "assets" / "demo")).manifest.backbone is None
