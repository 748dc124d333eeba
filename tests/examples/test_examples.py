"""The scripts in `examples/`, run as their headers say, and the pages that show parts of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Bundle, Event, Localizer
from punctum.runtime.live import LiveOptions

pytestmark = pytest.mark.documentation
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
LINE = re.compile(r"\s*(\d+\.\d\d) - \s*(\d+\.\d\d) s  (\w+)\s+(\d\.\d\d)")
# A recipe that trains in seconds: the test is about the way, not about accuracy.
SMALL = {
    "locator": {"hidden": [{"kernel": 9, "units": 32}], "members": 1},
    "partners": [],
    "center": {"embed": 8, "hidden": 16, "members": 1, "use_tracks": False},
}


def run(*command: object, **options: object) -> str:
    """Run to the end; returns standard output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # examples call `punctum`
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    words = [str(word) for word in command]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return str(done.stdout)


def python(script: str, *arguments: object) -> str:
    return run(sys.executable, EXAMPLES / script, *arguments)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    pytest.importorskip("av", reason="videos need PyAV")
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    folder = tmp_path_factory.mktemp("clip") / "videos"
    run("punctum", "data", "make-videos", "--out", folder, "--count", 2, "--seconds", 20, "--seed", 4)
    return next(iter(sorted(folder.glob("videos/*.mp4"))))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "demo-data"
    run("punctum", "data", "make-demo", "--out", folder, "--count", 8)
    return folder


def test_every_example_is_listed():
    files = {path.name for path in EXAMPLES.iterdir() if path.name != "README.md" and path.is_file()}
    listed = set(re.findall(r"\(([\w.]+)\)", (EXAMPLES / "README.md").read_text()))
    assert files == listed


def test_video_file(clip):
    lines = [line for line in python("video_file.py", clip).splitlines() if LINE.match(line)]
    events = [json.loads(line) for line in run("punctum", "run", "default", clip, "--min-score", 0.2).splitlines()]
    assert lines
    assert [f"{e['start']:.2f} {e['label']}" for e in events] == [f"{m[1]} {m[3]}" for m in map(LINE.match, lines)]


@pytest.fixture
def broker(tmp_path) -> Iterator[int]:
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < limit, "the broker did not start"
            time.sleep(0.05)
    yield port
    process.kill()
    process.wait(timeout=10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_live_camera_mqtt(clip, broker):
    paho = pytest.importorskip("paho.mqtt.client", reason="MQTT needs paho-mqtt")
    messages: list[tuple[str, str]] = []
    subscribed, ended = threading.Event(), threading.Event()

    def take(client, userdata, message) -> None:
        messages.append((message.topic, message.payload.decode()))
        if messages[-1] == ("site/camera-1/status", "offline"):
            ended.set()

    listener = paho.Client(paho.CallbackAPIVersion.VERSION2)
    listener.on_connect = lambda client, *_: client.subscribe("#", qos=1)
    listener.on_subscribe = lambda *_: subscribed.set()
    listener.on_message = take
    listener.connect("127.0.0.1", broker)
    listener.loop_start()
    assert subscribed.wait(20)
    printed = python("live_camera_mqtt.py", "default", clip, f"mqtt://127.0.0.1:{broker}/site/camera-1").splitlines()
    assert ended.wait(20)
    listener.loop_stop()
    events = [Event.from_json(text) for topic, text in messages if topic == "site/camera-1"]
    assert [line.split()[0] for line in printed] == [event.phase for event in events]
    assert {event.phase for event in events} >= {"update", "final"}


@pytest.mark.slow
def test_own_locator(data, tmp_path):
    for library in ("torch", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    printed = python("own_locator.py", data, tmp_path / "bundle").splitlines()
    bundle = Bundle.load(tmp_path / "bundle")
    assert printed[0] == bundle.id
    assert float(printed[1].removeprefix("mAP ")) > 0.3
    assert all(LINE.match(line) for line in printed[2:])
    features = np.load(sorted((data / "features").glob("*.npy"))[-1])
    localizer = Localizer(bundle)
    session = localizer.session(live=LiveOptions(max_delay_s=1.0))
    live = [event for row in features for event in session.push(row[None])] + session.flush()
    assert [e for e in live if e.phase == "final"]
    assert len([e for e in live if e.phase == "final"]) == len(localizer.localize(features))


@pytest.mark.slow
def test_base_proposals(data, tmp_path):
    for library in ("torch", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    options = ["--epochs", 2, "--threads", 1, "--config", tmp_path / "small.json"]
    printed = python("base_proposals.py", data, tmp_path / "work", *options)
    assert "proposals for 8 recordings" in printed
    bundle = Bundle.load(tmp_path / "work" / "bundle")
    assert bundle.manifest.center is not None
    before, after = (json.loads((tmp_path / "work" / f"{name}.json").read_text()) for name in ("before", "after"))
    assert before["external_data"]["bundle"] is None
    assert after["external_data"]["bundle"] == bundle.id
    assert set(after["results"]) == set(before["results"]) == set((data / "test.txt").read_text().split())
    assert any(after["results"].values())


@pytest.mark.slow
def test_own_loss(data, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    options = ["--epochs", 3, "--threads", 1, "--config", tmp_path / "small.json", "--no-calibration", "--no-center"]
    train = ["punctum", "train", data, "--objective", "own_loss:Focal", *options]
    run(*train, "--out", tmp_path / "run", cwd=EXAMPLES)
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["config"]["objective"] == {"kind": "own", "factory": "own_loss:Focal"}
    losses = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"focal", "loss", "step"} <= losses[0].keys()
    assert losses[-1]["focal"] < losses[0]["focal"]


def test_own_backend(data):
    printed = python("own_backend.py", data).splitlines()
    assert float(printed[0].removeprefix("mAP ")) > 0.4
    assert printed[1].split()[0] in ("open", "update", "final")


def test_send_features(tmp_path):
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    program = tmp_path / "send_features"
    run(compiler, "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", EXAMPLES / "send_features.cpp", "-o", program)
    from punctum.runtime.synthetic.sensors import make_sequence

    features = make_sequence(5, seconds=40).features
    (tmp_path / "rows.f32").write_bytes(features.tobytes())
    bundle = resources.files("punctum.runtime") / "assets" / "demo"
    want = Localizer(Bundle.load(str(bundle))).localize(features, stream="cpp", run_id="r")
    port = free_port()
    command = [sys.executable, "-c", "from punctum.runtime.cli import main; main()", "run", str(bundle)]
    command += [f"tcp://127.0.0.1:{port}", "--stream", "--run-id", "r", "--min-score", "0"]
    secret = {**os.environ, "PUNCTUM_SOCKET_TOKEN": "a secret"}
    receiver = subprocess.Popen(command, env=secret, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert receiver.stderr is not None
        assert any(line.startswith("reading from tcp://") for line in receiver.stderr)  # waits until it listens
        with (tmp_path / "rows.f32").open("rb") as rows:
            sent = subprocess.run(
                [program, "127.0.0.1", str(port), "8", "0.1"],
                env=secret,
                stdin=rows,
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert (sent.returncode, sent.stdout) == (0, "sent 400 snippets\n"), sent.stderr
        out, err = receiver.communicate(timeout=60)
    finally:
        receiver.kill()
    assert receiver.returncode == 0, err
    events = [Event.from_json(line) for line in out.splitlines()]
    assert [(e.id, e.label) for e in events] == [(e.id, e.label) for e in want]
    assert np.allclose([e.score for e in events], [e.score for e in want], atol=1e-5)
