"""Clicks and features count from media time 0, where the container starts, whenever the first picture comes."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import InputError
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.datasets.dataset import Point

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

import av
from punctum.export.exporter import OnnxExporter
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.datasets.extraction import read_features
from punctum.training.backbone.config import BackboneConfig
from punctum.training.backbone.footage import Footage
from punctum.training.backbone.frames import FrameStore
from punctum.training.backbone.spans import assign_clicks
from punctum.training.backbone.train import train_backbone

from .clips import FPS, SECONDS, frames

LATE_S = 5.0
RECIPE = BackboneConfig.model_validate(
    {"start": "random", "height": 16, "width": 16, "channels": 4, "dim": 8, "window": 8, "batch": 1}
    | {"optim": {"steps": 1}}
)
STRIDE_S = RECIPE.spec().stride_s


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound from the beginning, pictures from LATE_S on."""
    path = tmp_path_factory.mktemp("late") / "late.mkv"
    images, _ = frames(1)
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000)
        sound.layout = "mono"
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt = images.shape[2], images.shape[1], "yuv420p"
        for at in range(0, int((LATE_S + SECONDS) * 16000), 1024):
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = 16000, at, Fraction(1, 16000)
            container.mux(sound.encode(piece))
        container.mux(sound.encode())
        for at, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = at + int(LATE_S * FPS), Fraction(1, FPS)
            container.mux(video.encode(picture))
        container.mux(video.encode())
    return path


def test_a_click_is_placed_on_the_picture_that_was_shown_then(late, tmp_path):
    store = FrameStore(tmp_path, RECIPE.spec())
    store.add("late", late)
    (span,) = store.spans("late")
    assert span.start_s == pytest.approx(LATE_S) and len(span.frames) == FPS * SECONDS
    (part,) = assign_clicks([span], [Point(0, 6.05)], store, labeled=True)
    assert part.clicks.snippet.tolist() == [int((6.05 - LATE_S) / STRIDE_S)]
    with pytest.raises(InputError, match=r"2\.000 s") as caught:
        assign_clicks([span], [Point(0, 2.0)], store, labeled=True)
    assert caught.value.code == "point-outside-video"


@pytest.mark.slow
def test_features_begin_at_media_time_0(late, tmp_path):
    footage = Footage("late", {"late": late}, ("a",), {"late": [Point(0, 6.05)]})
    train_backbone(footage, RECIPE, tmp_path / "b", exporter=OnnxExporter(), quiet=True)
    rows, facts = read_features(VideoBackbone.load(tmp_path / "b"), late)
    assert len(rows) == round((LATE_S + SECONDS) / STRIDE_S)
    assert facts["gaps"] == [[0.0, LATE_S]]


@pytest.mark.parametrize(("time_s", "sound"), [(6.05, True), (12.9, True), (13.5, False), (2.0, False), (4.9, True)])
def test_the_check_counts_the_same_way(late, tmp_path, time_s, sound):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "late.mkv").write_bytes(late.read_bytes())
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "late", "classes": ["a"], "fps": FPS}))
    (tmp_path / "points.csv").write_text(f"class,video_id,time_s\na,late,{time_s}\n")
    (tmp_path / "train.txt").write_text("late\n")
    assert [f.code for f in check_dataset(tmp_path).errors] == ([] if sound else ["point-outside-video"])


def test_clicks_where_nothing_is_shown_are_said(tmp_path):
    from punctum.training.backbone.frames import FrameSpan

    store = FrameStore(tmp_path, RECIPE.spec())
    shown = [FrameSpan("v", at, np.zeros((20, 16, 16), np.uint16)) for at in (0.0, 10.0)]
    with pytest.warns(UserWarning, match="1 click of v dropped"):
        parts = assign_clicks(shown, [Point(0, 1.0), Point(0, 5.0), Point(0, 11.0)], store, labeled=True)
    assert [len(part.clicks) for part in parts] == [1, 1]
