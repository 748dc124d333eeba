"""Media time 0 is where the container starts, stamps are the best there are, and what is missing is counted there."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import inspect
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, VideoOptions, open_frames
from punctum.runtime.video.selftest import decode_tiny_clip

_spec = importlib.util.spec_from_file_location("video_times", Path(__file__).with_name("video_times.py"))
odd = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(odd)
RATE, make, remux, bump, media_times = odd.RATE, odd.make, odd.remux, odd.bump, odd.media_times


def steady(count: int, first: float = 0.0, rate: float = RATE) -> list[float]:
    return [first + k / rate for k in range(count)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("times")
    make(folder / "plain.mp4")
    make(folder / "plain.ts", form="mpegts")
    make(folder / "late.mp4", video_s=5.0, audio=(0.0, 8.0))
    make(folder / "late.mkv", video_s=5.0, audio=(0.0, 8.0))
    make(folder / "late.ts", video_s=5.0, audio=(0.0, 8.0), form="mpegts")
    make(folder / "soon.mp4", video_s=0.4, audio=(0.0, 3.4))
    make(folder / "negative.mkv", video_s=-0.5, audio=(-0.5, 2.5))
    make(
        folder / "fragments.mp4",
        b_frames=0,
        video_s=1.0,
        audio=(1.0, 4.0),
        muxer={"movflags": "frag_keyframe+empty_moov"},
    )
    make(folder / "nolength.webm", codec="libvpx", b_frames=0, muxer={"live": "1"})
    make(folder / "bframes.avi")
    make(folder / "pyramid.avi", b_frames=4, options={"x264-params": "b-pyramid=normal:ref=6:scenecut=0:b-adapt=0"})
    make(folder / "asp.avi", codec="mpeg4")
    remux(folder / "raw.h264", folder / "plain.mp4", form="h264")
    make(folder / "raw.mjpeg", codec="mjpeg", form="mjpeg", pixels="yuvj420p", rate=10)
    vfr = [k / RATE for k in range(90) if not (30 <= k < 36 or 50 <= k < 53 or 70 <= k < 71)]
    make(folder / "vfr.mp4", times=vfr)
    make(folder / "vfr.mkv", times=vfr)
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
        _cut(made)
    wanted = _probe(made / name, ffprobe)
    if wanted is None:
        pytest.skip("ffprobe finds no stamps in it")
    times, _ = media_times(made / name)
    # AVI has no stamps: FFmpeg counts packets, and so is late by the frames that its decoder holds back.
    late = wanted[0] - times[0] if name.endswith(".avi") else 0.0
    assert 0 <= late <= 4 / RATE
    assert times == pytest.approx([at - late for at in wanted], abs=SLACK_S)


def _cut(made: Path) -> Path:
    if not (made / "cut.ts").exists():
        make(made / "whole.ts", 160, gop=100, audio=(0.0, 8.0), form="mpegts")
        _drop_video(made / "whole.ts", made / "cut.ts", 2.0)
    return made / "cut.ts"


def _drop_video(source: Path, target: Path, until_s: float) -> None:
    """A recording that begins in the middle of a group of pictures: sound at once, video data of no use at first."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w", format="mpegts") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is None or float(packet.dts * packet.time_base) < until_s:
                continue
            packet.stream = streams[packet.stream.index]
            out.mux(packet)


def test_what_cannot_be_decoded_at_the_start_is_counted_there(made: Path) -> None:
    times, source = media_times(_cut(made))
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


