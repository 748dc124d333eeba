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

import pytest

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime.synthetic.sensors import CHANNELS

from tests.helpers.streams import SENDERS, announced, frames, read, same, start, wait_for


@pytest.mark.parametrize("language", ["python", "c"])
def test_senders_present_a_token(features, offline, tmp_path, language):
    """The token comes from the environment on both sides; a sender without it is dropped, and the run goes on."""
    import socket

    raw, out = tmp_path / "features.f32", tmp_path / "events.jsonl"
    features.tofile(raw)
    environment = {**os.environ, "PUNCTUM_SOCKET_TOKEN": "s3cret"}
    run = start("tcp://127.0.0.1:0", "--out", out, env=environment)
    assert run.stderr is not None
    port = announced(run, rb"tcp://127\.0\.0\.1:(\d+)")[1].decode()
    with socket.create_connection(("127.0.0.1", int(port))) as stranger:
        stranger.sendall(frames((features, None)))
        announced(run, b"sent no token")
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
    port = int(announced(run, rb"port (\d+) of 127\.0\.0\.1")[1])
    address = announced(run, rb"tcp://127\.0\.0\.1:(\d+)")

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
