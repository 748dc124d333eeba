"""A real RTSP server on loopback, GStreamer's: read, killed, restarted, gone; and no credentials in any output."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import Gap, Sampled, VideoOptions, open_frames

from tests.helpers import backbones, video_corpus

pytestmark = pytest.mark.slow

corpus = video_corpus

SYSTEM_PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).with_name("rtsp_server.py")
PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)
FPS, FRAMES = 10.0, 100
USER, PASSWORD = "somebody", "hunter2@secret/x"
LOGIN = "somebody:hunter2%40secret%2Fx@"
OPTIONS = VideoOptions(reconnect_s=15.0, backoff_s=0.1, max_backoff_s=0.5)

Serve = Callable[..., "tuple[subprocess.Popen[str], int]"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.encode(tmp_path_factory.mktemp("rtsp") / "clip.mp4", FRAMES, muxer={"movflags": "faststart"})


@pytest.fixture
def serve(clip: Path) -> Iterator[Serve]:
    """Start a server; gives the process and its port. All are ended after the test."""
    running: list[subprocess.Popen[str]] = []

    def start(port: int = 0, *login: str) -> tuple[subprocess.Popen[str], int]:
        if not SYSTEM_PYTHON.exists():
            pytest.skip(f"no {SYSTEM_PYTHON}")
        process = subprocess.Popen(
            [SYSTEM_PYTHON, SERVER, clip, str(port), *login],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        word, _, rest = process.stdout.readline().partition(" ")
        if word != "ready":
            process.kill()
            said = process.communicate()[1].strip().splitlines()
            pytest.skip(f"no RTSP server ({word} {rest.strip() or (said or ['?'])[-1]}); Debian packages: {PACKAGES}")
        return process, int(rest)

    yield start
    for process in running:
        process.kill()
        process.communicate()


def items_of(address: str, options: VideoOptions = OPTIONS) -> list[Sampled | Gap]:
    source = open_frames(address, fps=FPS, options=options)
    try:
        return [item for item in source.frames() if item is not None]
    finally:
        source.close()


def numbers(items: list[Sampled | Gap]) -> list[int]:
    return [corpus.number(item.image) for item in items if isinstance(item, Sampled)]


def test_a_stream_gives_the_frames_of_its_file(serve: Serve, clip: Path) -> None:
    _, port = serve()
    source = open_frames(f"rtsp://127.0.0.1:{port}/cam", fps=FPS, options=OPTIONS)
    items = [item for item in source.frames() if item is not None]
    source.close()
    expected = items_of(str(clip))
    assert source.live
    assert source.info.live
    assert (source.info.width, source.info.height) == (128, 96)
    assert not any(isinstance(item, Gap) for item in items)
    assert abs(len(items) - len(expected)) <= 1
    for item, wanted in zip(items, expected, strict=False):
        assert item.at == wanted.at
        # One frame: stamps of RTP and of the file are rounded differently.
        assert abs(numbers([item])[0] - numbers([wanted])[0]) <= 1


def test_a_server_that_is_killed_and_restarted(serve: Serve, capfd, caplog) -> None:
    process, port = serve(0, USER, PASSWORD)
    source = open_frames(f"rtsp://{LOGIN}127.0.0.1:{port}/cam", fps=FPS, options=OPTIONS)
    assert "hunter2" not in f"{source.name} {source.info}"
    items: list[Sampled | Gap] = []
    restarted = threading.Thread(target=lambda: (time.sleep(0.7), serve(port, USER, PASSWORD)))
    killed_at = 0.0
    for item in source.frames():
        if item is not None:
            items.append(item)
        if len(items) == 15 and not killed_at:
            process.kill()
            process.wait()
            killed_at = time.monotonic()
            restarted.start()
        if len(items) == 40:
            break
    back_s = time.monotonic() - killed_at
    source.close()
    restarted.join()
    (where,) = [k for k, item in enumerate(items) if isinstance(item, Gap)]
    gap, before, after = items[where], items[where - 1], items[where + 1 :]
    assert isinstance(gap, Gap)
    assert gap.reason == "reconnected"
    assert 0.7 < gap.at - before.at < back_s + 2.0  # the wall-clock time lost, and what was on its way
    assert [item.at for item in after] == [gap.at + k / FPS for k in range(len(after))]
    assert numbers(after)[:4] == pytest.approx([1, 3, 6, 8], abs=1)  # this server begins its file again
    assert source.reconnects == source.dropped["reconnects"] == source.dropped["connections-lost"] == 1
    out, err = capfd.readouterr()
    err += caplog.text
    assert "Retrying" in err
    for secret in (PASSWORD, "hunter2", USER):
        assert secret not in out + err


def test_a_server_that_is_gone_for_good(serve: Serve) -> None:
    process, port = serve(0, USER, PASSWORD)
    options = VideoOptions(reconnect_s=1.5, backoff_s=0.1, max_backoff_s=0.5)
    source = open_frames(f"rtsp://{LOGIN}127.0.0.1:{port}/cam", fps=FPS, options=options)
    began = 0.0
    with pytest.raises(InputError) as caught:
        for item in source.frames():
            if item is not None and not began:
                process.kill()
                process.wait()
                began = time.monotonic()
    took = time.monotonic() - began
    source.close()
    assert caught.value.code == "video-lost"
    assert "1.5 s" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert 1.4 < took < 12.0


@pytest.mark.parametrize("login", ["somebody:wrong@", "nobody:hunter2secret@", ""])
def test_a_wrong_password(login: str, serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    _, port = serve(0, USER, PASSWORD)
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        open_frames(f"rtsp://{login}127.0.0.1:{port}/cam", fps=FPS, options=OPTIONS)
    assert caught.value.code == "video-login"
    assert "password" in caught.value.next_step
    assert time.monotonic() - began < 12.0  # not tried again for the 15 s of `reconnect_s`
    out, err = capfd.readouterr()
    shown = f"{caught.value} {caught.value.__context__} {out} {err}"
    assert "hunter2" not in shown
    assert "wrong@" not in shown


def test_a_server_that_knows_udp_alone(serve: Serve, clip: Path) -> None:
    _, port = serve()
    with pytest.raises(InputError) as caught:
        open_frames(f"rtsp://127.0.0.1:{port}/udp", fps=FPS, options=OPTIONS)
    assert caught.value.code == "video-transport"
    assert "`transport=udp`" in caught.value.next_step
    over_udp = VideoOptions(reconnect_s=15.0, transport="udp")
    items = items_of(f"rtsp://127.0.0.1:{port}/udp", over_udp)
    assert len(numbers(items)) > 30  # datagrams may get lost, even on loopback


def test_a_login_from_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    _, port = serve(0, USER, PASSWORD)
    monkeypatch.setenv("PUNCTUM_SOURCE_USER", USER)
    monkeypatch.setenv("PUNCTUM_SOURCE_PASSWORD", PASSWORD)
    source = open_frames(f"rtsp://127.0.0.1:{port}/cam", fps=FPS, options=OPTIONS)
    source.close()
    assert source.name == f"rtsp://127.0.0.1:{port}/cam"


def test_a_camera_that_is_absent_at_first(serve: Serve) -> None:
    process, port = serve()
    process.kill()
    process.wait()
    late = threading.Thread(target=lambda: (time.sleep(0.7), serve(port)))
    late.start()
    reasons: list[str] = []
    options = VideoOptions(reconnect_s=30.0, backoff_s=0.1, max_backoff_s=0.5, retry_start=True, waiting=reasons.append)
    items = items_of(f"rtsp://127.0.0.1:{port}/cam", options)
    late.join()
    assert len(items) > 30
    assert any("refused" in reason for reason in reasons)


def test_a_path_that_the_server_does_not_know(serve: Serve) -> None:
    _, port = serve()
    with pytest.raises(InputError) as caught:
        open_frames(f"rtsp://127.0.0.1:{port}/other", fps=FPS, options=OPTIONS)
    assert caught.value.code == "video-missing"


def test_a_server_that_freezes_is_a_stall(serve: Serve) -> None:
    import signal

    process, port = serve()
    options = VideoOptions(reconnect_s=1.0, read_timeout_s=1.0, open_timeout_s=1.0, backoff_s=0.1)
    source = open_frames(f"rtsp://127.0.0.1:{port}/cam", fps=FPS, options=options)
    frozen = 0.0
    with contextlib.ExitStack() as stack, pytest.raises(InputError) as caught:
        for item in source.frames():
            if item is not None and not frozen:
                process.send_signal(signal.SIGSTOP)
                stack.callback(process.send_signal, signal.SIGCONT)
                frozen = time.monotonic()
    source.close()
    assert caught.value.code == "video-lost"
    assert time.monotonic() - frozen < 15.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a backbone, untrained: its events mean nothing, but the same frames give the same ones."""
    pytest.importorskip("onnx", reason="onnx makes the bundle of this test")
    pytest.importorskip("onnxruntime", reason="the bundle needs onnxruntime")

    path = tmp_path_factory.mktemp("bundle") / "bundle"
    backbones.write_bundle(path, backbones.spec())
    return path


