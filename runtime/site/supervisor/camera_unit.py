"""One camera: its process, its state, and the routes of its features to the engines of its bundles."""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ...text.throttle import Throttle
from ..config.models import CameraConfig
from ..gap_reasons import GapReason
from ..wire import Header
from .backoff import Backoff
from .child import Child
from .recent_loss import RecentLoss
from .route import Route

MODULE = "punctum.runtime.site.camera"
MOST_WARNINGS = 10  # about chunks of one camera; all are counted
OPEN_S = 120.0  # seconds without a sign of life while a source opens, at least
# On a loaded machine, loading a backbone can take minutes, and a restart would only begin that again. So a process that
# computes is not considered stuck; one that waits uses about 0.1 s of CPU time per minute.
WORK_S = 1.0  # seconds of CPU time that are a sign of life of a process that opens its source
OPEN_MOST_S = 1800.0  # after that it counts as stuck all the same
_log = logging.getLogger(__name__)

State = Literal["starting", "opening", "running", "lost", "ended", "failed", "scheduled", "off"]


def is_live(source: str) -> bool:
    """Whether what is not read of a source is lost: everything but files and folders."""
    return "://" in source or source.startswith(("camera:", "gst:")) or source == "-"


def is_socket(source: str) -> bool:
    """Whether features come over a socket, with the sender's own clock."""
    return source.startswith(("tcp://", "unix://"))


