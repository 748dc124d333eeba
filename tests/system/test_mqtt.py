"""MQTT against a real Mosquitto: every event at least once, over restarts of the broker; last will; bounded queue."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.events.event import Event
from punctum.runtime.sinks.mqtt import MqttSink, MqttTarget

paho = pytest.importorskip("paho.mqtt.client", reason="MQTT needs paho-mqtt")

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (Debian: apt install mosquitto)")
EVENT = Event("cam", "cam/0", 0, "final", "wave", 0.5, 1.0, 2.0, 3.0, 1.0, "b-1")


def events(first: int, last: int, phase: str = "final") -> list[Event]:
    return [replace(EVENT, id=f"cam/{i}", phase=phase) for i in range(first, last)]


def wait_for(condition, seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


class Broker:
    """A Mosquitto of our own on a free port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [str(MOSQUITTO), "-c", str(self.config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def up() -> bool:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                return False
            return True

        wait_for(up)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None


class Listener:
    """Subscribes to everything and remembers it, over restarts of the broker."""

    def __init__(self, port: int) -> None:
        self.events: list[Event] = []
        self.status: list[str] = []
        self.ready = threading.Event()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda c, *_: c.subscribe("#", qos=1)
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_disconnect = lambda *_: self.ready.clear()
        client.on_message = self.take
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        self.client = client

    def take(self, client, userdata, message) -> None:
        if message.topic.endswith("/status"):
            self.status.append(message.payload.decode())
        else:
            self.events.append(Event.from_json(message.payload.decode()))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path) -> Iterator[Broker]:
    one = Broker(tmp_path)
    yield one
    one.stop()


@pytest.fixture
def listener(broker) -> Iterator[Listener]:
    one = Listener(broker.port)
    yield one
    one.close()


def open_sink(broker: Broker, warnings: list[str], **options) -> MqttSink:
    target = MqttTarget.parse(f"mqtt://127.0.0.1:{broker.port}/site/cam")
    return MqttSink(target, warn=warnings.append, max_backoff_s=1, **options)


def ids(found: list[Event]) -> list[str]:
    """In the order in which they first came; a message may come twice."""
    return list(dict.fromkeys(e.id for e in found))


def test_events_status_and_a_clean_end(broker, listener):
    broker.start()
    assert listener.ready.wait(20)
    warnings: list[str] = []
    sink = open_sink(broker, warnings)
    sink.write(events(0, 200))
    assert sink.close() == 0
    wait_for(lambda: listener.status == ["online", "offline"])
    assert [e.id for e in listener.events] == [f"cam/{i}" for i in range(200)]
    assert listener.events[7] == replace(EVENT, id="cam/7")
    assert (sink.delivered, sink.dropped, warnings) == (200, (0, 0), [])


def test_broker_down_at_the_start_and_in_mid_stream(broker, listener):
    warnings: list[str] = []
    sink = open_sink(broker, warnings)
    sink.write(events(0, 50))
    wait_for(lambda: any("cannot reach" in w for w in warnings))
    broker.start()
    assert listener.ready.wait(20)
    wait_for(lambda: sink.delivered >= 50)
    sink.write(events(50, 80))
    broker.stop()  # some of these are in flight
    wait_for(lambda: any("lost the connection" in w for w in warnings))
    sink.write(events(80, 120))
    broker.start()
    wait_for(lambda: sink.delivered >= 120)
    assert listener.ready.wait(20)
    sink.write(events(120, 140))
    assert sink.close() == 0
    assert sink.dropped == (0, 0)
    assert sink.reconnects == 1
    wait_for(lambda: ids(listener.events)[-1:] == ["cam/139"])
    assert len([w for w in warnings if "trying again" in w]) == 2  # one an outage, not one an attempt


def test_a_full_queue_drops_provisional_events_first(broker, listener):
    warnings: list[str] = []
    sink = open_sink(broker, warnings, bound=100)
    for i in range(0, 90):
        sink.write(events(1000 + i, 1001 + i, "update"))
        sink.write(events(i, i + 1))
    assert sink.dropped == (80, 0)
    assert sink.depth == 100
    broker.start()
    wait_for(lambda: sink.depth == 0)
    assert sink.delivered == 100
    assert sink.close() == 0


def test_a_broker_that_never_comes(broker):
    warnings: list[str] = []
    sink = open_sink(broker, warnings, close_timeout_s=0.3)
    sink.write(events(0, 7) + events(7, 9, "open"))
    began = time.monotonic()
    assert sink.close() == 7
    assert time.monotonic() - began < 6
    assert any("7 final and 2 provisional events not delivered" in w for w in warnings)


def test_tls_and_a_password(broker, tmp_path, monkeypatch):
    tools = {name: shutil.which(name) for name in ("openssl", "mosquitto_passwd")}
    if None in tools.values():
        pytest.skip(f"needs {' and '.join(name for name, path in tools.items() if path is None)}")
    key, certificate, passwords = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "passwords"
    make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    where = ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([str(tools["openssl"]), *make, *where, *names], check=True, capture_output=True)
    subprocess.run([str(tools["mosquitto_passwd"]), "-b", "-c", str(passwords), "cam", "s3cret"], check=True)
    for file in (key, certificate, passwords):
        file.chmod(0o644)  # Mosquitto gives up root before it reads them
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    broker.config.write_text(
        f"listener {broker.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
        f"certfile {certificate}\nkeyfile {key}\n"
    )
    broker.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    warnings: list[str] = []
    address = f"127.0.0.1:{broker.port}/site/cam"
    refused = MqttSink(MqttTarget.parse(f"mqtts://cam:wrong@{address}"), warn=warnings.append, close_timeout_s=1.0)
    refused.write(events(0, 1))
    wait_for(lambda: any("refused the connection" in w for w in warnings))
    assert refused.close() == 1
    monkeypatch.setenv("PUNCTUM_MQTT_PASSWORD", "s3cret")
    sink = MqttSink(MqttTarget.parse(f"mqtts://cam@{address}"), warn=warnings.append)
    sink.write(events(0, 30))
    assert sink.close() == 0
    assert sink.delivered == 30
    assert not any("s3cret" in w or "wrong" in w for w in warnings)


def test_the_command_and_its_last_will(broker, listener, tmp_path):
    """`punctum run --stream --mqtt`: the same events as in the file; "offline" after kill -9 and after SIGTERM."""
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    from punctum.runtime.synthetic.sensors import make_sequence

    broker.start()
    assert listener.ready.wait(20)
    np.save(tmp_path / "cam.npy", make_sequence(99, seconds=40).features)
    bundle = resources.files("punctum.runtime") / "assets" / "demo"
    for number in (signal.SIGKILL, signal.SIGTERM):
        listener.events.clear()
        listener.status.clear()
        out = tmp_path / f"{number}.jsonl"
        program = "from punctum.runtime.cli import main; main()"
        arguments = ["run", str(bundle), str(tmp_path / "cam.npy"), "--stream", "--follow", "--max-delay", "1"]
        address = f"mqtt://127.0.0.1:{broker.port}/site/cam"
        command = [sys.executable, "-c", program, *arguments, "--out", str(out), "--mqtt", address]
        run = subprocess.Popen(command, stderr=subprocess.PIPE)
        wait_for(lambda path=out: path.exists() and path.stat().st_size > 0)
        wait_for(lambda path=out: len(listener.events) >= len(path.read_text().splitlines()) > 0)
        run.send_signal(number)
        _, err = run.communicate(timeout=30)
        wait_for(lambda: "offline" in listener.status)
        assert run.returncode == (-number if number == signal.SIGKILL else 0), err.decode()
        assert [Event.from_json(line) for line in out.read_text().splitlines()] == listener.events