def punctum(*words: object) -> list[str]:
    return [sys.executable, "-c", "from punctum.runtime.cli import main; main()", *map(str, words)]


def events(lines: str) -> list[tuple[str, float, float, float]]:
    found = [json.loads(line) for line in lines.splitlines()]
    return sorted((e["label"], e["start"], e["end"], e["score"]) for e in found if e["phase"] == "final")


@pytest.mark.slow
@pytest.mark.slow
def test_events_of_a_stream_are_those_of_its_file(serve: Serve, clip: Path, bundle: Path) -> None:
    _, port = serve(0, USER, PASSWORD)
    address = f"rtsp://{LOGIN}127.0.0.1:{port}/cam"
    runs = [
        subprocess.run(punctum("run", *words), capture_output=True, text=True, timeout=60)
        for words in ((bundle, clip), ("--stream", bundle, address))
    ]
    assert [run.returncode for run in runs] == [0, 0], runs[1].stderr
    whole, streamed = (events(run.stdout) for run in runs)
    assert len(whole) > 0
    assert [event[0] for event in streamed] == [event[0] for event in whole]
    for event, wanted in zip(streamed, whole, strict=True):
        assert event[1:3] == pytest.approx(wanted[1:3], abs=0.2)  # the stride of this bundle
        assert event[3] == pytest.approx(wanted[3], abs=0.05)
    assert "hunter2" not in runs[1].stdout + runs[1].stderr


@pytest.mark.slow
@pytest.mark.slow
def test_a_run_goes_on_when_its_server_is_restarted(serve: Serve, bundle: Path) -> None:
    process, port = serve(0, USER, PASSWORD)
    address = f"rtsp://{LOGIN}127.0.0.1:{port}/cam"
    run = subprocess.Popen(
        punctum("run", "--stream", bundle, address), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert run.stderr is not None
        assert any("reading from rtsp://***@127.0.0.1" in line for line in run.stderr)
        time.sleep(1.5)
        process.kill()
        process.wait()
        time.sleep(0.5)
        serve(port, USER, PASSWORD)
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 0, err
    assert "Retrying" in err
    assert "1 gap " in err
    assert max(event[1] for event in events(out)) > 4.0  # longer than the clip: media time went on over the loss
    for secret in (PASSWORD, "hunter2", f"{USER}:"):
        assert secret not in out + err
