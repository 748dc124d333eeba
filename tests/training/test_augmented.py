"""Augmented copies of the training videos: what a copy is, and that networks are trained but not judged on them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import Dataset, InputError
from punctum.training import recipes
from punctum.training.confidence.folds import fold_of_videos, without_fold
from punctum.training.config import TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.engine.provenance import describe

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from punctum.export.exporter import OnnxExporter
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.extraction import extract_features, read_features
from punctum.training.backbone.frame_augment import AugmentedBackbone, Camera
from punctum.training.candidates import AS_SHIPPED, write_shipped_backbone
from punctum.training.cli.common import COPIES_HELP
from punctum.training.videos import train_on_videos

from .clips import make_videos


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("clips") / "data")


@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.sampled_from([1, 3]),
    height=st.integers(16, 130),
    width=st.integers(16, 130),
    level=st.floats(0, 1),
    dark=st.booleans(),
)
@settings(max_examples=60)
def test_a_camera_gives_pictures_of_the_same_form(
    seed: int, channels: int, height: int, width: int, level: float, dark: bool
):
    rng = np.random.default_rng(seed)
    frames = np.clip(level + 0.2 * rng.standard_normal((6, channels, height, width)), 0, 1).astype(np.float32)
    one, same = (Camera(np.random.default_rng(seed), 10.0, dark=dark) for _ in range(2))
    for frame in frames:
        kept = frame.copy()
        shown = one(frame)
        assert shown.shape == frame.shape and shown.dtype == np.float32
        assert shown.min() >= 0 and shown.max() <= 1
        assert np.array_equal(frame, kept)  # the frame of the caller stays
        assert np.array_equal(shown, same(frame))


def test_copies_differ_from_the_video_and_from_each_other(clips: Path, tmp_path: Path):
    write_shipped_backbone(tmp_path / "backbone")
    plain = VideoBackbone.load(tmp_path / "backbone")
    one, two = (AugmentedBackbone(plain, copies) for copies in (1, 2))
    assert len({plain.digest, one.digest, two.digest}) == 3
    video = clips / "videos" / "v0.mp4"
    read = {each: read_features(each, video)[0] for each in (plain, one, two)}
    first, second = np.split(read[two], 2, axis=1)
    assert first.shape == second.shape == read[plain].shape
    assert np.array_equal(first, read[one])  # whatever other copies there are
    assert np.array_equal(read[two], read_features(two, video)[0])
    assert not any(np.array_equal(a, b) for a, b in ((read[plain], first), (first, second)))
    extract_features(one, [video], tmp_path / "features")
    with pytest.raises(InputError, match="another backbone"):
        extract_features(two, [clips / "videos" / "v1.mp4"], tmp_path / "features")


def test_copies_are_trained_on_with_the_clicks_of_their_video_and_never_held_out(toy: Path):
    data = load_training_set(Dataset.open(toy))
    copied = replace(data, samples=tuple(replace(s, copies=(s.features + 1, s.features + 2)) for s in data.samples))
    shown = copied.with_copies()
    assert len(shown.samples) == 3 * len(data.samples) and not any(s.copies for s in shown.samples[1:3])
    for k, sample in enumerate(data.samples):
        for number, each in enumerate(shown.samples[3 * k : 3 * k + 3]):
            assert each.clicks is sample.clicks
            assert np.array_equal(each.features, sample.features + number)
    assert len({s.video for s in shown.samples}) == len(shown.samples)
    for left_out in (0, 1):  # what two networks see
        each = copied.with_copies(without=left_out)
        assert len(each.samples) == 2 * len(data.samples)
        assert np.array_equal(each.samples[0].features, data.samples[0].features)
        assert np.array_equal(each.samples[1].features, copied.samples[0].copies[1 - left_out])
    assigned = fold_of_videos(copied, 2, seed=0)
    held = {s.video for s, k in zip(copied.samples, assigned, strict=True) if k == 0}
    rest = without_fold(copied, assigned, 0).with_copies()
    assert held and not any(s.video.split(" (copy")[0] in held for s in rest.samples)
    records = [describe(each, TrainConfig(), None)["provenance"]["data_sha256"] for each in (data, copied)]
    assert records[0] != records[1]


def test_the_number_of_copies_depends_on_clicks_and_hours():
    assert recipes.default_copies(54, 0.1) == recipes.AUGMENTED_COPIES > 0
    assert recipes.default_copies(54, 1.1) == 0
    assert recipes.default_copies(200, 0.1) == 0
    assert recipes.default_copies(54, 0.1, shipped=False) == 0
    few = f"with fewer than {recipes.MANY_CLICKS} clicks in at most {recipes.AUGMENTED_HOURS:g} hour of video"
    assert f"[{recipes.AUGMENTED_COPIES} for the shipped backbone {few}, else 0]" in COPIES_HELP


@pytest.mark.slow
def test_a_run_makes_copies_once_and_can_be_continued(clips: Path, tmp_path: Path, small: TrainConfig):
    assert small.center is not None
    recipe = small.model_copy(update={"center": small.center.model_copy(update={"use_tracks": False})})
    data, run, exporter = Dataset.open(clips, need_features=False), tmp_path / "run", OnnxExporter()
    parts = train_on_videos(data, recipe, AS_SHIPPED, run, exporter=exporter, quiet=True)
    assert parts["locator"]["copies"] == recipes.AUGMENTED_COPIES
    files = {path: path.stat().st_mtime_ns for path in (run / "data" / "augmented").rglob("*.npy")}
    assert len(files) == len(data.train)
    assert parts["locator"]["videos"] == len(data.train)  # copies are no videos of the summary
    again = train_on_videos(data, recipe, AS_SHIPPED, run, exporter=exporter, resume=True, quiet=True)
    assert again["bundle"] == parts["bundle"]
    assert {path: path.stat().st_mtime_ns for path in files} == files
    with pytest.raises(InputError) as refused:
        train_on_videos(data, recipe, AS_SHIPPED, run, exporter=exporter, resume=True, quiet=True, copies=0)
    assert refused.value.code == "resume-differs"
    none = train_on_videos(data, recipe, run / "backbone", tmp_path / "none", exporter=exporter, quiet=True)
    assert none["locator"]["copies"] == 0 and none["bundle"] != parts["bundle"]  # a backbone that is given has none
    assert not (tmp_path / "none" / "data" / "augmented").exists()
    shutil.rmtree(run)


def test_the_command_takes_copies_with_videos_only(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for options, word in ((["--augmented-copies", "2"], "videos"), (["--augmented-copies", "-1"], "augmented-copies")):
        assert invoke(["train", str(toy), "--out", str(tmp_path / "out"), *options]) == 2
        assert word in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
