"""The state machine, one for live and offline: push features, get events; offline is push-all-then-flush."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ._islands import EDGE, Island, IslandFinder
from ._post import score_island
from .backends._protocol import Backend
from .config import PostProcess
from .errors import InputError, PunctumError
from .events import Event
from .features import Features, check_features

F32 = npt.NDArray[np.float32]
BLOCK = 2048  # snippets a locator run at most: bounds memory when a long video is pushed at once


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a session needs to know about a bundle."""

    labels: tuple[str, ...]
    dim: int
    stride_s: float
    left: int
    right: int
    post: PostProcess
    bundle_id: str

    @property
    def context(self) -> int:
        """Snippets beyond an island that its scoring may read, on either side (one more for interpolation)."""
        return math.ceil(self.post.right_context_s / self.stride_s) + 1

    @property
    def look_ahead_s(self) -> float:
        """Algorithmic delay: receptive field to the right plus right context, in seconds."""
        return (self.right + self.context) * self.stride_s


@dataclass(slots=True)
class Stats:
    """Seconds spent per stage, and how much media they served."""

    locate_s: float = 0.0
    islands_s: float = 0.0
    score_s: float = 0.0
    media_s: float = 0.0
    snippets: int = 0
    islands: int = 0
    events: int = 0

    @property
    def real_time_factor(self) -> float:
        """Compute seconds a second of media; below 1 keeps up."""
        total = self.locate_s + self.islands_s + self.score_s
        return total / self.media_s if self.media_s else 0.0


@dataclass(slots=True)
class _Buffer:
    """Rows of a growing stream from absolute index `base` on."""

    base: int
    rows: F32

    @property
    def end(self) -> int:
        return self.base + len(self.rows)

    def append(self, rows: F32) -> None:
        self.rows = np.concatenate([self.rows, rows])

    def slice(self, start: int, stop: int) -> F32:
        return self.rows[start - self.base : stop - self.base]

    def drop_before(self, index: int) -> None:
        """Forget rows before `index`, in strides, so that a push does not copy the buffer each time."""
        if index - self.base > 256:
            self.rows = self.rows[index - self.base :].copy()
            self.base = index


