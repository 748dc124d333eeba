"""Video over HTTP from servers of every kind: what ends, what is cut, what comes twice, and where it may lead."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, VideoOptions, open_frames

from tests.helpers import http_servers, video_corpus, video_peers

corpus, peers, servers = video_corpus, video_peers, http_servers
Handler, Server = servers.Handler, servers.Server
FPS, OFFLINE = servers.FPS, servers.OFFLINE
folder, server, read, told = servers.folder, servers.server, servers.read, servers.told
LIVE = VideoOptions(reconnect_s=1.5, backoff_s=0.05, max_backoff_s=0.2)
USER, PASSWORD = servers.USER, servers.PASSWORD


@pytest.mark.parametrize("options", [OFFLINE, LIVE])
@pytest.mark.parametrize("mode", ["length", "nothing", "chunked", "gzip", "ranges", "wrong", "later"])
@pytest.mark.parametrize("name", ["a.ts", "end.mp4", "first.mp4"])
def test_every_server_gives_the_recording_once(server: Server, mode: str, name: str, options: VideoOptions) -> None:
    if name == "end.mp4" and mode in ("nothing", "chunked", "gzip"):
        with pytest.raises(InputError) as caught:
            read(server.url(f"{mode}/{name}"), options)
        assert caught.value.code == "video-unreadable"
        assert "faststart" in caught.value.next_step
        return
    expected = told(read(str(server.folder / name))[0])
    items, error = read(server.url(f"{mode}/{name}"), options)
    assert error is None
    assert told(items) == expected
    assert not any(isinstance(item, Gap) for item in items)
    assert len(server.asked) <= 8


def test_what_is_cut_is_no_whole_recording(server: Server) -> None:
    items, error = read(server.url("cut/a.ts"))
    assert error is not None
    assert error.code == "video-broken-off"
    assert error.exit_code == 3
    assert len(items) >= 19


def test_a_recording_that_is_cut_and_served_again_is_not_told_twice(server: Server) -> None:
    """Live, the server closes in the middle and begins anew with the same bytes."""
    items, error = read(server.url("cut/a.ts"), LIVE)
    assert error is not None
    assert error.code == "video-broken-off"
    assert len(told(items)) <= 20


def test_a_camera_that_closes_cleanly_is_opened_again(server: Server) -> None:
    """It sends no faster than real time, so the end of the connection is not the end of a recording."""
    source = open_frames(server.url("paced/a.ts"), fps=FPS, options=LIVE)
    items = []
    for item in source.frames():
        if item is not None:
            items.append(item)
        if len(items) == 5:
            (server.folder / "a.ts").rename(server.folder / "kept.ts")
            (server.folder / "a.ts").write_bytes((server.folder / "b.ts").read_bytes())
        if sum(isinstance(i, Gap) for i in items) and len(items) > 30:
            break
    source.close()
    (server.folder / "kept.ts").replace(server.folder / "a.ts")
    assert [item.reason for item in items if isinstance(item, Gap)] == ["reconnected"]


def test_a_recording_that_a_slow_server_serves_again_ends_once(server: Server) -> None:
    items, error = read(server.url("paced/a.ts"), LIVE)
    assert error is None
    assert len(told(items)) == 20
    assert not any(isinstance(item, Gap) for item in items)


def test_motion_jpeg_that_ends_is_a_camera_that_was_lost(folder: Path, server: Server) -> None:
    import av

    corpus.encode(folder / "a.avi", 50, codec="mjpeg", pixels="yuvj420p")
    with av.open(str(folder / "a.avi")) as clip:
        frames = [bytes(packet) for packet in clip.demux(video=0) if packet.size]
    served = []

    def camera(connection: socket.socket) -> None:
        connection.recv(4096)
        served.append(1)
        if len(served) <= 2:
            connection.sendall(
                b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
                + b"".join(
                    b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(f), f)
                    for f in frames
                )
            )
        connection.close()

    with peers.talker(camera) as port:
        items, error = read(f"http://127.0.0.1:{port}/mjpg", LIVE)
    assert [item.reason for item in items if isinstance(item, Gap)] == ["reconnected"]
    assert error is not None
    assert error.code == "video-lost"


def test_hls_without_an_end_is_lost_when_its_server_forgets_it(server: Server) -> None:
    source = open_frames(server.url("live/x.m3u8"), fps=FPS, options=LIVE)
    items = []
    with pytest.raises(InputError) as caught:
        for item in source.frames():
            if item is not None:
                items.append(item)
                server.leads_to = "gone"
    source.close()
    assert len(items) >= 19
    assert caught.value.code == "video-lost"
    assert caught.value.exit_code == 3


def test_an_unknown_encoding_is_refused(server: Server) -> None:
    with pytest.raises(InputError, match="br"):
        read(server.url("brotli/a.ts"))


def test_a_server_that_drips_is_too_slow(server: Server) -> None:
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        read(server.url("drip/a.ts"), VideoOptions(open_timeout_s=0.6, read_timeout_s=0.4, reconnect_s=0.0))
    assert caught.value.code == "video-timeout"
    assert time.monotonic() - began < 9.0  # 10 s are the default


def test_closing_does_not_wait_for_a_silent_server(folder: Path) -> None:
    data = (folder / "a.ts").read_bytes()

    def half(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + data)

    with peers.talker(half) as port:
        options = VideoOptions(read_timeout_s=60.0, stall_s=60.0)
        source = open_frames(f"http://127.0.0.1:{port}/", fps=FPS, options=options)
        time.sleep(0.3)  # the thread waits for what never comes
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 10.0


def test_a_head_that_drips_is_too_slow() -> None:
    def drip(connection: socket.socket) -> None:
        for letter in b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 1000:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)

    began = time.monotonic()
    with peers.talker(drip) as port, pytest.raises(InputError) as caught:
        read(f"http://127.0.0.1:{port}/", VideoOptions(open_timeout_s=0.6, read_timeout_s=0.4, reconnect_s=0.0))
    assert caught.value.code == "video-timeout"
    assert time.monotonic() - began < 9.0  # 10 s are the default


@pytest.mark.parametrize("mode", ["basic", "digest"])
def test_logins(server: Server, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = server.url(f"{mode}/a.ts")
    with pytest.raises(InputError) as caught:
        read(address)
    assert caught.value.code == "video-login"
    assert caught.value.exit_code == 2
    with pytest.raises(InputError) as caught:
        read(server.url(f"{mode}/a.ts", "viewer:wrongpw@"))
    assert caught.value.code == "video-login"
    assert "wrongpw" not in str(caught.value)
    expected = told(read(str(server.folder / "a.ts"))[0])
    assert told(read(server.url(f"{mode}/a.ts", "viewer:hunter2%40%2F%3Ax@"))[0]) == expected
    given = VideoOptions(reconnect_s=0.0, user=USER, password=PASSWORD)
    assert told(read(address, given)[0]) == expected
    assert "hunter2" not in repr(given)
    monkeypatch.setenv("PUNCTUM_SOURCE_USER", USER)
    monkeypatch.setenv("PUNCTUM_SOURCE_PASSWORD", PASSWORD)
    assert told(read(address)[0]) == expected


def test_a_source_that_is_absent_at_first_is_waited_for(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    waited: list[str] = []
    served: list[Server] = []

    def late() -> None:
        time.sleep(0.8)
        one = Server.__new__(Server)
        one.folder, one.asked, one.leads_to = folder, [], ""
        http.server.ThreadingHTTPServer.__init__(one, ("127.0.0.1", port), Handler)
        one.thread = threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True)
        one.thread.start()
        served.append(one)

    thread = threading.Thread(target=late)
    thread.start()
    options = VideoOptions(reconnect_s=20.0, backoff_s=0.05, max_backoff_s=0.2, retry_start=True, waiting=waited.append)
    try:
        items, error = read(f"http://127.0.0.1:{port}/length/a.ts", options)
    finally:
        thread.join()
        for one in served:
            one.stop()
    assert error is None
    assert len(told(items)) == 20
    assert any("refused" in why for why in waited)


def test_what_answers_with_no_video_is_a_wrong_address(server: Server) -> None:
    """Exit code 2, not the 3 of a source that is absent."""
    server.leads_to = "<html>no video here</html>" * 20
    with pytest.raises(InputError) as caught:
        read(server.url("text/x"))
    assert (caught.value.code, caught.value.exit_code) == ("video-unreadable", 2)
    with pytest.raises(InputError) as caught:
        read(server.url("unknown/x"))
    assert (caught.value.code, caught.value.exit_code) == ("video-missing", 3)


def test_no_descriptors_left_is_tried_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = socket.create_connection, iter([True, True])

    def dial(*arguments: Any, **options: Any) -> socket.socket:
        if next(failures, False):
            raise OSError(24, "Too many open files")
        return real(*arguments, **options)

    monkeypatch.setattr(socket, "create_connection", dial)
    reasons: list[str] = []
    options = VideoOptions(reconnect_s=20.0, backoff_s=0.3, max_backoff_s=0.3, retry_start=True, waiting=reasons.append)
    items, error = read(server.url("length/a.ts"), options)
    assert error is None
    assert len(told(items)) == 20
    assert any("too many open files" in reason for reason in reasons)


@pytest.mark.parametrize("mode", ["ranges", "length", "chunked"])
@pytest.mark.parametrize("kind", ["byte ranges of one file", "fragmented mp4", "encrypted"])
def test_hls_of_every_kind(tmp_path: Path, mode: str, kind: str) -> None:
    muxer = {"hls_time": "1", "hls_list_size": "0", "hls_playlist_type": "vod"}
    if kind == "encrypted":
        pytest.importorskip("cryptography", reason="encrypted HLS needs cryptography")
        (tmp_path / "secret.key").write_bytes(bytes(range(16)))
        (tmp_path / "info").write_text(f"secret.key\n{tmp_path}/secret.key\n")
        muxer["hls_key_info_file"] = str(tmp_path / "info")
    elif kind == "fragmented mp4":
        muxer |= {"hls_segment_type": "fmp4", "hls_fmp4_init_filename": "init.mp4"}
    else:
        muxer["hls_flags"] = "single_file"
    corpus.encode(tmp_path / "a.mp4", 60)
    corpus.encode(tmp_path / "a.m3u8", 60, form="hls", muxer=muxer)
    server = Server(tmp_path)
    try:
        items, error = read(server.url(f"{mode}/a.m3u8"))
    finally:
        server.stop()
    assert error is None
    assert told(items) == told(read(str(tmp_path / "a.mp4"))[0])


def test_encrypted_hls_names_the_library_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    (tmp_path / "secret.key").write_bytes(bytes(16))
    (tmp_path / "info").write_text(f"secret.key\n{tmp_path}/secret.key\n")
    corpus.encode(tmp_path / "a.m3u8", 50, form="hls", muxer={"hls_key_info_file": str(tmp_path / "info")})
    server = Server(tmp_path)
    try:
        with pytest.raises(InputError, match="cryptography"):
            read(server.url("length/a.m3u8"))
    finally:
        server.stop()