def test_a_rate_for_streams_without_stamps(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times, _ = media_times(made / "raw.mjpeg")
    assert times == pytest.approx(steady(60, rate=25))
    assert (
        "raw.mjpeg carries no time stamps and does not declare its frame rate; assuming 25" in capsys.readouterr().err
    )
    times, source = media_times(made / "raw.mjpeg", rate=10.0)
    assert times == pytest.approx(steady(60, rate=10))
    assert source.info.rate == 10
    assert media_times(made / "raw.h264", rate=40.0)[0] == pytest.approx(steady(60, rate=40))
    assert capsys.readouterr().err == ""
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


def test_a_header_that_disagrees_is_named(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = (make(tmp_path / "whole.mp4", 100, muxer={"movflags": "faststart"})).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * 0.6)])
    times, source = media_times(tmp_path / "cut.mp4")
    told = capsys.readouterr().err
    assert "cut.mp4: the header puts the end of the video at 5.00 s, but its frames end at" in told
    assert sum(item.lost for item in source.items) + source.unplaced == pytest.approx(100 - len(times), abs=1)
    assert len(times) < 80
    assert source.dropped["missing-at-end"] == pytest.approx(100 - len(times), abs=3)
    media_times(tmp_path / "whole.mp4")
    media_times(made / "vfr.mp4")
    media_times(made / "late.mp4")
    assert capsys.readouterr().err == ""


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


# Over HTTP and live.


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that knows ranges and keeps connections open, as most do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        data = Path(self.directory, self.path.lstrip("/")).read_bytes()  # type: ignore[attr-defined]
        given = self.headers.get("Range")
        begin, _, end = (given or "bytes=0-").removeprefix("bytes=").partition("-")
        first, last = int(begin), int(end) if end else len(data) - 1
        self.send_response(206 if given else 200)
        self.send_header("Accept-Ranges", "bytes")
        if given:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        try:
            self.wfile.write(data[first : last + 1])
        except OSError:
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def site(made: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Ranges, directory=str(made)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "name", ["long.mp4", "late.mp4", "late.ts", "bframes.avi", "raw.h264", "raw.mjpeg", "vfr.mp4", "cut.ts", "jump.ts"]
)
def test_an_address_gives_the_times_and_losses_of_the_file(name: str, made: Path, site: str) -> None:
    if name == "cut.ts":
        _cut(made)
    if name == "jump.ts":
        remux(made / name, made / "plain.mp4", form="mpegts", change=bump(1.5, 100.0))
    if name == "long.mp4":  # its index is at the end, further away than a reader's buffer
        make(made / name, 200, size=(240, 320), options={"crf": "1"})
    _, here = media_times(made / name)
    _, there = media_times(f"{site}/{name}", reconnect_s=0)
    assert len(here.items) >= 40
    assert [item.at for item in there.items] == [item.at for item in here.items]
    assert [item.lost for item in there.items] == [item.lost for item in here.items]
    assert there.dropped == here.dropped
    shown = [item for item in here.items if not isinstance(item, Gap)]
    again = [item for item in there.items if not isinstance(item, Gap)]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(shown, again, strict=True))


class _Camera(http.server.BaseHTTPRequestHandler):
    """MJPEG as cameras send it, a picture every 0.1 s; it carries no stamps."""

    pictures: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        begun = time.monotonic()
        try:
            for k, jpeg in enumerate(self.pictures):
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                self.wfile.write(head + jpeg + b"\r\n")
                time.sleep(max(begun + (k + 1) / 10 - time.monotonic(), 0))
        except OSError:
            pass

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("rate", [None, 10.0])
def test_mjpeg_of_a_camera_runs_at_the_rate_at_which_it_arrives(rate: float | None, made: Path) -> None:
    data = (made / "raw.mjpeg").read_bytes()
    _Camera.pictures = [b"\xff\xd8\xff" + part for part in data.split(b"\xff\xd8\xff")[1:31]]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/video"
    source = open_frames(address, fps=10.0, options=VideoOptions(reconnect_s=0, rate=rate))
    items = []
    try:
        for item in source.frames():
            items += [] if item is None else [item]
    except InputError:
        pass  # the camera is switched off
    finally:
        source.close()
        server.shutdown()
        server.server_close()
    assert items[-1].at == pytest.approx(2.9, abs=0.6)


def test_media_time_of_a_camera_without_stamps_goes_on_by_the_clock_over_a_loss(made: Path) -> None:
    data = (made / "raw.mjpeg").read_bytes()
    _Camera.pictures = [b"\xff\xd8\xff" + part for part in data.split(b"\xff\xd8\xff")[1:16]]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = VideoOptions(reconnect_s=5, backoff_s=0.5, max_backoff_s=0.5)
    source = open_frames(f"http://127.0.0.1:{server.server_address[1]}/video", fps=10.0, options=options)
    begun, ended, at, reconnected = time.monotonic(), 0.0, 0.0, 0
    try:
        for item in source.frames():
            if item is not None:
                at, ended = item.at, time.monotonic()
                reconnected += isinstance(item, Gap)
            if reconnected == 2 and at > 4.5:
                break
    finally:
        source.close()
        server.shutdown()
        server.server_close()
    assert reconnected == 2
    assert at == pytest.approx(ended - begun, abs=0.7)