@dataclass(slots=True)
class Session:
    """One stream. Feed it with `push`, end it with `flush`; both return the events that became final.

    For any chunking of the same features the final events are the same. Not thread-safe: one session a thread.
    """

    plan: Plan
    backend: Backend
    stream: str = ""
    start_s: float = 0.0
    offline: bool = False
    stats: Stats = field(default_factory=Stats)
    _features: _Buffer = field(init=False)
    _tracks: _Buffer = field(init=False)
    _finders: list[IslandFinder] = field(init=False)
    _waiting: list[Island] = field(default_factory=list)
    _closed: bool = False
    _video_track: list[F32] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan, post = self.plan, self.plan.post
        if post.gate == "video" and not self.offline:
            raise InputError(
                "gate-video-live",
                "a stream with gate='video', which needs statistics of the whole video",
                "gate='none' on streams",
                "set gate to 'none', or use localize() on a whole recording",
            )
        longest = math.floor(post.max_island_s / plan.stride_s)
        self._features = _Buffer(0, np.zeros((0, plan.dim), np.float32))
        self._tracks = _Buffer(0, np.zeros((0, len(plan.labels) + 1), np.float32))
        self._finders = [IslandFinder(c, post.class_thresholds[0], longest) for c in range(len(plan.labels))]

    @property
    def look_ahead_s(self) -> float:
        """Seconds of media after an action's end that a final answer may need (beyond its island's own end)."""
        return self.plan.look_ahead_s

    def push(self, features: Any) -> list[Event]:
        """Take the next features, [n, D] or `Features` (n may be 0), and return events that became final.

        Raises InputError for a wrong dimension, dtype, NaN or another stride; the session is then unchanged.
        """
        self._require_open()
        if isinstance(features, Features):
            if not math.isclose(features.stride_s, self.plan.stride_s, rel_tol=1e-6):
                raise InputError(
                    "features-stride",
                    f"features with a stride of {features.stride_s} s",
                    f"{self.plan.stride_s} s, which this bundle was trained on",
                    "extract features at that rate",
                )
            if self._features.end == 0:
                self.start_s = features.start_s
            features = features.data
        rows = check_features(features, dim=self.plan.dim)
        self._features.append(rows)
        self.stats.snippets += len(rows)
        self.stats.media_s += len(rows) * self.plan.stride_s
        return self._advance(final=False)

    def flush(self) -> list[Event]:
        """The stream has ended: return all events that were still waiting. The session takes nothing after it."""
        self._require_open()
        self._closed = True
        return self._advance(final=True)

    def _require_open(self) -> None:
        if self._closed:
            raise InputError(
                "session-closed", "a push or flush after flush", "one flush a session", "start a new session"
            )

    def _advance(self, *, final: bool) -> list[Event]:
        self._locate(final=final)
        began = time.perf_counter()
        for c, finder in enumerate(self._finders):
            column = self._tracks.rows[:, c]
            if final:
                self._waiting += finder.finish(column, self._tracks.base, self._tracks.end)
            else:
                self._waiting += finder.feed(column, self._tracks.base)
        context = self.plan.context
        ready = [i for i in self._waiting if final or i.complete_at(context) < self._tracks.end]
        self._waiting = [i for i in self._waiting if i not in ready] if ready else self._waiting
        # The order depends on the media alone: when the evidence was complete, then class.
        ready.sort(key=lambda i: (i.complete_at(context), i.label, i.start))
        self.stats.islands_s += time.perf_counter() - began
        began = time.perf_counter()
        events = [event for island in ready for event in self._score(island)]
        self.stats.score_s += time.perf_counter() - began
        self.stats.islands += len(ready)
        self.stats.events += len(events)
        self._forget()
        return events

    def _locate(self, *, final: bool) -> None:
        """Extend the tracks as far as the receptive field allows; edges of the stream are the only true edges."""
        plan = self.plan
        began = time.perf_counter()
        known = self._features.end
        limit = known if final else known - plan.right
        while self._tracks.end < limit:
            first = self._tracks.end
            stop = min(first + BLOCK, limit)
            low, high = max(first - plan.left, 0), min(stop + plan.right, known)
            class_track, actionness = self.backend.locate(self._features.slice(low, high))
            rows = np.concatenate([class_track, np.reshape(actionness, (-1, 1))], axis=1).astype(np.float32)
            rows = rows[first - low : stop - low]
            if rows.shape[1] != len(plan.labels) + 1 or len(rows) != stop - first:
                raise PunctumError(
                    "backend-shape", f"the locator returned {rows.shape}", f"[{stop - first}, {len(plan.labels) + 1}]"
                )
            if not np.isfinite(rows).all():
                raise PunctumError(
                    "tracks-not-finite", "the locator returned NaN or infinity", "finite tracks", "check the bundle"
                )
            self._tracks.append(rows)
            if self.offline and plan.post.gate == "video":
                self._video_track.append(rows[:, :-1])
        self.stats.locate_s += time.perf_counter() - began

    def _score(self, island: Island) -> list[Event]:
        plan = self.plan
        low = island.start if island.start_offset == -EDGE else max(island.start - plan.context, 0)
        high = island.end + 1 if island.end_offset == EDGE else min(island.end + plan.context + 1, self._tracks.end)
        rows = np.ascontiguousarray(self._tracks.slice(low, high))
        bounds = (island.start - low + island.start_offset, island.end - low + island.end_offset)
        segments, scores = score_island(
            self._features.slice(low, high),
            rows[:, :-1],
            rows[:, -1],
            island.label,
            bounds,
            plan.post,
            self.backend,
            stride_s=plan.stride_s,
        )
        complete = min(island.complete_at(plan.context) + plan.right + 1, self._features.end)
        emitted_at = self.start_s + complete * plan.stride_s
        label = plan.labels[island.label]
        events = []
        for rank, ((start, end), score) in enumerate(zip(segments, scores, strict=True)):
            begin = self.start_s + (low + float(start) + 0.5) * plan.stride_s
            finish = self.start_s + (low + float(end) + 0.5) * plan.stride_s
            events.append(
                Event(
                    stream=self.stream,
                    id=f"{self.stream}/{label}/{island.start}/{rank}",
                    revision=0,
                    phase="final",
                    label=label,
                    score=float(score),
                    start=begin,
                    end=finish,
                    emitted_at=emitted_at,
                    delay_s=emitted_at - finish,
                    bundle=plan.bundle_id,
                )
            )
        return events

    def _forget(self) -> None:
        """Keep only what an open or waiting island, or the next locator window, can still need."""
        plan = self.plan
        needed = [self._tracks.end - 1]
        needed += [finder.oldest for finder in self._finders if finder.oldest is not None]
        needed += [island.start for island in self._waiting]
        oldest = min(needed) - plan.context - 1
        self._features.drop_before(max(min(oldest, self._tracks.end - plan.left), self._features.base))
        self._tracks.drop_before(max(oldest, self._tracks.base))

    def video_scores(self) -> F32:
        """Class scores of the whole video for gate="video": mean of the highest eighth of each class track [C]."""
        tracks = (
            np.concatenate(self._video_track) if self._video_track else np.zeros((0, len(self.plan.labels)), np.float32)
        )
        if len(tracks) == 0:
            return np.zeros(len(self.plan.labels), np.float32)
        top = max(1, len(tracks) // 8)
        return np.asarray(np.sort(tracks, axis=0)[-top:].mean(axis=0), np.float32)
