"""Events to an MQTT broker: at least once (QoS 1), across broker restarts, with a bounded queue in the meantime.

Each event is one message with JSON on TOPIC. TOPIC/status (retained) is "online" during the run, and "offline" after a
regular end or, as last will, when the process dies. After a reconnection a message may arrive twice: compare `event`
and `revision`.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ..credentials.redact import redact
from ..credentials.store import Credentials, Login
from ..errors import InputError, MissingDependencyError
from ..events.event import Event
from ..text.display import counted, printable, shown, were

_log = logging.getLogger(__name__)

MOST_TOPIC_BYTES = 60_000  # MQTT allows 65,535; the topic of the status is longer
IN_FLIGHT = 20  # maximum number of messages that were sent and not yet acknowledged


@dataclass(frozen=True, slots=True)
class MqttTarget:
    """Broker and topic, from mqtt://[user[:password]@]host[:port]/topic, or mqtts:// for TLS.

    A password in an address is visible in process lists; see `credentials` for files and environment variables.
    """

    host: str
    port: int
    topic: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, address: str, login: Login | None = None) -> MqttTarget:
        """Raises InputError for another form of address, and for a topic with wildcards."""
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            raise _bad_address(address) from None
        topic = unquote(parts.path.strip("/"))
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or not topic or parts.query or parts.fragment:
            raise _bad_address(address)
        if address.endswith(("#", "?")):  # an empty fragment or query, which the parser leaves out
            topic += address[-1]
        # Brokers keep topics that begin with $ to themselves, and close the connection at a control character: events
        # would never arrive.
        refused = topic.startswith("$") or address.endswith("?") or any(c in "+#" or _unusable(c) for c in topic)
        if refused or len(topic.encode()) > MOST_TOPIC_BYTES:
            raise InputError(
                "mqtt-topic",
                f"{shown(repr(topic), 80)} is not a topic to publish on",
                f"a topic of up to {MOST_TOPIC_BYTES} bytes without +, # and control characters, which does not begin "
                "with $ or end in ?",
                "correct `mqtt`",
            )
        tls = parts.scheme == "mqtts"
        login = login or Credentials.load().mqtt
        user = login.user if parts.username is None else unquote(parts.username)
        password = login.password if parts.password is None else unquote(parts.password)
        return cls(parts.hostname, port or (8883 if tls else 1883), topic, user, password, tls)

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}/{self.topic}"


def _unusable(character: str) -> bool:
    """Whether a topic must not hold a character: control characters, surrogates and noncharacters of Unicode."""
    code = ord(character)
    return unicodedata.category(character) in ("Cc", "Cs") or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _bad_address(address: str) -> InputError:
    safe = redact(address if "://" in address else f"mqtt://{address}")
    allowed = "mqtt://[user@]host[:port]/topic"
    return InputError("mqtt-address", f"{shown(repr(safe), 200)} is not an MQTT address", allowed, "correct `mqtt`")


class EventQueue:
    """A bounded queue. When full, it drops the oldest provisional event, or the oldest final one if there is none."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._items: OrderedDict[int, tuple[bool, bytes]] = OrderedDict()
        self._provisional: deque[int] = deque()
        self._serial = itertools.count()
        self.dropped_provisional = 0
        self.dropped_final = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, payload: bytes, *, final: bool) -> None:
        key = next(self._serial)
        self._items[key] = (final, payload)
        if not final:
            self._provisional.append(key)
        if len(self._items) <= self._bound:
            return
        while self._provisional:
            if self._items.pop(self._provisional.popleft(), None) is not None:
                self.dropped_provisional += 1
                return
        self._items.popitem(last=False)
        self.dropped_final += 1

    def get(self) -> tuple[bool, bytes] | None:
        """Remove and return the oldest event as (final, payload)."""
        if not self._items:
            return None
        key, item = self._items.popitem(last=False)
        if self._provisional and self._provisional[0] == key:
            self._provisional.popleft()
        return item

    def finals(self) -> int:
        return sum(1 for final, _ in self._items.values() if final)


