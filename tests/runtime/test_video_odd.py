"""Times and losses of recordings that start late, were cut, or are damaged, and of servers that answer in pieces."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames
from punctum.runtime.video._stamps import Stamper

from tests.helpers import video_times as odd

RATE, make, media_times = odd.RATE, odd.make, odd.media_times
OFFLINE = VideoOptions(reconnect_s=0.0)
LIVE = VideoOptions(reconnect_s=1.5, backoff_s=0.05, max_backoff_s=0.2)
Answer = Callable[[http.server.BaseHTTPRequestHandler, int], None]


def lost(source: Any) -> int:
    """Frames that a source declared as lost."""
    return int(sum(item.lost for item in source.items) + source.unplaced)


@pytest.mark.parametrize("late_s", [1.5, 5.0])
@pytest.mark.parametrize("b_frames", [0, 1, 3])
def test_avi_whose_video_starts_late(
    b_frames: int, late_s: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The muxer writes the first frame, a hole, and then the rest."""
    times, source = media_times(make(tmp_path / "late.avi", 100, b_frames=b_frames, video_s=late_s))
    assert len(times) == 100
    start_s = times[0] if b_frames else times[1] - 1 / RATE  # the first chunk is written at 0
    assert start_s == pytest.approx(late_s, abs=0.01)
    assert times[-1] - times[1] == pytest.approx(98 / RATE, abs=0.01)
    assert lost(source) == 0
    assert "missing-at-end" not in source.dropped
    assert caplog.text == ""