@dataclass(slots=True)
class CameraUnit:
    """One camera of the site. Used by the control thread alone.

    Args:
        name: Its name.
        config: Its configuration.
        receive: Receives the messages of its process, in whatever thread reads them.
    """

    name: str
    config: CameraConfig
    receive: Callable[[Child, Header, bytes], None]
    epoch_unix: float = 0.0
    """Unix time of media time 0, for live sources."""
    state: State = "starting"
    why: str = ""
    code: str = ""
    since: float = field(default_factory=time.time)
    stats: dict[str, Any] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    """By name of the engine."""
    child: Child | None = None
    active: bool = True
    """The schedule asks for it."""
    starts: int = 0
    replayable: bool = False
    """The source is a recording, which ends."""
    last_at: float = 0.0
    """Media time of the newest features."""
    backoff: Backoff = field(default_factory=Backoff)
    next_start: float = 0.0
    """Monotonic time before which the process is not started again."""
    finished: bool = False
    """Its recording has been read, and all its events are stored: a new start of the service leaves it alone."""
    reading: str = field(default_factory=lambda: secrets.token_hex(4))
    """Names this reading of a recording. A reading that has to be repeated names its actions alike."""
    begins: dict[str, float] = field(default_factory=dict)
    """Bundle id -> media time from which on its actions are reported: before, another version did that."""
    fresh: bool = False
    """Its source is another one than in the stored sessions, which end before the new ones begin."""
    continues: bool = False
    """Its media time continues that of earlier sessions."""
    covered_s: float | None = None
    """Media time up to which closed sessions have features; None: there were none, or the gap was declared."""
    closed_reason: str = ""
    """Why they were closed."""
    resumed: bool = False
    """Features have arrived since."""
    offset: float | None = None
    """Unix time minus media time, at the latest features; None: not known."""
    feeds: tuple[str, ...] = ()
    """Feeds that the running process computes."""
    lost: Counter[str] = field(default_factory=Counter)
    """What was lost since the start of the service, by reason."""
    counted: dict[str, int] = field(default_factory=dict)
    """The latest values of counters that processes keep, which begin at 0 again when a process does."""
    bad: dict[str, int] = field(default_factory=dict)
    """Chunks that could not be read, by reason."""
    credits: dict[tuple[str, int], int] = field(default_factory=dict)
    cpu_seen: tuple[float, float] = (0.0, 0.0)
    """While its source opens: CPU time of its process at the last sign of life, and the monotonic time of that."""
    delivered: bool = False
    """Features have arrived since the start of the service."""
    exit_reason: GapReason | None = None
    """Why its process ended after the last features."""
    cause: GapReason = "service-down"
    """Reason of a gap before the first features of the running process."""
    loss: RecentLoss = field(default_factory=RecentLoss)
    """Media lost during the last minute."""
    throttle: Throttle = field(default_factory=lambda: Throttle(most=20))
    """Limits log lines about its state: a sender may connect and disconnect many times a second."""

    def begin_again(self) -> None:
        """Its recording is to be read from the beginning, and the actions found in it are new ones."""
        self.finished, self.reading = False, secrets.token_hex(4)

    @property
    def live(self) -> bool:
        """Whether what is not read is lost: everything but files and folders."""
        return is_live(self.config.source)

    @property
    def waits(self) -> bool:
        """Whether the source waits while nothing is read, so that nothing has to be dropped."""
        return not self.live or self.socket or self.config.overflow == "wait"

    @property
    def socket(self) -> bool:
        """Whether features come over a socket, with the sender's own clock."""
        return is_socket(self.config.source)

    def set_state(self, state: State, why: str = "", code: str = "") -> None:
        """Change the state, and say so once."""
        if (state, why) != (self.state, self.why):
            level = logging.WARNING if state in ("lost", "failed") else logging.INFO
            if (more := self.throttle.take()) is not None:
                _log.log(level, "camera %s: %s%s%s", self.name, state, f" ({why})" if why else "", more)
            self.since = time.time() if state != self.state else self.since
            self.state, self.why, self.code = state, why, code

    def start(self, message: Header) -> None:
        """Start the process. message: the start message; see the module of the process."""
        self.stop_now()
        self.credits.clear()
        self.loss.restart()
        self.begins_with()
        self.feeds = tuple(feed["feed"] for feed in message["feeds"])
        self.starts += 1
        try:
            self.child = Child(MODULE, f"camera {self.name}", self.receive)
        except OSError as error:  # no memory or no processes at the moment
            self.restart_later(f"its process cannot be started ({error.strerror})", "camera-process")
            return
        self.set_state("opening")
        self.child.send({**message, "type": "start"})

    def restart_later(self, why: str, code: str, *, ran_s: float = 0.0) -> None:
        """It has failed: start it again after a pause."""
        pause = self.backoff.failed(ran_s)
        self.next_start = time.monotonic() + pause
        self.set_state("failed", why, code)

    def begin(self, header: Header) -> None:
        """The source began, or was connected again."""
        self.set_state("running")
        self.replayable = bool(header.get("replayable"))
        for route in self.routes_of(header["feed"]):
            route.begin({**header, "reason": "camera-absent" if header.get("restart") else self.cause})

    def chunk(self, header: Header, payload: bytes) -> None:
        """Features came: to every engine that takes them."""
        feed, seq = header["feed"], int(header["seq"])
        routes = self.routes_of(feed)
        self.delivered, self.exit_reason = True, None
        if header.get("at") is not None and routes:
            media_s = int(header["rows"]) * routes[0].stride_s
            if self.live and not self.socket and feed in self.feeds[:1]:  # recordings and senders have their own clock
                self.loss.chunk(float(header["at"]), media_s)
            self.last_at = float(header["at"]) + media_s
            if header.get("arrival_unix") is not None:
                self.offset = float(header["arrival_unix"]) - self.last_at
        self.credits[feed, seq] = len(routes)
        if not routes:
            self.credit(feed, seq)
        for route in routes:
            route.chunk(header, payload)

    def credit(self, feed: str, seq: int) -> None:
        """One engine has a chunk: once all have it, the source may go on."""
        left = self.credits.get((feed, seq), 1) - 1
        if left > 0:
            self.credits[feed, seq] = left
            return
        self.credits.pop((feed, seq), None)
        if self.child is not None:
            self.child.send({"type": "taken", "feed": feed, "seq": seq})

    def count(self, reason: str, counter: str, value: int) -> None:
        """Add what a counter of a process has grown by to `lost`."""
        before = self.counted.get(counter, 0)
        self.lost[reason] += value - before if value >= before else value
        self.counted[counter] = value

    def begins_with(self) -> None:
        """A process starts: set the reason of a gap before its first features."""
        self.cause = (self.exit_reason or "process-restarted") if self.delivered else "service-down"

    def ended(self, code: str) -> None:
        """Its process has ended. code: of its failure, or of its state before."""
        absent = code == "camera-ended" or code.startswith(("video-", "source-"))
        self.exit_reason = self.exit_reason or ("camera-absent" if absent else "process-restarted")

    def measured(self, header: Header) -> None:
        """Take the statistics that the process sends once a second, and judge how much is missing."""
        self.stats, loss = header, self.loss
        received, lost, shed = (int(header.get(f"{name}_frames") or 0) for name in ("received", "lost", "shed"))
        self.count("frames lost", "frames", lost)
        loss.frames(received=received, lost=lost, shed=shed)
        dropped = [
            (route.dropped + self.counted.get(f"{key} overflow", 0)) * route.stride_s
            for key, route in self.routes.items()
        ]
        loss.overflow(max(dropped, default=0.0))
        if loss.judge(running=self.state == "running", fps=float(header.get("fps") or 0.0)):
            if loss.why:
                _log.warning("camera %s: %s", self.name, loss.why)
            else:
                _log.info("camera %s: its media is complete again", self.name)

    @property
    def losing(self) -> str:
        """Why a running camera counts as degraded; empty: it does not."""
        return self.loss.why if self.state == "running" else ""

    def refused(self, header: Header) -> None:
        """A chunk of the source could not be read. The next one leaves a gap, which the engines declare."""
        reason = str(header.get("reason", "bad"))
        self.bad[reason] = self.bad.get(reason, 0) + 1
        if sum(self.bad.values()) <= MOST_WARNINGS:
            _log.warning("camera %s: skipped [%s] %s", self.name, header.get("code"), header.get("given"))

    def routes_of(self, feed: str) -> list[Route]:
        """The routes that take these features."""
        return [route for route in self.routes.values() if route.feed == feed]

    def fault(self, now: float) -> str:
        """Why its process has to be ended: it gives no sign of life, or needs too much memory. Empty: it need not."""
        if self.child is None or self.child.killed:  # its exit follows
            return ""
        quiet = now - self.child.beat
        limit = self.config.limits.stuck_s if self.state == "running" else max(OPEN_S, self.config.limits.stuck_s)
        if quiet > limit and (self.state != "opening" or quiet > OPEN_MOST_S or self._idle_s(now) > limit):
            where = "" if self.state == "running" else f" while its state was {self.state}"
            return f"no sign of life for {quiet:.0f} s{where}"
        if self.state == "opening":
            self._idle_s(now)
        rss = float(self.stats.get("rss_mb", 0.0))
        if rss > self.config.limits.memory_mb:
            return f"its process needs {rss:.0f} MB, allowed are {self.config.limits.memory_mb}"
        return ""

    def _idle_s(self, now: float) -> float:
        """Seconds since the process has last computed something."""
        cpu_s = None if self.child is None else self.child.cpu_s()
        if self.child is None or cpu_s is None:
            return math.inf
        if self.cpu_seen[1] < self.child.started:
            self.cpu_seen = (0.0, self.child.started)
        if cpu_s >= self.cpu_seen[0] + WORK_S:
            self.cpu_seen = (cpu_s, now)
        return now - self.cpu_seen[1]

    def stop_now(self) -> None:
        """End the process at once. Its exit is not a failure."""
        child, self.child = self.child, None
        if child is not None:
            child.kill()
            child.join(1.0)
