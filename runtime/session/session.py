"""The state machine, one for live and offline: push features, get events; offline is push-all-then-flush."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle.config import PostProcess
from ..errors import InputError
from ..events.event import Event
from ..events.run_id import check_run_id
from ..features.media_clock import check_media_time
from ..live import LiveOptions, Reporter, Saying
from .buffer import RowBuffer
from .chunk import check_chunk, check_lost
from .emit import Stretch, conclude, tell
from .engine import Backend
from .islands import Island, IslandFinder
from .jobs import LocateJob, ScoreJob, Steps, check_heads, check_tracks, drive
from .plan import Plan, Stats
from .post import Proposals, finish_islands, prepare_island, simplify
from .provisional import Window, provisional
from .undo import Failed, Saved, only_waits, wait_with

__all__ = ["Plan", "Session", "Stats"]

F32 = npt.NDArray[np.float32]
BLOCK = 2048  # snippets a locator run at most: bounds memory when a long video is pushed at once
MOST_SNIPPETS = 4e15  # indices and their sums stay exact in float64
HOP_S = 0.5  # distance of locator runs where only final events are wanted: each run repeats its whole context


@dataclass(slots=True, eq=False, repr=False)
class Session:
    """One stream. Feed it with `push`, end it with `flush`; both return what there is to report.

    For any chunking of the same features the events are the same: the final ones, and with `live` the provisional
    ones too. Not thread-safe: one session a thread.

    A call that raises leaves the session as it was before, whatever failed: repeat the same call, and nothing is lost
    or reported twice.

    start_s: media time of the first snippet. live: how early to speak; None: final events only. run_id: part of every
    event id, so that ids of a stream that was started again differ from those before; empty: ids depend on the media
    alone. A reset counts as a start and is appended to it.
    """

    plan: Plan
    backend: Backend
    _: KW_ONLY
    stream: str = ""
    start_s: float = 0.0
    offline: bool = False
    live: LiveOptions | None = None
    run_id: str = ""
    degraded: bool = False
    """Set to score in haste: fewer thresholds, the locator's word alone. Events say so."""
    stats: Stats = field(init=False, default_factory=Stats)
    _tick: int = field(init=False, default=0)
    _hop: int = field(
        init=False, default=1
    )  # snippets between two looks: on a grid of the media, so chunks don't matter
    _looked: int = field(init=False, default=0)  # snippets of the stretch that were looked at, a multiple of the hop
    _serial: int = field(init=False, default=0)  # snippets of the stream before the last break, lost ones included
    _broken: int = field(init=False, default=0)  # snippets lost at the last break
    _taken: bool = field(init=False, default=False)  # something was pushed
    _resets: int = field(init=False, default=0)
    _features: RowBuffer = field(init=False)
    _tracks: RowBuffer = field(init=False)
    _tail: F32 = field(init=False)
    _finders: list[IslandFinder] = field(init=False)
    _waiting: list[Island] = field(init=False)
    _reporter: Reporter = field(init=False)
    _haste: PostProcess = field(init=False)
    _level: np.float32 = field(init=False)
    _closed: bool = field(init=False, default=False)
    _holes: list[tuple[int, int]] = field(init=False)  # (snippet of the stretch, video frames lost in it)
    _failed: Failed | None = field(init=False, default=None)
    _video_track: list[F32] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        post = self.plan.post
        if post.gate == "video" and not self.offline:
            raise InputError(
                "gate-video-live",
                "a stream with gate='video', which needs statistics of the whole video",
                "gate='none' on streams",
                "set gate to 'none', or use localize() on a whole recording",
            )
        check_media_time(self.start_s, "a stream that starts", code="start")
        check_run_id(self.run_id)
        options = self.live or LiveOptions()
        stride = self.plan.stride_s
        self._tick = options.tick(stride)
        self._hop = self._tick or max(math.floor(HOP_S / stride), 1)
        self._reporter = Reporter(options, tick_s=self._tick * stride, stride_s=stride, overhang_s=self.plan.overhang_s)
        self._haste = simplify(post)
        self._begin()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"at {self.now_s:.3f} s"
        return f"Session(stream={self.stream!r}, bundle={self.plan.bundle_id!r}, {state})"

    def _begin(self) -> None:
        """A fresh stretch of stream: at the start, after a break, after reset."""
        plan = self.plan
        longest = math.floor(min(plan.post.max_island_s / plan.stride_s, MOST_SNIPPETS))
        self._level = np.float32(plan.post.class_thresholds[0])
        self._features = RowBuffer(plan.dim)
        self._tracks = RowBuffer(len(plan.labels) + 1)
        self._tail = np.zeros((0, len(plan.labels) + 1), np.float32)
        self._finders = [IslandFinder(c, plan.post.class_thresholds[0], longest) for c in range(len(plan.labels))]
        self._waiting = []
        self._holes = []
        self._looked = 0

    @property
    def look_ahead_s(self) -> float:
        """Seconds of media after an action's end that a final answer may need (beyond its island's own end)."""
        return self.plan.look_ahead_s + (self._hop - 1) * self.plan.stride_s

    @property
    def hop(self) -> int:
        """Snippets between two looks at the stream."""
        return self._hop

    @property
    def now_s(self) -> float:
        """Media time up to which features were taken."""
        return self.start_s + self._features.end * self.plan.stride_s

    @property
    def state_bytes(self) -> int:
        """Memory held for this stream."""
        return self._features.nbytes + self._tracks.nbytes + int(self._tail.nbytes)

    def push(self, features: Any, *, at: float | None = None, lost: Sequence[tuple[int, int]] = ()) -> list[Event]:
        """Take the next features, [n, D] or `Features` (n may be 0), and return what there is to report.

        at: media time of the first snippet, in seconds; default: they follow the last ones. `Features` bring their
        own (0.0 counts as not given). Later than expected by more than half a snippet means a gap: what still runs
        ends there, as `interrupted`, and the stream begins anew. lost: video frames that are missing, as pairs (row,
        frames); events that such a row touches count them as `dropped`.
        Raises InputError for a wrong dimension, dtype, NaN, another stride, lost frames outside the chunk, or a time
        that lies before what was pushed, and EngineError when the engine fails; the session is then unchanged. Rows
        that were not pushed again after the engine failed on them count as a gap.
        """
        rows, at = self.check(features, at)
        lost = check_lost(lost, len(rows)) if lost else ()
        failed = self._failed
        if failed is None and only_waits(self, len(rows), at, lost):
            return wait_with(self, rows)
        repeats = failed is not None and at is None and failed.begins_like(rows)
        if failed is not None and at is None and len(rows):
            begin = failed.at if repeats else failed.end_s(self.plan.stride_s)
            at = begin if begin > self.now_s + 0.5 * self.plan.stride_s else None
        try:
            events = drive(self.push_steps(rows, at, lost), self.backend)
        except BaseException:
            if len(rows) > 0:
                self._failed = Failed(self.now_s if at is None else at, rows.copy())
            raise
        if failed is not None and (len(rows) or at is not None):
            rest = failed.rows[len(rows) :]
            self._failed = Failed(self.now_s, rest) if repeats and len(rest) else None
        return events

    def flush(self) -> list[Event]:
        """The stream has ended: return all events that were still waiting. The session takes nothing after it."""
        return drive(self.flush_steps(), self.backend)

    def gap(self, at: float) -> list[Event]:
        """Declare that nothing will come before media time `at`; what still runs ends as `interrupted`."""
        return self.push(np.zeros((0, self.plan.dim), np.float32), at=at)

    def reset(self, *, start_s: float = 0.0) -> None:
        """Forget the stream, keep the configuration; a new stream begins at start_s. Open reports are dropped."""
        check_media_time(start_s, "a stream that starts", code="start")
        self.start_s, self._closed, self._taken = start_s, False, False
        self._resets += 1
        self._serial = self._broken = 0
        self._reporter.live.clear()
        self.stats = Stats()
        self._video_track = []
        self._failed = None
        self._begin()

    def snapshot(self) -> bytes:
        """The whole state as bytes, for `Localizer.restore` in another process. Versioned, checked, no pickle."""
        from .snapshot import freeze

        return freeze(self)

    def check(self, features: Any, at: float | None = None) -> tuple[F32, float | None]:
        """What `push` checks before it changes anything: (rows float32 [n, D], media time of the first or None)."""
        self._require_open()
        return check_chunk(features, at, self.plan, now_s=self.now_s if self._taken else None)

    def abandon(self) -> list[Event]:
        """End the stream without the engine, which has failed: retract open reports; what still ran is lost."""
        self._closed = True
        return self._say(self._reporter.sweep([]))

    def push_steps(self, rows: F32, at: float | None, lost: Sequence[tuple[int, int]] = ()) -> Steps[list[Event]]:
        """`push` of checked rows as steps that yield jobs for the engine; see `_jobs`. Closing them undoes them."""
        if only_waits(self, len(rows), at, lost):
            return wait_with(self, rows)
        saved = Saved(self)
        try:
            return (yield from self._push(rows, at, lost))
        except BaseException:
            saved.restore()
            raise

    def _push(self, rows: F32, at: float | None, lost: Sequence[tuple[int, int]]) -> Steps[list[Event]]:
        stride, events = self.plan.stride_s, list[Event]()
        if at is not None:
            if not self._taken:
                self.start_s = at
            elif at > self.now_s + 0.5 * stride:
                events += yield from self._break(at)
        self._taken = self._taken or at is not None or len(rows) > 0
        self._holes += [(self._features.end + row, frames) for row, frames in lost if frames > 0]
        self.stats.snippets += len(rows)
        self.stats.media_s += len(rows) * stride
        done = 0
        while True:
            step = len(rows) - done
            if self._tick:
                step = min(step, self._tick - self._features.end % self._tick)
            self._features.append(rows[done : done + step])
            done += step
            reached = self._features.end - self._features.end % self._hop
            if reached > self._looked:
                self._looked = reached
                events += yield from self._advance(final=False, ticks=self._tick > 0)
            if done >= len(rows):
                return events

    def flush_steps(self) -> Steps[list[Event]]:
        self._require_open()
        saved = Saved(self)
        try:
            events = list[Event]()
            if self._failed is not None:  # rows that were not pushed again
                end_s, self._failed = self._failed.end_s(self.plan.stride_s), None
                events = yield from self._push(np.zeros((0, self.plan.dim), np.float32), end_s, ())
            self._closed = True
            events += yield from self._advance(final=True)
            return events + self._say(self._reporter.sweep([]))
        except BaseException:
            saved.restore()
            raise

    def _break(self, at: float) -> Steps[list[Event]]:
        """Close everything at the break and begin anew at media time `at`."""
        lost = max(round((at - self.now_s) / self.plan.stride_s), 1)
        events = yield from self._advance(final=True, lost=lost)
        events += self._say(self._reporter.sweep([]))
        self._serial += self._features.end + lost
        self.stats.gaps += 1
        self.stats.dropped += lost
        self._broken = lost
        self.start_s = at
        self._begin()
        return events

    def _require_open(self) -> None:
        if self._closed:
            raise InputError(
                "session-closed", "a push or flush after flush", "one flush a session", "start a new session"
            )

    def _advance(self, *, final: bool, ticks: bool = False, lost: int = 0) -> Steps[list[Event]]:
        first = self._tracks.end
        yield from self._locate(final=final, ahead=ticks)
        began = time.perf_counter()
        self._find(first, final=final)
        context, ready = self.plan.context, list[Island]()
        if self._waiting:
            known = self._tracks.end
            ready = [i for i in self._waiting if final or i.complete_at(context) < known]
        if ready:
            self._waiting = [i for i in self._waiting if i not in ready]
            # The order depends on the media alone: when the evidence was complete, then class.
            ready.sort(key=lambda i: (i.complete_at(context), i.label, i.start.index))
        self.stats.islands_s += time.perf_counter() - began
        events: list[Event] = []
        if ready:
            events = yield from self._finish(ready, lost=lost)
            self.stats.islands += len(ready)
        if ticks and not final and (self._waiting or self._reporter.live or self._stirs()):
            began = time.perf_counter()
            said = yield from provisional(self._window(), self._reporter)
            events += self._say(said)
            self.stats.report_s += time.perf_counter() - began
        self.stats.events += sum(1 for e in events if e.phase == "final")
        self._forget()
        return events

    def _stirs(self) -> bool:
        """Whether an island is open, or the guessed tracks would open one."""
        if any(finder.open is not None for finder in self._finders):
            return True
        return len(self._tail) > 0 and bool(self._tail[:, :-1].max() > self._level)

    def _find(self, first: int, *, final: bool) -> None:
        """Follow the new part of each class track. Most classes are quiet most of the time and cost nothing."""
        base, classes = self._tracks.base, len(self.plan.labels)
        fresh = self._tracks.rows[first - base :, :classes]
        if len(fresh):
            hot = (fresh.max(axis=0) > self._level).tolist()
            for c, finder in enumerate(self._finders):
                if hot[c] or finder.open is not None:
                    self._waiting += finder.feed(self._tracks.rows[:, c], base, first)
        if final:
            for finder in self._finders:
                self._waiting += finder.finish(self._tracks.end)

    def _locate(self, *, final: bool, ahead: bool) -> Steps[None]:
        """Extend the tracks as far as the receptive field allows; edges of the stream are the only true edges.

        ahead: also guess the rest, up to the last snippet, as if the stream ended there.
        """
        plan, began = self.plan, time.perf_counter()
        known = self._features.end if final else self._looked
        limit = known if final else max(known - plan.right, self._tracks.end)
        reach = known if ahead else limit
        self._tail = self._tail[:0]
        at = self._tracks.end
        while at < reach:
            stop = min(at + BLOCK, reach)
            low, high = max(at - plan.left, 0), min(stop + plan.right, known)
            job = LocateJob(self._features.slice(low, high), inner=at - low >= plan.left)
            (rows,) = yield [job]
            check_tracks(rows, (high - low, len(plan.labels) + 1))
            rows = rows[at - low : stop - low]
            sure = max(min(stop, limit) - at, 0)
            if sure:
                self._tracks.append(rows[:sure])
                if self.offline and plan.post.gate == "video":
                    self._video_track.append(rows[:sure, :-1])
            if sure < len(rows):
                self._tail = np.concatenate([self._tail, rows[sure:]]) if len(self._tail) else rows[sure:]
            at = stop
        self.stats.locate_s += time.perf_counter() - began

    def _stretch(self, lost: int = 0) -> Stretch:
        return Stretch(
            plan=self.plan,
            stream=self.stream,
            start_s=self.start_s,
            now_s=self.now_s,
            known=self._features.end,
            serial=self._serial,
            broken=self._broken,
            lost=lost,
            hop=self._hop,
            degraded=self.degraded,
            holes=tuple(self._holes),
            prefix=self._prefix,
        )

    @property
    def _prefix(self) -> str:
        """How ids of events begin."""
        if not self.run_id:
            return self.stream
        return f"{self.stream}/{self.run_id}.{self._resets}" if self._resets else f"{self.stream}/{self.run_id}"

    def _say(self, said: list[Saying]) -> list[Event]:
        return tell(self._stretch(), said, self.now_s) if said else []

    def _window(self) -> Window:
        return Window(
            plan=self.plan,
            post=self._haste if self.degraded else self.plan.post,
            features=self._features,
            tracks=self._tracks,
            tail=self._tail,
            finders=self._finders,
            waiting=self._waiting,
            start_s=self.start_s,
            prefix=self._prefix,
        )

    def _finish(self, ready: list[Island], *, lost: int) -> Steps[list[Event]]:
        """Final events of islands whose surroundings are known."""
        plan, began = self.plan, time.perf_counter()
        post = self._haste if self.degraded else plan.post
        lows, prepared, jobs = list[int](), list[Proposals](), list[ScoreJob]()
        for island in ready:
            low, high = island.window(plan.context, self._tracks.end)
            inner = low + plan.context <= island.start.index and high >= island.end.index + plan.context + 1
            found, job = prepare_island(
                self._features.slice(low, high),
                np.ascontiguousarray(self._tracks.slice(low, high)),
                island.label,
                island.bounds(low),
                post,
                stride_s=plan.stride_s,
                inner=inner,
            )
            lows.append(low)
            prepared.append(found)
            if job is not None:
                jobs.append(job)
        asked_at = time.perf_counter()
        answers = (yield list(jobs)) if jobs else []
        check_heads(answers, jobs, len(plan.labels), post.fusion)
        answered_at = time.perf_counter()
        self.stats.score_s += answered_at - asked_at
        events: list[Event] = []
        for island, low, (segments, scores) in zip(ready, lows, finish_islands(prepared, answers, post), strict=True):
            seconds = self.start_s + (low + segments + 0.5) * plan.stride_s
            events += conclude(self._stretch(lost), island, seconds, scores, self._reporter)
        self.stats.post_s += asked_at - began + time.perf_counter() - answered_at
        return events

    def _forget(self) -> None:
        """Keep only what an open or waiting island, or the next locator window, can still need."""
        plan = self.plan
        oldest = self._tracks.end - 1
        for finder in self._finders:
            if finder.open is not None and finder.open.index < oldest:
                oldest = finder.open.index
        for island in self._waiting:
            oldest = min(oldest, island.start.index)
        oldest -= plan.context + 1
        self._features.drop_before(min(oldest, self._tracks.end - plan.left))
        self._tracks.drop_before(oldest)
        if self._holes:
            self._holes = [hole for hole in self._holes if hole[0] >= oldest]

    def video_scores(self) -> F32:
        """Class scores of the whole video for gate="video": mean of the highest eighth of each class track [C]."""
        tracks = (
            np.concatenate(self._video_track) if self._video_track else np.zeros((0, len(self.plan.labels)), np.float32)
        )
        if len(tracks) == 0:
            return np.zeros(len(self.plan.labels), np.float32)
        top = max(1, len(tracks) // 8)
        return np.asarray(np.sort(tracks, axis=0)[-top:].mean(axis=0), np.float32)
