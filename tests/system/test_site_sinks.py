"""Sinks of a site against real servers: Mosquitto, HTTPS, and the mock cluster of librdkafka in place of Kafka."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from punctum.runtime import Event, InputError
from punctum.runtime.site.config.models import KafkaSink, MqttSinkConfig, Secret, Tls, WebhookSink
from punctum.runtime.site.delivery import delivery as delivery_module
from punctum.runtime.site.delivery.delivery import Delivery
from punctum.runtime.site.delivery.make import make_sink
from punctum.runtime.site.delivery.sink import CameraInfo
from punctum.runtime.site.store.store import Store

from tests.helpers.site import Answer, Receiver, batch, event, free_port, make_certificates, wait_for

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_broker = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed (Debian: apt install mosquitto)"
)
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(delivery_module, "FIRST_S", 0.05)
    monkeypatch.setattr(delivery_module, "MOST_S", 0.2)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as one:
        yield one


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def started():
    running = []

    def start(store, sink):
        one = Delivery(store, sink).start()
        running.append(one)
        return one

    yield start
    for one in running:
        one.stop(0.0)


def add(store: Store, first: int, last: int, camera: str = "hall") -> None:
    for n in range(first, last):
        store.add(camera, "default", [event(n)], ["out"], time.time())


class Broker:
    """A Mosquitto on a free port."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true\n") -> None:
        self.port, self.process = free_port(), None
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\npersistence false\nuser root\n{settings}")

    def start(self) -> None:
        command = [str(MOSQUITTO), "-c", str(self.config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


class Listener:
    """Subscribes to everything. retained: the last retained message of each topic, also if it is not marked so."""

    def __init__(self, port: int) -> None:
        paho = pytest.importorskip("paho.mqtt.client")
        self.events: list[tuple[str, Event]] = []
        self.others: dict[str, str] = {}
        self.ready = threading.Event()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda c, *_: c.subscribe("#", qos=1)
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = self.take
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        self.client = client

    def take(self, client, userdata, message) -> None:
        text = message.payload.decode()
        if text.startswith('{"schema"'):
            self.events.append((message.topic, Event.from_json(text)))
        else:
            self.others[message.topic] = text

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


def mqtt(port: int, folder: Path, **fields):
    config = MqttSinkConfig(**({"type": "mqtt", "url": f"mqtt://127.0.0.1:{port}/site/shop"} | fields))
    return make_sink("out", config, folder)


@needs_broker
def test_mqtt_topics_status_and_a_clean_end(tmp_path, store, started, broker, listener):
    broker.start()
    assert listener.ready.wait(20)
    one = started(store, mqtt(broker.port, tmp_path))
    one.describe({"hall": CameraInfo(("open",), True), "yard": CameraInfo(("open",), False)})
    add(store, 0, 50)
    add(store, 50, 60, camera="yard")
    wait_for(lambda: len(listener.events) == 60)
    assert [e for topic, e in listener.events if topic == "site/shop/hall"] == [event(n) for n in range(50)]
    assert [e for topic, e in listener.events if topic == "site/shop/yard"] == [event(n) for n in range(50, 60)]
    assert listener.others == {
        "site/shop/status": "online",
        "site/shop/hall/status": "online",
        "site/shop/yard/status": "offline",
    }
    wait_for(lambda: store.waiting("out")[0] == 0)
    one.describe({"hall": CameraInfo(("open",), False)})
    wait_for(lambda: listener.others["site/shop/hall/status"] == "offline")
    wait_for(lambda: listener.others["site/shop/yard/status"] == "")
    one.stop()
    wait_for(lambda: listener.others["site/shop/status"] == "offline")


@needs_broker
@pytest.mark.slow
def test_mqtt_broker_lost_and_back(tmp_path, store, started, broker, listener):
    one = started(store, mqtt(broker.port, tmp_path))
    one.describe({"hall": CameraInfo(("open",), True)})
    add(store, 0, 20)
    wait_for(lambda: one.stats().state == "failing")
    broker.start()
    assert listener.ready.wait(20)
    wait_for(lambda: store.waiting("out")[0] == 0)
    for round_ in range(3):
        broker.stop()
        add(store, 20 + 20 * round_, 40 + 20 * round_)
        time.sleep(0.2)
        listener.ready.clear()
        broker.start()
        wait_for(lambda: store.waiting("out")[0] == 0)
        wait_for(lambda: listener.ready.is_set())
        wait_for(lambda: listener.others.get("site/shop/hall/status") == "online")  # announced again without news
    assert one.stats().delivered == 80
    assert one.stats().state == "running"


@needs_broker
def test_mqtt_last_will(tmp_path, broker, listener):
    broker.start()
    assert listener.ready.wait(20)
    sink = mqtt(broker.port, tmp_path)
    sink.describe({"hall": CameraInfo(("open",), True)}, [])
    wait_for(lambda: listener.others.get("site/shop/status") == "online")
    sink._link._client._sock.close()  # as a process that is killed
    wait_for(lambda: listener.others["site/shop/status"] == "offline")
    with pytest.raises(InputError):
        for _ in range(100):
            sink.tick()
            time.sleep(0.05)
    sink.tick()
    wait_for(lambda: listener.others["site/shop/status"] == "online")
    sink.close()


@needs_broker
def test_mqtt_user_and_password(tmp_path, store, started, listener):
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    passwords = tmp_path / "passwords"
    subprocess.run([tool, "-b", "-c", str(passwords), "shop", "hushhush"], check=True, capture_output=True)
    passwords.chmod(0o600)
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {passwords}\n")
    broker.start()
    try:
        (tmp_path / "wrong").write_text("other")
        (tmp_path / "right").write_text("hushhush\n")
        bad = mqtt(broker.port, tmp_path, user="shop", password=Secret(file="wrong"))
        wait_for(lambda: _can_connect(broker.port))
        with pytest.raises(InputError) as caught:
            bad.tick()
        assert caught.value.code == "site-sink-unreachable"
        assert "refused the connection" in str(caught.value)
        assert "other" not in str(caught.value)
        started(store, mqtt(broker.port, tmp_path, user="shop", password=Secret(file="right")))
        add(store, 0, 3)
        wait_for(lambda: store.waiting("out")[0] == 0)
    finally:
        broker.stop()


def _can_connect(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@needs_broker
@needs_openssl
def test_mqtt_with_certificates(tmp_path, store, started, certificates):
    c = certificates
    settings = (
        f"cafile {c['ca.pem']}\ncertfile {c['server.pem']}\nkeyfile {c['server.key']}\nrequire_certificate true\n"
    )
    broker = Broker(tmp_path, f"{settings}allow_anonymous true\n")
    broker.start()
    try:
        url = f"mqtts://127.0.0.1:{broker.port}/site/shop"
        wait_for(lambda: _can_connect(broker.port))
        good = Tls(ca=str(c["ca.pem"]), certificate=str(c["client.pem"]), key=str(c["client.key"]))
        for wrong in (
            Tls(ca=str(c["other.pem"]), certificate=str(c["client.pem"]), key=str(c["client.key"])),
            Tls(ca=str(c["ca.pem"])),
            Tls(ca=str(c["ca.pem"]), certificate=str(c["client.pem"]), key=str(c["other.key"])),
            Tls(ca=str(c["san.cnf"])),
        ):
            with pytest.raises(InputError) as caught:
                mqtt(broker.port, tmp_path, url=url, tls=wrong).tick()
            assert caught.value.code in ("site-sink-unreachable", "site-certificate")
        started(store, mqtt(broker.port, tmp_path, url=url, tls=good))
        add(store, 0, 3)
        wait_for(lambda: store.waiting("out")[0] == 0)
    finally:
        broker.stop()


@needs_broker
def test_home_assistant_discovery(tmp_path, store, started, broker, listener):
    broker.start()
    assert listener.ready.wait(20)
    labels = ("open", 'say "hi" {{ }} %}', "caf\u00e9")
    sink = mqtt(broker.port, tmp_path, home_assistant=True)
    one = started(store, sink)
    one.describe({"hall": CameraInfo(labels, True)})
    topic = "homeassistant/device/punctum_site_shop_hall/config"
    wait_for(lambda: topic in listener.others)
    message = json.loads(listener.others[topic])
    assert message["device"]["identifiers"] == ["punctum_site_shop_hall"]
    assert message["origin"]["name"] == "punctum"
    assert message["state_topic"] == "site/shop/hall"
    assert [one["topic"] for one in message["availability"]] == ["site/shop/status", "site/shop/hall/status"]
    parts = message["components"]
    assert sorted(part["platform"] for part in parts.values()) == ["binary_sensor"] * 3 + ["event"]
    assert len({part["unique_id"] for part in parts.values()}) == 4
    assert parts["actions"]["event_types"] == list(labels)
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(autoescape=False)
    environment.filters["to_json"] = json.dumps

    def shown(part: dict, one: Event) -> str:
        return environment.from_string(part["value_template"]).render(value_json=json.loads(one.to_json())).strip()

    for label in labels:
        sensor = next(part for part in parts.values() if part.get("name") == label)
        other = next(part for part in parts.values() if part.get("name") not in (label, "Action"))
        running = event(0, phase="open", label=label)
        assert (shown(sensor, running), shown(other, running), shown(parts["actions"], running)) == ("ON", "", "")
        assert shown(sensor, event(0, 1, label=label)) == "OFF"
        assert shown(sensor, event(0, 0, label=label)) == "ON"  # reported once, when it is over
        assert shown(sensor, event(0, 2, "retracted", label=label)) == "OFF"
        done = json.loads(shown(parts["actions"], event(0, 1, label=label)))
        assert (done["event_type"], done["duration_s"]) == (label, 4.0)
    one.describe({})
    wait_for(lambda: listener.others[topic] == "")


# HTTPS


@needs_openssl
def test_webhook_with_certificates(tmp_path, certificates):
    pytest.importorskip("urllib3")
    c = certificates
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(c["server.pem"], c["server.key"])
    context.load_verify_locations(c["ca.pem"])
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = Receiver(lambda ident, body: Answer(), context)
    try:

        def sink(**tls: str):
            url = f"https://127.0.0.1:{receiver.port}/in"
            config = WebhookSink(type="webhook", url=url, timeout_s=3.0, tls=Tls(**tls))
            return make_sink("out", config, tmp_path)

        client = {"certificate": str(c["client.pem"]), "key": str(c["client.key"])}
        good = sink(ca=str(c["ca.pem"]), **client)
        assert good.deliver(batch(0, 3)).delivered == [0, 1, 2]
        good.close()
        for wrong in ({}, {"ca": str(c["other.pem"]), **client}, {"ca": str(c["ca.pem"])}):
            outcome = sink(**wrong).deliver(batch(0, 1))
            assert outcome.delivered == []
            assert "cannot be reached" in outcome.error
    finally:
        receiver.close()


# Kafka: librdkafka's own mock cluster, which speaks its protocol, and is no Kafka.


@pytest.fixture
def cluster():
    """Addresses of a mock cluster, which lives in a producer of its own."""
    confluent_kafka = pytest.importorskip("confluent_kafka")
    owner = confluent_kafka.Producer({"bootstrap.servers": "x:1", "test.mock.num.brokers": 3})
    metadata = owner.list_topics(timeout=20)
    yield tuple(f"{one.host}:{one.port}" for one in metadata.brokers.values())
    del owner


def consumed(brokers: tuple[str, ...], number: int) -> list:
    import confluent_kafka

    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": ",".join(brokers), "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["events"])
    found, limit = [], time.monotonic() + 40
    try:
        while len(found) < number and time.monotonic() < limit:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
    finally:
        consumer.close()
    return found


@pytest.mark.slow
def test_kafka_mock_cluster(tmp_path, store, started, cluster):
    config = KafkaSink(type="kafka", brokers=cluster, topic="events")
    started(store, make_sink("out", config, tmp_path))
    for n in range(40):
        add(store, n, n + 1, camera=f"cam{n % 4}")
    wait_for(lambda: store.waiting("out")[0] == 0, 60)
    found = consumed(cluster, 40)
    assert len(found) == 40
    by_camera: dict[str, list] = {}
    for message in found:
        by_camera.setdefault(message.key().decode(), []).append(message)
    for n in range(4):
        messages = by_camera[f"cam{n}"]
        assert len({message.partition() for message in messages}) == 1
        assert [Event.from_json(m.value().decode()) for m in messages] == [event(k) for k in range(n, 40, 4)]
        assert dict(messages[0].headers())["punctum-id"] == f"cam{n}/hall/open/{n}/0".encode()


@pytest.mark.slow
def test_kafka_without_brokers_waits(tmp_path, store, started, monkeypatch):
    pytest.importorskip("confluent_kafka")
    from punctum.runtime.site.delivery import kafka

    monkeypatch.setattr(kafka, "DELIVER_S", 1.0)
    config = KafkaSink(type="kafka", brokers=(f"127.0.0.1:{free_port()}",), topic="events")
    one = started(store, make_sink("out", config, tmp_path))
    add(store, 0, 3)
    wait_for(lambda: one.stats().state == "failing")
    assert store.waiting("out")[0] == 3
    assert "cannot be used" in one.stats().last_error
