"""Media time 0 is where the container starts, stamps are the best there are, and what is missing is counted there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, VideoOptions

from tests.helpers import video_times as odd

RATE, make, remux, bump, media_times = odd.RATE, odd.make, odd.remux, odd.bump, odd.media_times


def steady(count: int, first: float = 0.0, rate: float = RATE) -> list[float]:
    return [first + k / rate for k in range(count)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = odd.make_all(tmp_path_factory.mktemp("times"))
    return folder


GOLDEN = {
    "plain.mp4": steady(60),
    "plain.ts": steady(60),
    "late.mp4": steady(60, 5.0),
    "late.mkv": steady(60, 5.0),
    "late.ts": steady(60, 5.0),
    "soon.mp4": steady(60, 0.4),
    "negative.mkv": steady(60),
    "fragments.mp4": steady(60),
    "nolength.webm": steady(60),
    "bframes.avi": steady(60),
    "pyramid.avi": steady(60),
    "asp.avi": steady(60),
    "raw.h264": steady(60),
    "vfr.mp4": [k / RATE for k in range(90) if not (30 <= k < 36 or 50 <= k < 53 or 70 <= k < 71)],
    "vfr.mkv": [k / RATE for k in range(90) if not (30 <= k < 36 or 50 <= k < 53 or 70 <= k < 71)],
}
SLACK_S = 0.03  # containers round, and codecs of sound begin a few milliseconds early


@pytest.mark.parametrize("name", GOLDEN)
def test_every_frame_has_the_time_at_which_a_player_shows_it(name: str, made: Path) -> None:
    times, source = media_times(made / name)
    assert times == pytest.approx(GOLDEN[name], abs=SLACK_S)
    assert sum(item.lost for item in source.items) + source.unplaced == 0
    assert source.dropped == {}
    assert source.lost_at_start_s == 0
    assert not any(isinstance(item, Gap) for item in source.items)


def _probe(path: Path, ffprobe: str) -> list[float] | None:
    """What FFmpeg's own tool says: best-effort stamps less the start of the container."""
    command = [ffprobe, "-v", "quiet", "-of", "json", "-select_streams", "v:0"]
    command += ["-show_entries", "format=start_time:frame=best_effort_timestamp_time", str(path)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    stamps = [frame.get("best_effort_timestamp_time") for frame in told["frames"]]
    if not stamps or None in stamps or "start_time" not in told["format"]:
        return None
    return [float(stamp) - float(told["format"]["start_time"]) for stamp in stamps]


@pytest.mark.parametrize("name", [*GOLDEN, "cut.ts"])
def test_times_are_those_of_ffprobe(name: str, made: Path) -> None:
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        pytest.skip("ffprobe is not installed")
    if name == "cut.ts":
        odd.cut(made)
    wanted = _probe(made / name, ffprobe)
    if wanted is None:
        pytest.skip("ffprobe finds no stamps in it")
    times, _ = media_times(made / name)
    # AVI has no stamps: FFmpeg counts packets, and so is late by the frames that its decoder holds back.
    late = wanted[0] - times[0] if name.endswith(".avi") else 0.0
    assert 0 <= late <= 4 / RATE
    assert times == pytest.approx([at - late for at in wanted], abs=SLACK_S)


def test_what_cannot_be_decoded_at_the_start_is_counted_there(made: Path) -> None:
    times, source = media_times(odd.cut(made))
    # The next key frame is frame 100, at 5 s; the recording begins at 2 s.
    assert times[0] == pytest.approx(3.0, abs=0.11)
    assert source.lost_at_start_s == pytest.approx(3.0, abs=0.21)
    assert source.dropped["missing-at-start"] == pytest.approx(60, abs=4)
    assert "missing-at-end" not in source.dropped
    assert source.items[0].lost == source.dropped["missing-at-start"]
    assert source.items[0].at == times[0]


def test_video_that_starts_soon_after_its_sound_keeps_the_grid(made: Path) -> None:
    _, source = media_times(made / "soon.mp4")
    assert [item.at for item in source.items] == pytest.approx(steady(68), abs=1e-9)
    assert [odd.level(item.image) for item in source.items][:10] == [0] * 9 + [1]


def test_a_copy_that_was_cut_with_an_edit_list(tmp_path: Path) -> None:
    """Data before the cut are there to decode from, and are not shown."""
    whole = make(tmp_path / "whole.mp4", 100, gop=50, b_frames=0)

    def change(k: int, packet: object) -> object:
        packet.pts -= round(1.0 / packet.time_base)  # type: ignore[attr-defined]
        packet.dts -= round(1.0 / packet.time_base)  # type: ignore[attr-defined]
        return packet

    times, source = media_times(remux(tmp_path / "cut.mp4", whole, change=change))
    assert len(times) == 80
    assert times == pytest.approx(steady(80), abs=0.002)
    assert odd.level(source.items[0].image) == 20 % 12
    assert source.dropped == {}


def test_raw_video_cut_in_the_middle(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", 100, gop=50, b_frames=0)
    raw = remux(tmp_path / "cut.h264", whole, form="h264", change=lambda k, packet: packet if k >= 10 else None)
    times, source = media_times(raw)
    assert times[0] == pytest.approx(2.0, abs=0.001)
    assert source.dropped["missing-at-start"] == 40


def test_a_rate_for_streams_without_stamps(made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    times, _ = media_times(made / "raw.mjpeg")
    assert times == pytest.approx(steady(60, rate=25))
    assert "raw.mjpeg carries no time stamps and does not declare its frame rate; assuming 25" in caplog.text
    caplog.clear()
    times, source = media_times(made / "raw.mjpeg", rate=10.0)
    assert times == pytest.approx(steady(60, rate=10))
    assert source.info.rate == 10
    assert media_times(made / "raw.h264", rate=40.0)[0] == pytest.approx(steady(60, rate=40))
    assert caplog.text == ""
    for name in ("plain.mp4", "plain.ts", "bframes.avi"):
        with pytest.raises(InputError, match="carries time stamps") as caught:
            media_times(made / name, rate=30.0)
        assert caught.value.code == "video-rate"
    for rate in (0.0, -1.0, float("nan"), float("inf"), 1e6):
        with pytest.raises(InputError):
            VideoOptions(rate=rate)


@pytest.mark.parametrize("form", ["mp4", "mkv"])
def test_a_long_still_is_no_loss_where_the_container_vouches_for_it(form: str, tmp_path: Path) -> None:
    stamps = [k / RATE if k < 30 else 300.0 + k / RATE for k in range(60)]
    times, source = media_times(make(tmp_path / f"still.{form}", times=stamps))
    assert times == pytest.approx(stamps, abs=0.002)
    assert sum(item.lost for item in source.items) == 0
    assert [item.at for item in source.items if isinstance(item, Gap)] == pytest.approx([301.5])


def test_stamps_of_a_transport_stream_that_jump_are_not_believed(made: Path, tmp_path: Path) -> None:
    path = remux(tmp_path / "jump.ts", made / "plain.mp4", form="mpegts", change=bump(1.5, 100.0))
    times, source = media_times(path)
    assert times == pytest.approx(steady(60), abs=0.11)
    assert source.dropped["stamp-jumped"] == 1
    assert [item.reason for item in source.items if isinstance(item, Gap)] == ["stamps-jumped"]


def test_a_jump_that_may_be_true_is_a_gap(made: Path, tmp_path: Path) -> None:
    path = remux(tmp_path / "pause.ts", made / "plain.mp4", form="mpegts", change=bump(1.5, 20.0))
    times, source = media_times(path)
    assert times[-1] == pytest.approx(22.95, abs=0.11)
    assert sum(isinstance(item, Gap) for item in source.items) == 1
    assert sum(item.lost for item in source.items) == 0


@pytest.mark.parametrize("by_s", [20.0, 1000.0])
def test_one_wild_stamp_moves_nothing_else(by_s: float, tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mp4", b_frames=0)

    def change(k: int, packet: object) -> object:
        if k == 30:
            packet.pts += round(by_s / packet.time_base)  # type: ignore[attr-defined]
        return packet

    times, source = media_times(remux(tmp_path / "wild.ts", plain, form="mpegts", change=change))
    assert times == pytest.approx(steady(60), abs=0.051)
    assert source.dropped["stamp-jumped"] == 1
    assert not any(isinstance(item, Gap) for item in source.items)


def test_a_stamp_that_wraps(made: Path, tmp_path: Path) -> None:
    """33 bits at 90 kHz: less than a second before they are used up."""
    path = remux(tmp_path / "wrap.ts", made / "plain.mp4", form="mpegts", change=bump(-9.0, 2**33 / 90_000 - 1.4 - 1.0))
    times, source = media_times(path)
    assert times == pytest.approx(steady(60), abs=0.002)
    assert sum(item.lost for item in source.items) == 0


def test_frames_taken_out_of_damaged_data_are_lost(tmp_path: Path) -> None:
    """A hole counts where data are known to be damaged: the continuity counters of MPEG-TS say so."""
    data = bytearray(make(tmp_path / "whole.ts", 100, form="mpegts", b_frames=0).read_bytes())
    kept = [data[k : k + 188] for k in range(0, len(data), 188)]
    starts = [k for k, packet in enumerate(kept) if packet[1] & 0x5F == 0x41 and packet[2] == 0]
    del kept[starts[30] : starts[35]]
    (tmp_path / "hole.ts").write_bytes(b"".join(kept))
    _, source = media_times(tmp_path / "hole.ts")
    assert sum(item.lost for item in source.items) + source.unplaced == pytest.approx(5, abs=1)


def test_a_header_that_disagrees_is_named(made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = (make(tmp_path / "whole.mp4", 100, muxer={"movflags": "faststart"})).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * 0.6)])
    times, source = media_times(tmp_path / "cut.mp4")
    told = caplog.text
    caplog.clear()
    assert "cut.mp4: the header puts the end of the video at 5.00 s, but its frames end at" in told
    assert sum(item.lost for item in source.items) + source.unplaced == pytest.approx(100 - len(times), abs=1)
    assert len(times) < 80
    assert source.dropped["missing-at-end"] == pytest.approx(100 - len(times), abs=3)
    media_times(tmp_path / "whole.mp4")
    media_times(made / "vfr.mp4")
    media_times(made / "late.mp4")
    assert caplog.text == ""


def _damaged(data: bytes, kind: str, begin: float, end: float) -> bytes:
    first, last = int(len(data) * begin), int(len(data) * end)
    if kind == "zeros":
        return data[:first] + bytes(last - first) + data[last:]
    return data[:first] + np.random.default_rng(7).bytes(last - first) + data[last:]


@pytest.mark.parametrize("kind", ["zeros", "noise"])
@pytest.mark.parametrize("part", [(0.3, 0.31), (0.5, 0.6), (0.2, 0.7), (0.6, 0.8)])
@pytest.mark.parametrize("ending", ["mp4", "ts", "mkv", "avi"])
def test_what_damage_costs_is_counted_and_moves_nothing_else(
    ending: str, part: tuple[float, float], kind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = tmp_path_factory.getbasetemp() / f"whole-damage.{ending}"
    if not whole.exists():
        make(
            whole,
            200,
            form="mpegts" if ending == "ts" else None,
            muxer={"movflags": "faststart"} if ending == "mp4" else None,
        )
    path = tmp_path / f"damaged.{ending}"
    path.write_bytes(_damaged(whole.read_bytes(), kind, *part))
    times, source = media_times(path)
    gaps = [item for item in source.items if isinstance(item, Gap)]
    lost = sum(item.lost for item in source.items) + source.unplaced
    assert times == sorted(times)
    assert times[-1] == pytest.approx(9.95, abs=0.06)
    assert len(times) + lost == pytest.approx(200, abs=3) or (ending == "mkv" and gaps)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_frames_behind_the_last_one_are_counted_once(part: float, tmp_path: Path) -> None:
    data = make(tmp_path / "whole.mp4", 200, muxer={"movflags": "faststart"}).read_bytes()
    for name, cut in (("short", data[: int(len(data) * part)]), ("hole", _cut_out(data, part))):
        (tmp_path / f"{name}.mp4").write_bytes(cut)
        times, source = media_times(tmp_path / f"{name}.mp4")
        assert len(times) + sum(item.lost for item in source.items) + source.unplaced == pytest.approx(200, abs=3)


def _cut_out(data: bytes, part: float) -> bytes:
    return data[: int(len(data) * part)] + data[int(len(data) * (part + 0.05)) :]