def test_what_opening_reads_ahead_of_a_stream_without_stamps_took_its_time_too(made: Path) -> None:
    """FFmpeg looks at two dozen frames of raw H.264 before it hands out the first."""
    data = (made / "raw.h264").read_bytes()
    starts = [k for k in range(len(data) - 4) if data[k : k + 3] == b"\0\0\1"]
    slices = [k for k in starts if data[k + 3] & 31 in (1, 5)]
    ends = [next((k for k in starts if k > begin), len(data)) for begin in slices]

    class Encoder(_Camera):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/h264")
            self.end_headers()
            begun, sent = time.monotonic(), 0
            try:
                for k, end in enumerate(ends):
                    self.wfile.write(data[sent:end])
                    sent = end
                    time.sleep(max(begun + (k + 1) / RATE - time.monotonic(), 0))
            except OSError:
                pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Encoder)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/live.h264"
    source = open_frames(address, fps=10.0, options=VideoOptions(reconnect_s=0))
    items = []
    try:
        for item in source.frames():
            items += [] if item is None else [item]
    except InputError:
        pass  # the encoder is switched off
    finally:
        source.close()
        server.shutdown()
        server.server_close()
    assert items[-1].at == pytest.approx(2.9, abs=0.6)
    shown = [odd.level(item.image) for item in items if not isinstance(item, Gap)]
    assert len(set(shown[:10])) >= 6  # not all of it in the first cell


