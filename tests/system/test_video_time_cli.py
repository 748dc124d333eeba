"""Media time on the command line: events lie where a player shows them; --fps acts, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.events.event import Event

pytest.importorskip("av", reason="videos need av (the extra `video`)")
pytest.importorskip("onnxruntime", reason="running a backbone needs onnxruntime")
pytest.importorskip("onnx", reason="making the backbone of these tests needs onnx")
from punctum.runtime import Bundle, InputError
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.datasets.extraction import read_features
from punctum.runtime.sources.video import coalesce, open_video

from tests.helpers import backbones
from tests.helpers import video_times as odd


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A bundle, and one recording three times: with sound from 0 and video from 0, 5 and 5.13 s."""
    folder = tmp_path_factory.mktemp("media-time")
    backbones.write_bundle(folder / "bundle", backbones.spec(right_frames=1))
    odd.picture, plain = (lambda k, size=(48, 64): backbones.scene(260)[k][: size[0], : size[1]]), odd.picture
    try:
        for name, at in (("plain", 0.0), ("late", 5.0), ("later", 5.13)):
            odd.make(folder / f"{name}.mkv", 260, times=[at + k / 10 for k in range(260)], audio=(0.0, 31.0))
        odd.make(folder / "raw.h264", 260, rate=10, form="h264")
        odd.make(folder / "raw.mjpeg", 260, rate=10, codec="mjpeg", form="mjpeg", pixels="yuvj420p")
    finally:
        odd.picture = plain
    return folder


def run(place: Path, *arguments: object) -> tuple[int, list[Event]]:
    out = place / "events.jsonl"
    out.unlink(missing_ok=True)
    code = invoke(["run", str(place / "bundle"), *map(str, arguments), "--out", str(out)])
    found = [Event.from_json(line) for line in out.read_text().splitlines()] if out.exists() else []
    return code, [event for event in found if event.phase == "final"]


@pytest.mark.slow
@pytest.mark.parametrize("live", [[], ["--stream"]])
def test_events_of_a_video_that_begins_late_lie_where_a_player_shows_them(place, live):
    code, plain = run(place, place / "plain.mkv", *live)
    assert code == 0
    assert len(plain) > 5
    for name, shift in (("late", 5.0), ("later", 5.2)):  # the grid of snippets is one of media time: 5.2 is on it
        code, found = run(place, place / f"{name}.mkv", *live)
        assert code == 0
        if name == "late":
            assert [event.label for event in found] == [event.label for event in plain]
            assert [event.start - shift for event in found] == pytest.approx([e.start for e in plain], abs=0.03)
        assert min(event.start for event in found) >= 5.0


@pytest.mark.slow
def test_rows_keep_their_place_when_a_late_start_is_filled_for_training(place):
    backbone = VideoBackbone.open(Bundle.load(place / "bundle"))
    stride = backbone.spec.stride_s
    for name, start in (("plain", 0.0), ("late", 5.0), ("later", 5.2)):
        rows, facts = read_features(backbone, place / f"{name}.mkv")
        source = open_video(str(place / f"{name}.mkv"), backbone)
        first = next(iter(coalesce(source.items())))
        assert (first.at or 0.0) == pytest.approx(start)
        if start:
            assert facts["gaps"] == [[0.0, pytest.approx(start)]]
        filled = round(start / stride)
        assert np.array_equal(rows[filled : filled + len(first.rows)], first.rows)
        assert source.stats.lost == facts["lost_frames"] == 0
        assert source.stats.lost_at_start_s == 0


def test_a_rate_for_a_stream_without_stamps(place, capsys):
    for name in ("raw.h264", "raw.mjpeg"):
        ends = {}
        for rate in (10, 20):
            for live in ([], ["--stream"]):
                code, found = run(place, place / name, "--fps", rate, *live)
                assert code == 0
                ends[rate, bool(live)] = [event.end for event in found]
        assert ends[10, False] == pytest.approx(ends[10, True], abs=1e-4)
        assert max(ends[10, False]) > 20 > 13.1 > max(ends[20, False])
    assert "assuming" not in capsys.readouterr().err
    assert run(place, place / "raw.mjpeg")[0] == 0
    assert "set it with --fps" in capsys.readouterr().err


@pytest.mark.slow
def test_a_rate_in_every_command_that_reads_videos(place, tmp_path, capsys):
    bundle, raw = str(place / "bundle"), str(place / "raw.mjpeg")
    assert invoke(["features", bundle, raw, "--out", str(tmp_path / "f"), "--fps", "10", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["videos"]["raw"]
    assert record["duration_s"] == pytest.approx(26.0)
    assert invoke(["features", bundle, raw, "--out", str(tmp_path / "f"), "--fps", "20"]) == 0
    assert "13.0 s" in capsys.readouterr().out  # another rate makes features stale
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    assert invoke(["report", bundle, raw, "--out", str(page), "--fps", "10"]) == 0
    assert page.is_file()
    pytest.importorskip("pyarrow")
    assert invoke(["score", bundle, raw, "--out", str(tmp_path / "s"), "--workers", "1", "--fps", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["media_s"] == pytest.approx(26.0)


@pytest.mark.parametrize("live", [[], ["--stream"]])
def test_a_rate_is_refused_where_it_has_no_effect(live, place, tmp_path, capsys):
    np.save(tmp_path / "rows.npy", np.zeros((10, backbones.DIM), np.float32))
    for name in (place / "plain.mkv", tmp_path / "rows.npy"):
        assert run(place, name, "--fps", "10", *live)[0] == 2
        told = capsys.readouterr().err
        assert "[video-rate]" in told
        assert "--fps" in told
    assert run(place, place / "raw.h264", "--fps", "0", *live)[0] == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_rate_is_refused_by_other_commands(place, tmp_path, capsys):
    np.save(tmp_path / "rows.npy", np.zeros((10, backbones.DIM), np.float32))
    bundle, video, rows = str(place / "bundle"), str(place / "plain.mkv"), str(tmp_path / "rows.npy")
    assert invoke(["features", bundle, video, "--out", str(tmp_path / "f"), "--fps", "10"]) == 2
    assert "[video-rate]" in capsys.readouterr().err
    pytest.importorskip("jinja2")
    for name in (video, rows):
        assert invoke(["report", bundle, name, "--out", str(tmp_path / "x.html"), "--fps", "10"]) == 2
        assert "[video-rate]" in capsys.readouterr().err
    pytest.importorskip("pyarrow")
    assert invoke(["score", bundle, rows, "--out", str(tmp_path / "s"), "--fps", "10"]) == 2
    assert "[video-rate]" in capsys.readouterr().err


def test_a_few_bytes_do_not_stand_for_years_of_features(place, tmp_path):
    backbone = VideoBackbone.open(Bundle.load(place / "bundle"))
    # Ten frames, days apart; the header of the file vouches for them.
    times = [k / 10 for k in range(10)] + [4 * 86400.0 + k / 10 for k in range(10)]
    path = odd.make(tmp_path / "years.mkv", times=times)
    with pytest.raises(InputError) as caught:
        read_features(backbone, path)
    assert caught.value.code == "video-gaps"
    assert run(place, path)[0] == 0
