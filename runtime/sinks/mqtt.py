"""Events to an MQTT broker: at least once (QoS 1), over broker restarts, with a bounded queue while it is away.

Events go to TOPIC as JSON, one message each. TOPIC/status (retained) says "online", and "offline" after a regular end
or, as last will, when the process dies. A message may come twice after a reconnect: `event` and `revision` tell.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ..credentials.redact import redact
from ..credentials.store import Credentials, Login
from ..errors import InputError, MissingDependencyError
from ..events.event import Event
from ..text.display import counted, printable, were

_log = logging.getLogger(__name__)

IN_FLIGHT = 20  # messages handed to the client and not yet acknowledged


@dataclass(frozen=True, slots=True)
class MqttTarget:
    """Where to publish. From mqtt://[user[:password]@]host[:port]/topic, or mqtts:// for TLS.

    A password in an address shows up in process lists; one of `credentials`, a file or a variable, does not.
    """

    host: str
    port: int
    topic: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, address: str, login: Login | None = None) -> MqttTarget:
        """Raises InputError for an address of another form, and for a topic with wildcards."""
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            raise _bad_address(address) from None
        topic = unquote(parts.path.strip("/"))
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or not topic or parts.query or parts.fragment:
            raise _bad_address(address)
        if any(c in topic for c in "+#\0") or len(topic.encode()) > 60000:
            raise InputError("mqtt-topic", f"topic {topic!r}", "a topic without + and #", "correct --mqtt")
        tls = parts.scheme == "mqtts"
        login = login or Credentials.load().mqtt
        user = login.user if parts.username is None else unquote(parts.username)
        password = login.password if parts.password is None else unquote(parts.password)
        return cls(parts.hostname, port or (8883 if tls else 1883), topic, user, password, tls)

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}/{self.topic}"


def _bad_address(address: str) -> InputError:
    shown = redact(address if "://" in address else f"mqtt://{address}")
    return InputError("mqtt-address", f"address {shown!r}", "mqtt://[user@]host[:port]/topic", "correct --mqtt")


class EventQueue:
    """Bounded. When it is full the oldest provisional event goes, and the oldest final one only if there is none."""

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
        """The oldest: (final, payload)."""
        if not self._items:
            return None
        key, item = self._items.popitem(last=False)
        if self._provisional and self._provisional[0] == key:
            self._provisional.popleft()
        return item

    def finals(self) -> int:
        return sum(1 for final, _ in self._items.values() if final)


class MqttSink:
    """Publishes from a thread of its own, so that a slow or absent broker never holds the stream up.

    A broker that is away at the start or later is a warning on standard error; connecting is tried again after 1, 2,
    4, ... at most max_backoff_s seconds. Nothing raises after construction.
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
            raise InputError("mqtt-queue", f"a queue of {counted(bound, 'event')}", "1 or more", "set --mqtt-queue")
        self.target, self.name = target, str(target)
        self.delivered = self.reconnects = 0
        self._queue, self._close_timeout_s = EventQueue(bound), close_timeout_s
        self._on_reconnect, self._warn = on_reconnect, warn or _log_warning
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._acknowledged: deque[int] = deque()
        self._sent: dict[int, bool] = {}
        self._handing = 0  # 1 while an event is between the queue and the client
        self._connected = self._was_connected = self._complained = self._stop = False
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
        self._thread = threading.Thread(target=self._pump, name="punctum-mqtt", daemon=True)
        self._thread.start()

    # Callbacks run in the client's thread and may hold its locks: they only note what happened and wake the pump.
    def _connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        if reason.is_failure:
            self._complain(f"{self.name} refused the connection ({reason})")
            return
        if self._was_connected:
            self.reconnects += 1
            if self._on_reconnect is not None:
                self._on_reconnect()
        if self._complained:
            self._warn(
                f"connected to {self.name}; {counted(len(self._queue), 'event')} {were(len(self._queue))} waiting"
            )
        self._connected, self._was_connected, self._complained = True, True, False
        client.publish(f"{self.target.topic}/status", "online", qos=1, retain=True)
        self._wake.set()

    def _disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any = None) -> None:
        self._connected = False
        if not self._stop:
            self._complain(f"lost the connection to {self.name} ({reason})")

    def _fail(self, client: Any, userdata: Any) -> None:
        self._complain(f"cannot reach {self.name}")

    def _complain(self, text: str) -> None:
        if not self._complained:
            self._complained = True
            self._warn(f"{text}; trying again, events wait in a queue")

    def _publish(self, client: Any, userdata: Any, mid: int, reason: Any = None, properties: Any = None) -> None:
        self._acknowledged.append(mid)
        self._wake.set()

    def write(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                self._queue.put(event.to_json().encode(), final=event.phase in ("final", "retracted"))
        self._wake.set()

    @property
    def depth(self) -> int:
        """Events that wait, or were sent and are not acknowledged yet."""
        return len(self._queue) + len(self._sent) + self._handing

    @property
    def dropped(self) -> tuple[int, int]:
        """(provisional, final) events that the bound cost."""
        return self._queue.dropped_provisional, self._queue.dropped_final

    def _pump(self) -> None:
        """Hand events to the client, as many as it may have in flight. All sending happens in this thread."""
        topic = self.target.topic
        while not self._stop:
            self._wake.wait(0.5)
            self._wake.clear()
            self._settle()
            while self._connected and len(self._sent) < IN_FLIGHT:
                with self._lock:
                    self._handing = 1  # before it leaves the queue, so that nobody sees it nowhere
                    item = self._queue.get()
                if item is not None:
                    # In flight the client keeps it, over reconnects too, until the broker has acknowledged it.
                    self._sent[self._client.publish(topic, item[1], qos=1).mid] = item[0]
                self._handing = 0
                if item is None:
                    break

    def _settle(self) -> None:
        """Forget what the broker has acknowledged."""
        while self._acknowledged:
            if self._sent.pop(self._acknowledged.popleft(), None) is not None:
                self.delivered += 1

    def close(self) -> int:
        """Wait a little for what is queued, say "offline", disconnect. Returns final events not delivered."""
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
            with contextlib.suppress(RuntimeError, ValueError):  # the broker went away now: its last will says it
                last.wait_for_publish(timeout=2.0)
        self._client.disconnect()
        self._client.loop_stop()
        self._settle()
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
