"""The socket source against clients that are no senders: they are dropped and counted, and the real sender is heard."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.errors import InputError, SourceLostError
from punctum.runtime.sources import acceptor, listener
from punctum.runtime.sources.folder import chunk_name
from punctum.runtime.sources.framing import encode_end, encode_header, encode_record, encode_token
from punctum.runtime.sources.items import Begin, Chunk
from punctum.runtime.sources.open import open_source

DIM, STRIDE = 3, 0.1
HEADER = encode_header(dim=DIM, stride_s=STRIDE, name="cam")
ROWS = np.arange(4 * DIM, dtype=np.float32).reshape(4, DIM)
GOOD = HEADER + encode_record(ROWS) + encode_end()


def dial(address: str) -> socket.socket:
    if address.startswith("unix://"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(address[7:])
        return client
    host, port = address[6:].rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), 10)


class Running:
    """A source that is read in a thread."""

    def __init__(self, address: str, **options: object) -> None:
        self.source = open_source(address, dim=DIM, stride_s=STRIDE, **options)
        self.items: list[object] = []
        self.error: InputError | None = None
        self._stop = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for item in self.source.items():
                if item is not None:
                    self.items.append(item)
                if self._stop:
                    break
        except InputError as error:
            self.error = error
        finally:
            self.source.close()

    @property
    def refused(self) -> dict[str, int]:
        return self.source.refused  # type: ignore[attr-defined]

    def rows(self) -> int:
        return sum(len(item.rows) for item in self.items if isinstance(item, Chunk))

    def wait(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, "it did not happen in time"
            assert self.thread.is_alive() or condition(), f"the source ended ({self.error})"
            time.sleep(0.01)

    def end(self) -> None:
        self._stop = True
        self.thread.join(30)
        assert not self.thread.is_alive()


def refuse_then_read(running: Running, sent: bytes, *, ends: bool) -> None:
    """A connection that is no sender comes, and after it one that is. ends: the first says that nothing more comes."""
    with dial(running.source.name) as probe:
        probe.sendall(sent)
        if ends:
            probe.shutdown(socket.SHUT_WR)
        running.wait(lambda: bool(running.refused))
    with dial(running.source.name) as sender:
        sender.sendall(GOOD)
        running.thread.join(30)
    assert running.error is None
    assert [type(item) for item in running.items] == [Begin, Chunk]


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(address: str, **options: object) -> Running:
        made.append(Running(address, **options))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "tcp://127.0.0.1:0" if request.param == "tcp" else f"unix://{tmp_path / 's'}"


@pytest.mark.parametrize("reconnect_s", [None, 30.0])
@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "probe"),
        (b"P", "probe"),
        (HEADER, "probe"),
        (b"GET / HTTP/1.0\r\n\r\n", "header"),
        (b"\x16\x03\x01\x02\x00", "header"),
        (encode_header(dim=DIM + 1, stride_s=STRIDE), "header"),
        (encode_header(dim=DIM, stride_s=2 * STRIDE), "header"),
        (HEADER[:-1] + bytes([HEADER[-1] ^ 1]), "header"),
        (b"PNCA" + struct.pack("<I", 1 << 30), "header"),
    ],
)
def test_what_is_no_sender_is_dropped_and_counted(
    run: Callable[..., Running],
    address: str,
    sent: bytes,
    reason: str,
    reconnect_s: float | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = run(address, reconnect_s=reconnect_s)
    refuse_then_read(running, sent, ends=reason == "probe")
    expected = "token" if sent.startswith(b"PNCA") else reason
    assert running.refused == {expected: 1}
    assert "dropped a connection from" in caplog.text


def test_a_silent_client_does_not_keep_the_sender_waiting(run: Callable[..., Running], address: str) -> None:
    running = run(address)
    with contextlib.ExitStack() as stack:
        for sent in (b"", HEADER[:10], HEADER):
            stack.enter_context(dial(running.source.name)).sendall(sent)
        time.sleep(0.3)
        with dial(running.source.name) as sender:
            sender.sendall(GOOD)
            running.thread.join(30)
        assert running.error is None
        assert running.rows() == len(ROWS)


def test_silent_clients_are_dropped_in_time(
    run: Callable[..., Running], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "HEADER_S", 0.5)
    running = run(address)
    with dial(running.source.name) as client:
        for letter in HEADER[:6]:  # a byte now and then does not help
            with contextlib.suppress(OSError):
                client.sendall(bytes([letter]))
            time.sleep(0.2)
        running.wait(lambda: running.refused == {"silent": 1})


def test_many_connections_are_bounded(run: Callable[..., Running], address: str) -> None:
    running = run(address)
    with contextlib.ExitStack() as stack:
        for _ in range(5 * acceptor.MAX_WAITING):
            stack.enter_context(dial(running.source.name))
        running.wait(lambda: running.refused.get("silent", 0) >= 4 * acceptor.MAX_WAITING)
        with dial(running.source.name) as sender:
            sender.sendall(GOOD)
            running.thread.join(30)
    assert running.rows() == len(ROWS)


def test_junk_beside_a_sender_changes_nothing(run: Callable[..., Running], address: str) -> None:
    running = run(address)
    with dial(running.source.name) as sender, dial(running.source.name) as other:
        sender.sendall(HEADER + encode_record(ROWS))
        running.wait(lambda: running.rows() == len(ROWS))
        other.sendall(b"junk")
        running.wait(lambda: running.refused == {"header": 1})
        sender.sendall(encode_record(ROWS) + encode_end())
        running.thread.join(30)
    assert running.error is None
    assert running.rows() == 2 * len(ROWS)


def test_a_sender_whose_machine_died_gives_way_to_the_next(
    run: Callable[..., Running], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "TAKEOVER_S", 0.3)
    running = run(address, reconnect_s=30.0)
    with dial(running.source.name) as dead:
        dead.sendall(HEADER + encode_record(ROWS))
        running.wait(lambda: running.rows() == len(ROWS))
        with dial(running.source.name) as again:
            again.sendall(encode_header(dim=DIM, stride_s=STRIDE, start_s=9.0) + encode_record(ROWS) + encode_end())
            running.thread.join(30)
    assert running.error is None
    assert [type(item) for item in running.items] == [Begin, Chunk, Begin, Chunk]


def test_a_sender_that_never_completes_a_record_gives_way(
    run: Callable[..., Running], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then is no sign of life."""
    monkeypatch.setattr(listener, "TAKEOVER_S", 0.5)
    running = run(address, reconnect_s=30.0)
    with dial(running.source.name) as slow, dial(running.source.name) as sender:
        slow.sendall(HEADER + encode_record(ROWS) + encode_record(np.zeros((1000, DIM)))[:30])
        running.wait(lambda: running.rows() == len(ROWS))
        sender.sendall(encode_header(dim=DIM, stride_s=STRIDE, start_s=50.0) + encode_record(ROWS) + encode_end())
        limit = time.monotonic() + 30
        while running.thread.is_alive() and time.monotonic() < limit:
            with contextlib.suppress(OSError):
                slow.sendall(b"\0")
            time.sleep(0.02)
    assert running.error is None
    assert [type(item) for item in running.items] == [Begin, Chunk, Begin, Chunk]


