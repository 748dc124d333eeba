"""Reports to an MQTT broker, QoS 1, in order.

    TOPIC/CAMERA          reports of a camera, one JSON object each
    TOPIC/CAMERA/status   retained: "online" while the source of the camera runs, else "offline"
    TOPIC/status          retained: "online" while the service is connected; its last will is "offline"

A report counts as delivered when the broker has acknowledged it. After a lost connection those without acknowledgment
are sent again, so one may arrive twice: compare `event` and `revision`.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError, MissingDependencyError
from ...sinks.mqtt import MqttTarget
from ...text.display import shown
from .home_assistant import discovery, discovery_topic
from .sink import BaseSink, Batch, CameraInfo, Outcome
from .tls import TlsFiles

CONNECT_S, ACKNOWLEDGE_S = 10.0, 20.0


class Mqtt(BaseSink):
    """An MQTT broker.

    Args:
        name: Name of the sink.
        target: Broker and topic, with user and password.
        tls: Certificates, used where the address is mqtts://.
        prefix: Where to announce the cameras to Home Assistant; empty: not at all.

    Raises:
        MissingDependencyError: paho-mqtt is not installed.
    """

    kind, most = "mqtt", 200

    def __init__(self, name: str, target: MqttTarget, tls: TlsFiles, *, prefix: str = "") -> None:
        try:
            import paho.mqtt.client  # noqa: F401
        except ImportError:
            raise MissingDependencyError("paho-mqtt", "serve", "a sink of type mqtt") from None
        self.name, self._target, self._tls, self._prefix = name, target, tls, prefix
        self._link: _Link | None = None
        self._cameras: Mapping[str, CameraInfo] = {}
        self._removed: set[str] = set()
        self._stop = threading.Event()

    def deliver(self, batch: Batch) -> Outcome:
        link = self._connected()
        sent: dict[int, int] = {}
        for row, report in batch:
            topic = f"{self._target.topic}/{report.camera}"
            sent[link.publish(topic, report.event.to_json())] = row
        link.wait(set(sent), ACKNOWLEDGE_S, self._stop)
        outcome = Outcome([row for number, row in sent.items() if number in link.acknowledged])
        link.acknowledged.difference_update(sent)
        if len(outcome.delivered) < len(sent):
            outcome.error = link.why or f"{self._target} does not acknowledge what it receives"
            self._disconnect()
        return outcome

    def describe(self, cameras: Mapping[str, CameraInfo], removed: Sequence[str]) -> None:
        self._cameras = dict(cameras)
        self._removed = (self._removed | set(removed)) - cameras.keys()
        link, new = self._link, self._link is None
        if link is None or link.why:
            self._disconnect()
            self._connected()  # which announces
        elif not new:
            self._announce(link)

    def tick(self) -> None:
        if self._link is not None and self._link.why:
            why = self._link.why
            self._disconnect()
            raise _unreachable(self._target, why)
        self._connected()

    def _connected(self) -> _Link:
        """The connection, made if necessary. Raises PunctumError."""
        if self._link is not None and not self._link.why:
            return self._link
        self._disconnect()
        link = _Link(self._target, self._tls)
        try:
            link.open(self._stop)
            self._announce(link)
        except BaseException:
            link.close()
            raise
        self._link = link
        return link

    def _announce(self, link: _Link) -> None:
        """Publish what is retained. Raises PunctumError."""
        topic = self._target.topic
        messages = [(f"{topic}/status", "online")]
        for name, camera in self._cameras.items():
            messages.append((f"{topic}/{name}/status", "online" if camera.online else "offline"))
            if self._prefix:
                text = json.dumps(discovery(topic, name, camera.labels), ensure_ascii=False)
                messages.append((discovery_topic(self._prefix, topic, name), text))
        for name in self._removed:  # an empty retained message removes the one before
            messages.append((f"{topic}/{name}/status", ""))
            if self._prefix:
                messages.append((discovery_topic(self._prefix, topic, name), ""))
        numbers = {link.publish(where, text, retain=True) for where, text in messages}
        link.wait(numbers, ACKNOWLEDGE_S, self._stop)
        if not numbers <= link.acknowledged:
            raise _unreachable(self._target, link.why or "it does not acknowledge what it receives")
        link.acknowledged -= numbers
        self._removed.clear()

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def interrupt(self) -> None:
        self._stop.set()

    def close(self) -> None:
        link = self._link
        if link is not None and not link.why:
            topic = self._target.topic
            numbers = {link.publish(f"{topic}/status", "offline", retain=True)}
            numbers |= {link.publish(f"{topic}/{name}/status", "offline", retain=True) for name in self._cameras}
            link.wait(numbers, 2.0, threading.Event())
        self._disconnect()


class _Link:
    """One connection. A lost one is not used again, so that nothing is sent twice by the client itself.

    Attributes:
        acknowledged: Numbers of messages that the broker has.
        why: Why the connection is lost; empty while it is not.
    """

    def __init__(self, target: MqttTarget, tls: TlsFiles) -> None:
        from paho.mqtt import client as paho

        self.acknowledged: set[int] = set()
        self.why, self._target = "", target
        self._changed = threading.Condition()
        self._open = False
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=f"punctum-{secrets.token_hex(6)}",
            protocol=paho.MQTTv311,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.will_set(f"{target.topic}/status", "offline", qos=1, retain=True)
        client.max_queued_messages_set(0)
        client.connect_timeout = CONNECT_S
        if target.user is not None:
            client.username_pw_set(target.user, target.password)
        if target.tls:
            client.tls_set_context(tls.context())
        client.on_connect, client.on_disconnect, client.on_publish = self._connect, self._lost, self._publish
        self._client = client

    def open(self, stop: threading.Event) -> None:
        """Connect. Raises PunctumError."""
        try:
            self._client.connect(self._target.host, self._target.port, keepalive=20)
        except (OSError, ValueError) as error:
            raise _unreachable(self._target, str(error) or type(error).__name__) from None
        self._client.loop_start()
        limit = time.monotonic() + CONNECT_S
        with self._changed:
            while not (self._open or self.why or stop.is_set()) and time.monotonic() < limit:
                self._changed.wait(0.2)
        if not self._open:
            raise _unreachable(self._target, self.why or "it does not answer")

    def publish(self, topic: str, text: str, *, retain: bool = False) -> int:
        """Send a message, and return its number."""
        return int(self._client.publish(topic, text.encode(), qos=1, retain=retain).mid)

    def wait(self, numbers: set[int], timeout_s: float, stop: threading.Event) -> None:
        """Wait until messages are acknowledged, the connection is lost, or the time is over."""
        limit = time.monotonic() + timeout_s
        with self._changed:
            while not (numbers <= self.acknowledged or self.why or stop.is_set()) and time.monotonic() < limit:
                self._changed.wait(0.2)

    # Callbacks run in the client's thread.
    def _connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        with self._changed:
            if reason.is_failure:
                self.why = f"it refused the connection ({reason})"
            self._open = not reason.is_failure
            self._changed.notify_all()

    def _lost(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        with self._changed:
            self.why = self.why or f"the connection was lost ({reason})"
            self._changed.notify_all()

    def _publish(self, client: Any, userdata: Any, mid: int, reason: Any = None, properties: Any = None) -> None:
        with self._changed:
            self.acknowledged.add(mid)
            self._changed.notify_all()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # The client refers to this object: without that, its socket is closed now, and not at some later time.
        self._client.on_connect = self._client.on_disconnect = self._client.on_publish = None


def _unreachable(target: MqttTarget, why: str) -> InputError:
    return InputError(
        "site-sink-unreachable",
        f"{target} cannot be used: {shown(why)}",
        required="a broker that can be reached",
        next_step="check address, user, password and certificates",
    )
