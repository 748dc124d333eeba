"""Losses are reported: one line on standard error where something of a recording is missing, none where nothing is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from punctum.runtime.cli import invoke

pytest.importorskip("av", reason="videos need av (the extra `video`)")
pytest.importorskip("onnxruntime", reason="running a backbone needs onnxruntime")
pytest.importorskip("onnx", reason="making the backbone of these tests needs onnx")

from tests.helpers import backbones


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A bundle with a backbone; a video that is whole, and one with five seconds missing."""
    folder = tmp_path_factory.mktemp("loss")
    backbones.write_bundle(folder / "bundle", backbones.spec(right_frames=1))
    (folder / "videos").mkdir()
    backbones.write_video(folder / "videos" / "whole.mp4", backbones.scene(200))
    backbones.write_video(folder / "videos" / "hole.mp4", backbones.scene(200), pause=(80, 50))
    return folder


def warnings(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]


COMMANDS = {
    "run": ["run", "{bundle}", "{video}", "--out", "{new}.jsonl"],
    "run activitynet": ["run", "{bundle}", "{video}", "--format", "activitynet", "--out", "{new}.json"],
    "run live": ["run", "{bundle}", "{video}", "--stream", "--out", "{new}.jsonl"],
    "features": ["features", "{bundle}", "{video}", "--out", "{new}"],
    "report": ["report", "{bundle}", "{video}", "--out", "{new}.html"],
    "report live": ["report", "{bundle}", "{video}", "--max-delay", "1", "--out", "{new}.html"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_one_line_where_something_is_missing(place, tmp_path, capsys, name):
    if name.startswith("report"):
        pytest.importorskip("jinja2", reason="report needs jinja2")
    for video, lines in (("whole", 0), ("hole", 1)):
        values = {"bundle": place / "bundle", "video": place / "videos" / f"{video}.mp4", "new": tmp_path / video}
        capsys.readouterr()
        assert invoke([word.format(**values) for word in COMMANDS[name]]) == 0
        said = warnings(capsys)
        assert len(said) == lines, said
        assert all(line.startswith("warning: hole: ") and ("gap" in line) for line in said)


def test_a_folder_of_videos_names_the_one(place, tmp_path, capsys):
    assert invoke(["run", str(place / "bundle"), str(place / "videos"), "--out", str(tmp_path / "e.jsonl")]) == 0
    (said,) = warnings(capsys)
    assert said.startswith("warning: hole: ")


def test_a_stream_says_what_it_skipped(tmp_path, capsys):
    from importlib import resources

    import numpy as np
    from punctum.runtime.sources.framing import encode_end, encode_header, encode_record
    from punctum.runtime.synthetic.sensors import CHANNELS, STRIDE_S, make_sequence

    bundle = str(resources.files("punctum.runtime") / "assets" / "demo")
    rows = make_sequence(9, seconds=20).features
    head, nan = encode_header(dim=CHANNELS, stride_s=STRIDE_S, name="cam"), np.full((3, CHANNELS), np.nan, np.float32)
    whole = head + encode_record(rows, at=None) + encode_end()
    (tmp_path / "whole.bin").write_bytes(whole)
    parts = [encode_record(rows[:50], at=None), encode_record(nan, at=None), encode_record(rows[50:], at=None)]
    (tmp_path / "bad.bin").write_bytes(head + b"".join(parts) + encode_end())
    for name, lines in (("whole", 0), ("bad", 1)):
        capsys.readouterr()
        options = ["--stream", "--on-bad-chunk", "skip", "--out", str(tmp_path / f"{name}.jsonl")]
        assert invoke(["run", bundle, str(tmp_path / f"{name}.bin"), *options]) == 0
        said = [line for line in warnings(capsys) if not line.startswith("warning: skipped ")]
        assert len(said) == lines, said
        assert all("skipped: 1 chunk bad" in line and "3 snippets missing" in line for line in said)


def test_a_frame_that_cannot_be_decoded_is_counted(place, tmp_path, capsys):
    """In a result that goes on, and in an archive: the same count."""
    pytest.importorskip("pyarrow", reason="score needs pyarrow")
    from punctum.runtime.sources.video import VideoSource

    real = VideoSource.items

    def lossy(self, *arguments):
        yield from real(self, *arguments)
        self.stats.lost += 7  # as the decoder counts frames that it cannot make

    video = place / "videos" / "whole.mp4"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VideoSource, "items", lossy)
        assert invoke(["run", str(place / "bundle"), str(video), "--out", str(tmp_path / "e.jsonl")]) == 0
        assert any("7 video frames lost" in line for line in warnings(capsys))
        assert invoke(["features", str(place / "bundle"), str(video), "--out", str(tmp_path / "f")]) == 0
        assert any("7 frames lost" in line for line in warnings(capsys))
    record = json.loads((tmp_path / "f" / "features.json").read_text())
    assert record["videos"]["whole"]["lost_frames"] == 7


def test_an_archive_says_which_items(place, tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="score needs pyarrow")
    from punctum.runtime.archive.run import Summary

    summary = Summary(items=3, lost={"a.mp4": {"frames": 1, "snippets": 0}, "b.ts": {"frames": 118, "snippets": 1}})
    assert summary.loss().startswith("119 video frames and 1 snippet missing in 2 of 3 items: a.mp4, b.ts")
    command = ["score", str(place / "bundle"), str(place / "videos"), "--out", str(tmp_path / "r"), "--workers", "1"]
    assert invoke([*command, "--json"]) == 0
    told = capsys.readouterr()
    (lost,) = json.loads(told.out)["lost"].items()
    assert lost[0] == "hole.mp4"
    assert lost[1]["snippets"] > 0
    assert sum(line.startswith("warning: ") and "hole.mp4" in line for line in told.err.splitlines()) == 1
    # What was scored before counts as well.
    assert invoke(command) == 0
    assert "hole.mp4" in capsys.readouterr().err


def test_training_says_which_videos(tmp_path):
    pytest.importorskip("torch", reason="training needs torch")
    from punctum.training.videos import lost_media

    entries = {
        "whole": {"lost_frames": 0, "gaps": []},
        "cut": {"lost_frames": 1, "gaps": []},
        "hole": {"lost_frames": 0, "gaps": [[1.0, 3.5]]},
    }
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "features.json").write_text(json.dumps({"videos": entries}))
    assert lost_media(tmp_path) == {"cut": "1 frame lost", "hole": "1 gap (2.5 s) filled with neighboring features"}