def test_a_sender_that_breaks_off_again_and_again_fills_no_log(
    run: Callable[..., Running], address: str, caplog: pytest.LogCaptureFixture
) -> None:
    running = run(address, reconnect_s=30.0)
    for n in range(60):
        with dial(running.source.name) as sender:
            sender.sendall(encode_header(dim=DIM, stride_s=STRIDE, start_s=float(n)) + encode_record(ROWS) + b"\1")
        running.wait(lambda n=n: running.rows() == len(ROWS) * (n + 1))
    running.wait(lambda: "is incomplete" in running.source.trouble)  # type: ignore[attr-defined]
    assert len(caplog.records) == 10
    assert "further messages are not logged" in caplog.text


def test_a_lost_sender_is_said_and_ends_with_a_code_of_its_own(run: Callable[..., Running], address: str) -> None:
    running = run(address, reconnect_s=0.5)
    with dial(running.source.name) as sender:
        sender.sendall(HEADER + encode_record(ROWS))
        running.wait(lambda: running.rows() == len(ROWS))
        assert running.source.trouble == ""  # type: ignore[attr-defined]
    running.wait(lambda: bool(running.source.trouble))  # type: ignore[attr-defined]
    running.thread.join(30)
    assert isinstance(running.error, SourceLostError)
    assert running.error.code == "frame-no-end"
    assert running.error.exit_code == 3


