"""`punctum run --stream` on a socket as its users meet it: tokens, a source that is silent or lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.events.event import Event

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime.sources.framing import encode_end, encode_header, encode_record
from punctum.runtime.synthetic.sensors import CHANNELS, STRIDE_S, make_sequence

BUNDLE = str(resources.files("punctum.runtime") / "assets" / "demo")
SENDERS = Path(__file__).parent / "senders"
PUNCTUM = [sys.executable, "-c", "from punctum.runtime.cli import main; main()", "run", BUNDLE]
NAN = np.full((3, CHANNELS), np.nan, np.float32)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return make_sequence(99, seconds=60).features


@pytest.fixture(scope="module")
def offline(features) -> list[Event]:
    from punctum.runtime import Bundle, Localizer

    return Localizer(Bundle.load(BUNDLE)).localize(features)


def read(text: str) -> list[Event]:
    return [Event.from_json(line) for line in text.splitlines()]


def same(found: list[Event], wanted: list[Event]) -> None:
    """The final events are those of an offline run: labels and order; times and scores within 1e-4."""
    finals = [e for e in found if e.phase == "final"]
    assert [e.label for e in finals] == [e.label for e in wanted]
    for a, b in zip(finals, wanted, strict=True):
        assert abs(a.start - b.start) < 1e-4
        assert abs(a.end - b.end) < 1e-4
        assert abs(a.score - b.score) < 1e-4
    assert len({e.id for e in finals}) == len(finals)


def frames(*parts: tuple[np.ndarray, float | None] | bytes, end: bool = True, dim: int = CHANNELS) -> bytes:
    data = encode_header(dim=dim, stride_s=STRIDE_S, name="cam")
    for part in parts:
        data += part if isinstance(part, bytes) else encode_record(part[0], at=part[1])
    return data + (encode_end() if end else b"")


def start(*arguments: object, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [*PUNCTUM, *map(str, arguments), "--stream"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def wait_for(condition, seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("language", ["python", "c"])
def test_senders_present_a_token(features, offline, tmp_path, language):
    """The token comes from the environment on both sides; a sender without it is dropped, and the run goes on."""
    import socket

    raw, out = tmp_path / "features.f32", tmp_path / "events.jsonl"
    features.tofile(raw)
    environment = {**os.environ, "PUNCTUM_SOCKET_TOKEN": "s3cret"}
    run = start("tcp://127.0.0.1:0", "--out", out, env=environment)
    assert run.stderr is not None
    port = re.search(rb"tcp://127\.0\.0\.1:(\d+)", run.stderr.readline())[1].decode()
    with socket.create_connection(("127.0.0.1", int(port))) as stranger:
        stranger.sendall(frames((features, None)))
        assert b"sent no token" in run.stderr.readline()
    if language == "python":
        command = [sys.executable, "-S", str(SENDERS / "send_features.py"), str(raw), str(CHANNELS), "0.1"]
        subprocess.run([*command, "127.0.0.1", port], check=True, env=environment, timeout=60)
    else:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler")
        program = tmp_path / "send"
        subprocess.run([compiler, "-O2", "-Wall", str(SENDERS / "send_features.c"), "-o", str(program)], check=True)
        with raw.open("rb") as file, socket.create_connection(("127.0.0.1", int(port))) as client:
            subprocess.run(
                [program, str(CHANNELS), "0.1"], stdin=file, stdout=client.fileno(), check=True, env=environment
            )
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err.decode()
    assert b"connections dropped: 1 token" in err
    assert b"s3cret" not in err
    same(read(out.read_text()), offline)


def test_a_run_without_its_source_says_so(features, tmp_path):
    """/readyz while the source is silent and while it is lost; then exit code 3, which asks for a restart."""
    import socket

    run = start(
        "tcp://127.0.0.1:0", "--metrics", ":0", "--silent-s", 2, "--reconnect-s", 6, "--out", tmp_path / "e.jsonl"
    )
    assert run.stderr is not None
    line = run.stderr.readline()
    assert b"of 127.0.0.1" in line
    port = int(re.search(rb"port (\d+)", line)[1])
    address = re.search(rb"tcp://127\.0\.0\.1:(\d+)", run.stderr.readline())

    def ready() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    wait_for(lambda: ready()[0] == 503 and "source silent" in ready()[1])
    with socket.create_connection(("127.0.0.1", int(address[1]))) as client:
        client.sendall(frames((features[:50], None), end=False))
        wait_for(lambda: ready()[0] == 200)
    wait_for(lambda: ready()[0] == 503 and "source lost" in ready()[1])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert "punctum_source_up 0.0" in text
    assert float(re.search(r"^punctum_source_last_item_timestamp_seconds (\S+)", text, re.M)[1]) > time.time() - 60
    _, err = run.communicate(timeout=60)
    assert run.returncode == 3, err.decode()
    assert b"[frame-no-end]" in err