def test_matroska_whose_video_starts_late_lacks_nothing_at_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """FFmpeg writes the time of the end into the header, other programs the length."""
    _, source = media_times(make(tmp_path / "late.mkv", 100, video_s=5.0))
    assert source.dropped == {}
    assert caplog.text == ""
    late = (tmp_path / "late.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(late[: int(len(late) * 0.4)])
    _, source = media_times(tmp_path / "cut.mkv")
    assert source.dropped["missing-at-end"] >= 40
    assert "the header puts the end of the video at" in caplog.text


@pytest.mark.parametrize("b_frames", [0, 2])
def test_avi_cut_off_declares_what_it_lacks(b_frames: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FFmpeg halves the length that the header states when the file is much shorter."""
    data = make(tmp_path / "whole.avi", 200, b_frames=b_frames).read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    times, source = media_times(tmp_path / "cut.avi")
    assert 60 < len(times) < 140
    assert len(times) + lost(source) == pytest.approx(200, abs=3)
    assert "cut.avi: the header puts the end of the video at 10.0" in caplog.text


def test_frames_out_of_order_after_damage_do_not_discredit_the_stamps() -> None:
    """Two presentation stamps run backwards after damage; those that follow are right."""
    stamper = Stamper(0.05)
    stamper.note(SimpleNamespace(dts=-2, time_base=Fraction(1, 20)))
    stamper.note(SimpleNamespace(dts=-1, time_base=Fraction(1, 20)))
    stamps = [*range(10), 14, 11, 15, 12, *range(16, 120)]
    made = []
    for k, pts in enumerate(stamps):
        frame = SimpleNamespace(pts=pts, dts=k, duration=1, time_base=Fraction(1, 20))
        at, _ = stamper.stamp(frame, lost=0, held=2, damaged=k == 10)
        made.append(at)
    assert made[:11] == pytest.approx([pts / 20 for pts in stamps[:11]])
    assert made[17:] == pytest.approx([pts / 20 for pts in stamps[17:]])


def test_stamps_that_begin_again_after_damage_are_used_as_they_are() -> None:
    """Two recordings joined byte by byte: the decoding stamps begin again first, the presentation stamps later."""
    stamper = Stamper(0.05)
    made = []
    for k in range(40):
        pts, dts = k % 20, (k + 2) % 20
        frame = SimpleNamespace(pts=pts, dts=dts, duration=1, time_base=Fraction(1, 20))
        made.append(stamper.stamp(frame, lost=0, held=2, damaged=k == 17)[0])
    assert made == pytest.approx([(k % 20) / 20 for k in range(40)])


def test_containers_whose_streams_are_found_late_do_not_crash_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyAV 17.0 corrupts memory there if it is given options for all streams."""
    import av

    given = []
    opened = av.open

    def spy(*args: Any, **named: Any) -> Any:
        given.append(named)
        return opened(*args, **named)

    paths = [make(tmp_path / "a.flv", 10), make(tmp_path / "a.mpg", 10, codec="mpeg2video", form="mpeg", rate=25)]
    monkeypatch.setattr(av, "open", spy)
    for path in paths * 10:
        _, source = media_times(path)
        assert source.dropped == {}
    assert len(given) == 20
    assert not any(named.get("options") for named in given)
    assert all("max_streams" in named["container_options"] for named in given)


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A server on the loopback interface; `answer` gets the handler and how many requests came before."""
    asked: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(1)
            self.close_connection = True
            with contextlib.suppress(OSError):  # the client may have what it wanted
                answer(self, len(asked) - 1)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/video"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def head(handler: http.server.BaseHTTPRequestHandler, status: int = 200, **fields: object) -> None:
    handler.send_response(status)
    for name, value in fields.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def read(address: str, options: VideoOptions = OFFLINE) -> tuple[list[Sampled | Gap], InputError | None, Any]:
    """All items, what ended them, and the source."""
    source: Any = open_frames(address, fps=10.0, options=options)
    items: list[Sampled | Gap] = []
    error = None
    try:
        items.extend(item for item in source.frames() if item is not None)
    except InputError as caught:
        error = caught
    finally:
        source.close()
    return items, error, source


def _paced(handler: http.server.BaseHTTPRequestHandler, data: bytes, seconds: float) -> None:
    head(handler, Connection="close")
    for k in range(20):
        handler.wfile.write(data[k * len(data) // 20 : (k + 1) * len(data) // 20])
        handler.wfile.flush()
        time.sleep(seconds / 20)


def test_a_camera_that_sends_mp4_in_fragments_is_opened_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FFmpeg states the length of the first fragment, which is not that of the stream."""
    parts = [
        make(tmp_path / f"{k}.mp4", 40, gop=g, b_frames=0, muxer={"movflags": "frag_keyframe+empty_moov"}).read_bytes()
        for k, g in enumerate((10, 9))
    ]

    def answer(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        if number < 2:
            _paced(handler, parts[number], 2.0)
        else:
            handler.send_error(404)

    with serving(answer) as address:
        items, error, source = read(address, LIVE)
    assert [item.reason for item in items if isinstance(item, Gap)] == ["reconnected"]
    assert sum(isinstance(item, Sampled) for item in items) >= 38
    assert source.live
    assert error is not None
    assert error.exit_code == 3
    assert "the header puts" not in caplog.text


def test_a_paced_recording_whose_header_states_its_length_ends_there(tmp_path: Path) -> None:
    data = make(tmp_path / "a.mkv", 40, b_frames=0).read_bytes()
    with serving(lambda handler, number: _paced(handler, data, 2.0)) as address:
        items, error, _ = read(address, LIVE)
    assert error is None
    assert len(items) == 20


@pytest.mark.parametrize("name", ["one.mkv", "one.avi"])
def test_a_recording_of_one_frame_without_a_length(name: str, tmp_path: Path) -> None:
    data = make(tmp_path / name, 1, b_frames=0).read_bytes()

    def answer(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        head(handler, Connection="close")
        handler.wfile.write(data)

    with serving(answer) as address:
        items, error, source = read(address, LIVE)
    assert error is None
    assert len(items) == 1
    assert source.dropped == {}


def _piecewise(data: bytes, most: int, stop: int | None = None) -> Answer:
    """Answers with at most so many bytes of a range, and with none from `stop` on."""

    def answer(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        span = handler.headers["Range"]
        first = int(span.removeprefix("bytes=").partition("-")[0])
        last = min(first + most, len(data)) - 1
        if stop is not None and first >= stop:
            handler.send_error(500)
            return
        head(handler, 206, Content_Length=last + 1 - first, Content_Range=f"bytes {first}-{last}/{len(data)}")
        handler.wfile.write(data[first : last + 1])

    return answer


@pytest.mark.parametrize("name", ["a.mkv", "end.mp4", "a.ts"])
def test_ranges_shorter_than_asked_for_are_put_together(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, 100, form="mpegts" if name == "a.ts" else None)
    here = read(str(path))
    with serving(_piecewise(path.read_bytes(), 5000)) as address:
        items, error, source = read(address)
    assert error is None
    assert [(item.at, item.lost) for item in items] == [(item.at, item.lost) for item in here[0]]
    assert source.dropped == here[2].dropped


def test_ranges_that_stop_are_no_whole_recording(tmp_path: Path) -> None:
    data = make(tmp_path / "a.mkv", 100).read_bytes()
    with serving(_piecewise(data, 5000, stop=len(data) // 2)) as address:
        items, error, _ = read(address)
    assert error is not None
    assert error.exit_code == 3
    assert 10 < len(items) < 50


def test_answers_that_are_no_video_are_called_that(tmp_path: Path) -> None:
    data = make(tmp_path / "a.mkv", 20).read_bytes()
    packed = bytearray(gzip.compress(data))
    packed[len(packed) // 2 :] = bytes(len(packed) - len(packed) // 2)

    def body(content: bytes, coding: str = "identity") -> Answer:
        def answer(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
            head(handler, Content_Length=len(content), Content_Encoding=coding)
            handler.wfile.write(content)

        return answer

    for answer in (body(data, "gzip"), body(data[:300])):
        with serving(answer) as address, pytest.raises(InputError) as caught:
            open_frames(address, fps=10.0, options=OFFLINE)
        assert caught.value.code == "video-unreadable"
    with serving(body(bytes(packed), "gzip")) as address:
        try:
            _, error, _ = read(address)
        except InputError as raised:
            error = raised
    assert error is not None
    assert error.code in ("video-unreadable", "video-broken-off")


def test_a_redirect_to_what_is_no_address(tmp_path: Path) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler, number: int) -> None:
        head(handler, 302, Location="http://[::1", Content_Length=0)

    with serving(answer) as address, pytest.raises(InputError) as caught:
        open_frames(address, fps=10.0, options=OFFLINE)
    assert caught.value.code == "video-connection"