@pytest.mark.parametrize(
    ("first", "welcome"),
    [
        (encode_token(b"s3cret") + GOOD, True),
        (encode_token(b"s3creT") + GOOD, False),
        (encode_token(b"s3cre") + GOOD, False),
        (GOOD, False),
        (encode_token(b"s3cret")[:6], False),
    ],
)
def test_a_token(
    run: Callable[..., Running],
    address: str,
    first: bytes,
    welcome: bool,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    running = run(address, token=b"s3cret")
    with dial(running.source.name) as client:
        for byte in first:  # in any pieces
            with contextlib.suppress(OSError):
                client.sendall(bytes([byte]))
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        if welcome:
            running.thread.join(30)
            assert running.rows() == len(ROWS)
        else:
            running.wait(lambda: bool(running.refused))
            assert running.items == []
    assert "s3c" not in caplog.text + capfd.readouterr().err


def test_a_token_in_a_file_is_skipped(tmp_path: Path) -> None:
    """What a sender with a token wrote to a file or a pipe can be read, from every position."""
    path = tmp_path / "a.bytes"
    path.write_bytes(encode_token(b"s3cret") + HEADER + encode_record(ROWS) + encode_record(ROWS) + encode_end())
    source = open_source(str(path), dim=DIM, stride_s=STRIDE)
    chunks = [item for item in source.items() if isinstance(item, Chunk)]
    source.close()
    assert [len(chunk.rows) for chunk in chunks] == [4, 4]
    for position, left in (({"byte": 0, "record": 0}, 2), (chunks[0].position, 1), (chunks[1].position, 0)):
        source = open_source(str(path), dim=DIM, stride_s=STRIDE)
        assert len([item for item in source.items(position) if isinstance(item, Chunk)]) == left
        source.close()


def test_a_socket_without_a_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    for address, token, said in (
        ("tcp://0.0.0.0:0", None, True),
        ("tcp://0.0.0.0:0", b"x", False),
        ("tcp://127.0.0.1:0", None, False),
    ):
        open_source(address, dim=DIM, stride_s=STRIDE, token=token).close()
        assert ("PUNCTUM_SOCKET_TOKEN" in caplog.text) == said
        caplog.clear()


def test_a_token_that_nobody_asked_for_is_no_fault(run: Callable[..., Running], address: str) -> None:
    running = run(address)
    with dial(running.source.name) as sender:
        sender.sendall(encode_token(b"x") + GOOD)
        running.thread.join(30)
    assert running.rows() == len(ROWS)


def test_no_descriptors_left_is_no_end(run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "ACCEPT_PAUSE_S", 0.1)
    running = run("tcp://127.0.0.1:0")
    real = running.source._socket  # type: ignore[attr-defined]
    failures = iter([True, True])

    class Exhausted:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def accept(self) -> object:
            if next(failures, False):
                raise OSError(24, "Too many open files")
            return real.accept()

    running.source._acceptor._listener = Exhausted()  # type: ignore[attr-defined]
    with dial(running.source.name) as sender:
        sender.sendall(GOOD)
        running.thread.join(30)
    assert running.error is None
    assert running.rows() == len(ROWS)


@pytest.mark.parametrize("at", [1e11, -1e11, 1e300, -1e300, 1.7e308, math.inf, -math.inf])
def test_times_beyond_three_hundred_years_are_refused(at: float, tmp_path: Path) -> None:
    path = tmp_path / "a.bytes"
    for data, code in (
        (HEADER + encode_record(ROWS) + encode_record(ROWS, at=at) + encode_end(), "frame-time"),
        (HEADER + encode_record(ROWS[:0], at=at) + encode_end(), "frame-time"),
        (encode_header(dim=DIM, stride_s=STRIDE, start_s=at) + encode_end(), "frame-header"),
    ):
        path.write_bytes(data)
        source = open_source(str(path), dim=DIM, stride_s=STRIDE)
        with pytest.raises(InputError) as caught:
            list(source.items())
        source.close()
        assert caught.value.code == code
    np.save(tmp_path / "a.npy", ROWS)
    with pytest.raises(InputError, match="start_s"):
        open_source(str(tmp_path / "a.npy"), dim=DIM, stride_s=STRIDE, start_s=at)
    with pytest.raises(InputError, match="media time"):
        chunk_name(1, at)


def test_a_chunk_with_an_impossible_time_in_its_name_is_bad(tmp_path: Path) -> None:
    np.save(tmp_path / f"000001@{'9' * 40}.npy", ROWS)
    source = open_source(str(tmp_path), dim=DIM, stride_s=STRIDE)
    (bad,) = [item for item in source.items() if item is not None and not isinstance(item, Begin)]
    assert bad.error.code == "chunk-time"  # type: ignore[union-attr]


def test_control_characters_in_a_name_are_refused(run: Callable[..., Running]) -> None:
    running = run("tcp://127.0.0.1:0")
    with dial(running.source.name) as sender:
        sender.sendall(encode_header(dim=DIM, stride_s=STRIDE, name="a\x1b]0;x\x07\n") + encode_record(ROWS))
        running.wait(lambda: running.refused == {"header": 1})


@pytest.mark.parametrize("shape", ["(True, 3)", "(-5, 3)", "(5, -3)", "(10**9, 3)", "(4, 3, 1)", "()"])
def test_shapes_that_numpy_lets_through(tmp_path: Path, shape: str) -> None:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * ((64 - (11 + len(text)) % 64) % 64) + b"\n"
    path = tmp_path / "folder" / "a.npy"
    path.parent.mkdir()
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + ROWS.tobytes())
    source = open_source(str(path), dim=DIM, stride_s=STRIDE)
    with pytest.raises(InputError):
        list(source.items())
    source.close()
    items = [i for i in open_source(str(path.parent), dim=DIM, stride_s=STRIDE).items() if not isinstance(i, Begin)]
    assert [type(item).__name__ for item in items] == ["Bad"]