def test_a_recording_without_stamps_that_comes_all_at_once_is_named(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sent in chunks, without a length: nothing tells it from a camera but its pace."""
    data = (made / "raw.mjpeg").read_bytes()

    class Chunks(_Camera):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            many = data * 10
            for k in range(0, len(many), 16384):
                part = many[k : k + 16384]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chunks)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = open_frames(
        f"http://127.0.0.1:{server.server_address[1]}/x.mjpeg", fps=10.0, options=VideoOptions(reconnect_s=0)
    )
    try:
        for _ in source.frames():
            pass
    except InputError:
        pass
    finally:
        source.close()
        server.shutdown()
        server.server_close()
    assert "set its frame rate with --fps" in capsys.readouterr().err


# The shape of pixels.


def test_pixels_that_are_not_square_are_said(tmp_path: Path) -> None:
    for name, sar, wanted in (("a.mp4", Fraction(2), 2.0), ("b.mkv", Fraction(16, 11), 16 / 11), ("c.mp4", None, 1.0)):
        _, source = media_times(make(tmp_path / name, 10, sar=sar))
        assert source.items[0].aspect == pytest.approx(wanted, rel=0.01)


def test_pixels_of_a_turned_recording_are_turned_with_it(tmp_path: Path) -> None:
    def turn(out: object) -> None:
        out.streams.video[0].set_display_rotation(90)  # type: ignore[attr-defined]

    _, source = media_times(make(tmp_path / "turned.mp4", 10, sar=Fraction(2), extra=turn))
    assert source.items[0].image.shape == (64, 48, 3)
    assert source.items[0].aspect == pytest.approx(0.5)


def test_an_anamorphic_recording_looks_to_a_backbone_like_a_square_one() -> None:
    from punctum import kernels
    from punctum.runtime.video.preprocess import Preprocessor, crop_window
    from punctum.runtime.video.spec import BackboneSpec

    spec = BackboneSpec(fps=10, clip_frames=2, snippet_frames=2, height=24, width=32)
    y, x = np.mgrid[0:96, 0:256]
    square = np.stack([x % 256, y * 2, (x + y) % 256], axis=-1).astype(np.uint8)
    narrow = np.rint(kernels.resize_area(square, 96, 128)).astype(np.uint8)  # pixels twice as wide as high
    prepare = Preprocessor(spec)
    wanted = prepare(square).copy()
    assert np.abs(prepare(narrow, 2.0) - wanted).max() < 0.02
    assert np.abs(prepare(narrow) - wanted).max() > 0.1
    assert crop_window(96, 128, spec, 2.0) == pytest.approx((0.0, 32.0, 96.0, 64.0))
    assert crop_window(96, 128, spec.model_copy(update={"resize": "stretch"}), 2.0) == (0.0, 0.0, 96.0, 128.0)


# Files that name other files, and frames that are too large.


REFERENCES = {
    "ffconcat": "ffconcat version 1.0\nfile plain.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nplain.ts\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "pls": "[playlist]\nFile1=plain.mp4\n",
}


@pytest.mark.parametrize("ending", ["mp4", "m3u8", "mkv", ""])
@pytest.mark.parametrize("kind", REFERENCES)
def test_files_that_name_other_files_are_refused_whatever_they_are_called(kind: str, ending: str, made: Path) -> None:
    path = made / f"list-{kind}.{ending}"
    path.write_text(REFERENCES[kind])
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code == "video-references"
    assert "refers to other files" in caught.value.given


def test_a_name_with_a_number_pattern_opens_no_series_of_pictures(made: Path, tmp_path: Path) -> None:
    for k in range(3):
        make(tmp_path / f"shot{k}.png", 1, codec="png", pixels="rgb24", form="image2", b_frames=0)
    path = Path(shutil.copy(tmp_path / "shot0.png", tmp_path / "shot%d.png"))
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code == "video-picture"


def test_an_mp4_whose_media_lie_in_another_file_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="media data are in another file") as caught:
        open_frames(str(odd.outside(tmp_path / "outside.mp4", made / "plain.mp4")), fps=10.0)
    assert caught.value.code == "video-references"
    assert len(media_times(odd.outside(tmp_path / "empty.mp4", made / "plain.mp4", place=b""))[0]) == 60


def test_a_small_file_with_huge_frames_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "bomb.avi", 10, codec="mjpeg", pixels="yuvj420p")
    data = bytearray(path.read_bytes())
    at = data.find(b"\xff\xc0\x00\x11\x08")
    while at >= 0:
        data[at + 5 : at + 9] = (16000).to_bytes(2, "big") * 2
        at = data.find(b"\xff\xc0\x00\x11\x08", at + 1)
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code in ("video-no-frames", "video-size")


def test_a_header_of_a_huge_size_is_refused(tmp_path: Path) -> None:
    data = bytearray(make(tmp_path / "bomb.y4m", 2, codec="rawvideo", form="yuv4mpegpipe", b_frames=0).read_bytes())
    path = tmp_path / "bomb.y4m"
    path.write_bytes(data.replace(b"W64 H48", b"W12000 H12000"))
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code in ("video-size", "video-no-frames", "video-unreadable")


def test_a_file_of_more_streams_than_anybody_needs_is_refused(tmp_path: Path) -> None:
    def add(out: object) -> None:
        for _ in range(300):
            out.add_stream("pcm_s16le", rate=8000, layout="mono")  # type: ignore[attr-defined]

    with pytest.raises(InputError, match="more than 256 streams") as caught:
        open_frames(str(make(tmp_path / "many.mkv", 5, extra=add)), fps=10.0)
    assert caught.value.code == "video-streams"


def test_a_song_with_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    import av
    import av.stream

    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48_000, layout="mono")
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in odd._sound(sound, 0.0, 1.0):
            out.mux(packet)
        frame = av.VideoFrame.from_ndarray(odd.picture(0), format="rgb24").reformat(format="yuvj420p")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        out.mux(cover.encode(frame))
        out.mux(cover.encode())
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code == "video-no-stream"
    assert "a cover picture and audio and no video" in caught.value.given


def test_open_frames_has_no_option_without_effect() -> None:
    assert list(inspect.signature(open_frames).parameters) == ["address", "fps", "options"]


def test_this_installation_decodes() -> None:
    assert "decodes a tiny clip" in decode_tiny_clip()