class MqttSink:
    """Publishes from a thread of its own, so that a slow or unavailable broker never delays the stream.

    An unavailable broker, at the start or later, is a warning; connecting is retried after 1, 2, 4, ... at most
    `max_backoff_s` seconds. Nothing raises after construction.

    Args:
        target: Broker and topic.
        bound: Maximum number of events in the queue.
        max_backoff_s: Maximum pause between attempts to connect, in seconds.
        close_timeout_s: Maximum time that `close` waits for the queue, in seconds.
        on_reconnect: Called after each reconnection, from another thread.
        warn: Receives warnings. Default: the logger.

    Raises:
        MissingDependencyError: paho-mqtt is not installed.
        InputError: `bound` is smaller than 1.
    """

    def __init__(
        self,
        target: MqttTarget,
        *,
        bound: int = 10_000,
        max_backoff_s: int = 30,
        close_timeout_s: float = 5.0,
        on_reconnect: Callable[[], None] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        try:
            from paho.mqtt import client as paho
        except ImportError:
            raise MissingDependencyError("paho-mqtt", "mqtt", "publishing events to MQTT") from None
        if bound < 1:
            raise InputError("mqtt-queue", f"`mqtt_queue` is {bound}", "1 or more", "correct it")
        self.target, self.name = target, str(target)
        self.delivered = self.reconnects = 0
        self._queue, self._close_timeout_s = EventQueue(bound), close_timeout_s
        self._on_reconnect, self._warn = on_reconnect, warn or _log_warning
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._acknowledged: deque[int] = deque()
        self._sent: dict[int, bool] = {}
        self._in_transit = 0  # 1 while an event is between the queue and the client
        self._connected = self._was_connected = self._warned = self._stop = False
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        client.reconnect_delay_set(1, max_backoff_s)
        client.max_inflight_messages_set(IN_FLIGHT)
        client.will_set(f"{target.topic}/status", "offline", qos=1, retain=True)
        if target.user is not None:
            client.username_pw_set(target.user, target.password)
        if target.tls:
            client.tls_set()
        client.on_connect, client.on_disconnect = self._connect, self._disconnect
        client.on_connect_fail, client.on_publish = self._fail, self._publish
        self._client = client
        client.connect_async(target.host, target.port, keepalive=20)
        client.loop_start()
        self._thread = threading.Thread(target=self._send_queued, name="punctum-mqtt", daemon=True)
        self._thread.start()

    # Callbacks run in the client's thread and may hold its locks: they only record what happened and wake the sender.
    def _connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        if reason.is_failure:
            self._warn_once(f"{self.name} refused the connection ({reason})")
            return
        if self._was_connected:
            self.reconnects += 1
            if self._on_reconnect is not None:
                self._on_reconnect()
        if self._warned:
            self._warn(
                f"connected to {self.name}; {counted(len(self._queue), 'event')} {were(len(self._queue))} waiting"
            )
        self._connected, self._was_connected, self._warned = True, True, False
        client.publish(f"{self.target.topic}/status", "online", qos=1, retain=True)
        self._wake.set()

    def _disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        self._connected = False
        if not self._stop:
            self._warn_once(f"lost the connection to {self.name} ({reason})")

    def _fail(self, client: Any, userdata: Any) -> None:
        self._warn_once(f"cannot reach {self.name}")

    def _warn_once(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"{text}; trying again, events are queued")

    def _publish(self, client: Any, userdata: Any, mid: int, reason: Any = None, properties: Any = None) -> None:
        self._acknowledged.append(mid)
        self._wake.set()

    def write(self, events: Sequence[Event]) -> None:
        """Queue events. Never blocks."""
        with self._lock:
            for event in events:
                self._queue.put(event.to_json().encode(), final=event.phase in ("final", "retracted"))
        self._wake.set()

    @property
    def depth(self) -> int:
        """Events in the queue, or sent and not yet acknowledged."""
        return len(self._queue) + len(self._sent) + self._in_transit

    @property
    def dropped(self) -> tuple[int, int]:
        """Numbers of (provisional, final) events dropped from a full queue."""
        return self._queue.dropped_provisional, self._queue.dropped_final

    def _send_queued(self) -> None:
        """Send events, up to IN_FLIGHT unacknowledged ones. All sending happens in this thread."""
        topic = self.target.topic
        while not self._stop:
            self._wake.wait(0.5)
            self._wake.clear()
            self._collect_acknowledged()
            while self._connected and len(self._sent) < IN_FLIGHT:
                with self._lock:
                    self._in_transit = 1  # before it leaves the queue, so that `depth` never misses it
                    item = self._queue.get()
                if item is not None:
                    # The client keeps it, across reconnections, until the broker has acknowledged it.
                    self._sent[self._client.publish(topic, item[1], qos=1).mid] = item[0]
                self._in_transit = 0
                if item is None:
                    break

    def _collect_acknowledged(self) -> None:
        """Count and remove what the broker has acknowledged."""
        while self._acknowledged:
            if self._sent.pop(self._acknowledged.popleft(), None) is not None:
                self.delivered += 1

    def close(self) -> int:
        """Wait briefly for the queue, publish "offline", disconnect. Returns the number of undelivered final events."""
        if self._stop:
            return 0
        deadline = time.monotonic() + self._close_timeout_s
        while self.depth and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=2.0)
        if self._connected:
            last = self._client.publish(f"{self.target.topic}/status", "offline", qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):  # the broker is gone, and publishes the last will
                last.wait_for_publish(timeout=2.0)
        self._client.disconnect()
        self._client.loop_stop()
        self._collect_acknowledged()
        provisional, final = self.dropped
        waiting = self._queue.finals() + sum(self._sent.values())
        if self.depth or provisional or final:
            self._warn(
                f"{self.name}: {provisional} provisional and {counted(final, 'final event')} dropped, "
                f"{waiting} final and {counted(self.depth - waiting, 'provisional event')} not delivered"
            )
        return final + waiting


def _log_warning(text: str) -> None:
    _log.warning("%s", printable(text))