def test_versions_that_numpy_does_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    data = bytearray((tmp_path / "a.npy").read_bytes())
    data[7] = 51
    (tmp_path / "a.npy").write_bytes(data)
    source = open_source(str(tmp_path / "a.npy"), dim=DIM, stride_s=STRIDE)
    with pytest.raises(InputError, match=r"version 1\.51"):
        list(source.items())
    source.close()


def test_options_without_effect_are_refused_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    (tmp_path / "a.bytes").write_bytes(GOOD)
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    for address, options, name in (
        (str(tmp_path / "a.npy"), {"idle_s": 1.0}, "`idle_s`"),
        (str(tmp_path / "a.npy"), {"reconnect_s": 1.0}, "`reconnect_s`"),
        (str(tmp_path / "a.npy"), {"overflow": "wait"}, "`overflow`"),
        (str(tmp_path / "a.bytes"), {"start_s": 1.0}, "`start_s`"),
        (str(tmp_path), {"reconnect_s": 1.0}, "`reconnect_s`"),
        (str(tmp_path / "a.mp4"), {"follow": True}, "`follow`"),
        (str(tmp_path / "a.mp4"), {"idle_s": 1.0}, "`idle_s`"),
        (str(tmp_path / "a.mp4"), {"reconnect_s": 1.0}, "`reconnect_s`"),
        ("-", {"follow": True}, "`follow`"),
        ("-", {"start_s": 1.0}, "`start_s`"),
        ("tcp://127.0.0.1:0", {"follow": True}, "`follow`"),
        (f"unix://{tmp_path / 's'}", {"overflow": "wait"}, "`overflow`"),
        ("rtsp://127.0.0.1:1/a", {"follow": True}, "`follow`"),
        ("http://127.0.0.1:1/a", {"follow": True}, "`follow`"),
        ("camera:0", {"follow": True}, "`follow`"),
    ):
        with pytest.raises(InputError) as caught:
            open_source(address, dim=DIM, stride_s=STRIDE, **options)
        assert caught.value.code == "option-unfit", (address, options)
        assert name in caught.value.given
