"""The state machine of one stream. Live and offline use the same code: an offline run pushes everything, then flushes.

What happens at a push:

1. The chunk is checked (`chunk`). A chunk that is refused has changed nothing.
2. If it begins later than expected, the stream has a gap. The present section ends: every open island is closed and
   scored, events that reach the gap are marked `interrupted`, and a new section begins (`section`).
3. The rows are added to the section. Most pushes of a live stream end here.
4. Each time the section reaches a multiple of `hop` snippets, it advances:

   a. `locate`: the locator extends the class tracks as far as its receptive field allows.
   b. `islands`: islands that have ended are found in the new part of the tracks.
   c. `score`: islands whose context is known are scored. Their segments become final events (`emit`).
   d. `provisional`: with `live`, the other islands are scored on what is known so far, and `reporter` decides which
      provisional events to emit.
   e. Rows that nothing can read any more are dropped.

The hop is a grid on the media clock, so events do not depend on how the stream was chunked.

The steps are in `processor`. They do not call the engine but yield jobs (`jobs`), which lets a pool serve many sessions
with one run. If a step fails, everything that the call has changed is undone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..arguments import check_number, check_text, check_type
from ..errors import InputError
from ..events.event import Event
from ..events.run_id import check_run_id
from ..features.features import FeatureRows
from ..features.media_clock import check_media_time
from ..live import LiveOptions
from .chunk import check_chunk, check_lost
from .dispatch import drive
from .engine import Backend
from .failed_rows import FailedRows
from .jobs import Steps
from .plan import Plan, Stats, check_live
from .post import class_scores
from .processor import StreamProcessor
from .processor_state import load_state, state_of
from .state import SessionState, check_state

F32 = npt.NDArray[np.float32]


class Session:
    """One stream. Feed it with `push` and end it with `flush`; both return the events to report.

    For any chunking of the same features the events are the same: final events, and with `live` provisional ones too.
    Not thread-safe: use a session from one thread at a time.

    A call that raises leaves the session unchanged, whatever failed. Repeat the call; nothing is lost or reported
    twice.

    Attributes:
        plan: The configuration, taken from a bundle.
        backend: The engine.
        offline: The stream is a whole recording.

    Example:
        >>> import numpy as np
        >>> from punctum.runtime import Bundle, Localizer
        >>> session = Localizer(Bundle.load("default")).session(stream="cam-1")
        >>> events = session.push(np.zeros((40, session.plan.dim), np.float32)) + session.flush()
        >>> all(event.phase == "final" for event in events)
        True
    """

    __slots__ = ("_failed", "_stream", "backend", "offline", "plan")

    def __init__(
        self,
        plan: Plan,
        backend: Backend,
        *,
        stream: str = "",
        start_s: float = 0.0,
        offline: bool = False,
        live: LiveOptions | None = None,
        run_id: str = "",
        degraded: bool = False,
    ) -> None:
        """Begin a stream.

        Args:
            plan: The configuration.
            backend: The engine.
            stream: Name of the stream.
            start_s: Media time of the first snippet in seconds.
            offline: The stream is a whole recording; allows `gate="video"`.
            live: When to report provisional events; None: final events only.
            run_id: Part of every event id, so that ids of a stream that was started again differ from earlier ones.
                Without it ids depend on the media alone.
            degraded: Score with reduced effort; see the property.

        Raises:
            InputError: `start_s` or `run_id` is invalid, or the bundle can only process whole recordings.
        """
        if not offline:
            check_live(plan)
        check_text("stream", stream)
        check_number("start_s", start_s)
        check_type("live", live, LiveOptions, "LiveOptions", optional=True)
        check_media_time(start_s, "a stream that starts", code="start")
        check_run_id(run_id)
        self.plan, self.backend, self.offline = plan, backend, offline
        self._stream = StreamProcessor(
            plan,
            stream=stream,
            start_s=start_s,
            live=live,
            run_id=run_id,
            keep_tracks=plan.post.gate == "video",
        )
        self._stream.degraded = degraded
        self._failed: FailedRows | None = None

    @classmethod
    def from_state(cls, plan: Plan, backend: Backend, state: SessionState) -> Session:
        """A session that continues from `Session.state`, possibly on another engine.

        Raises:
            InputError: The parts of the state do not fit together.
        """
        session = cls(plan, backend, stream=state.stream, start_s=state.start_s, live=state.live, run_id=state.run_id)
        check_state(state, plan)
        load_state(session._stream, state)
        return session

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"at {self.now_s:.3f} s"
        return f"Session(stream={self.stream!r}, bundle={self.plan.bundle_id!r}, {state})"

    @property
    def stream(self) -> str:
        """Name of the stream, part of every event."""
        return self._stream.stream

    @property
    def live(self) -> LiveOptions | None:
        """When to report provisional events; None: final events only."""
        return self._stream.live

    @property
    def run_id(self) -> str:
        """Part of every event id."""
        return self._stream.run_id

    @property
    def resets(self) -> int:
        """Number of resets, part of every event id if there is a run id."""
        return self._stream.resets

    @property
    def stats(self) -> Stats:
        """Statistics since the beginning or the last reset."""
        return self._stream.stats

    @property
    def degraded(self) -> bool:
        """Set it to score with reduced effort: fewer thresholds, no center scorer. Events are marked."""
        return self._stream.degraded

    @degraded.setter
    def degraded(self, degraded: bool) -> None:
        self._stream.degraded = degraded

    @property
    def start_s(self) -> float:
        """Media time at which the stream, or its part after the last gap, begins."""
        return self._stream.section.start_s

    @property
    def now_s(self) -> float:
        """Media time up to which features were taken."""
        return self._stream.section.now_s

    @property
    def hop(self) -> int:
        """Snippets between two runs of the locator."""
        return self._stream.hop

    @property
    def closed(self) -> bool:
        """Whether the stream has ended."""
        return self._stream.closed

    @property
    def look_ahead_s(self) -> float:
        """Seconds of media after the end of an action's island that a final event may need."""
        return self.plan.look_ahead_s + (self.hop - 1) * self.plan.stride_s

    @property
    def state_bytes(self) -> int:
        """Memory held for this stream, in bytes."""
        return self._stream.section.nbytes

    def push(
        self, features: FeatureRows, *, at: float | None = None, lost: Sequence[tuple[int, int]] = ()
    ) -> list[Event]:
        """Take the next features and return the events to report.

        Args:
            features: [n, D] or `Features`; n may be 0.
            at: Media time of the first snippet in seconds; by default that of `Features` if it is not 0, else the end
                of the previous snippet. If it is later than expected by more than half a snippet, the stream has a
                gap: actions still running end there, as `interrupted`.
            lost: Missing video frames, as pairs (row of the chunk, number of frames). Events that touch such a row
                count them as `dropped`.

        Raises:
            InputError: Wrong dimension, dtype or stride, NaN, lost frames outside the chunk, or a time before the end
                of the previous snippet.
            EngineError: The engine failed. Push the same rows again. Rows that are not pushed again count as a gap.
        """
        rows, at = self.check(features, at)
        lost = () if lost is None else check_lost(lost, len(rows))
        failed = self._failed
        if failed is None and self._stream.only_buffers(len(rows), at, lost):
            return self._stream.buffer(rows)
        repeats = failed is not None and at is None and failed.begins_like(rows)
        if failed is not None and at is None and len(rows):
            begin = failed.at if repeats else failed.end_s(self.plan.stride_s)
            at = begin if begin > self.now_s + 0.5 * self.plan.stride_s else None
        try:
            events = drive(self.push_steps(rows, at, lost), self.backend)
        except BaseException:
            if len(rows) > 0:
                self._failed = FailedRows(self.now_s if at is None else at, rows.copy())
            raise
        if failed is not None and (len(rows) or at is not None):
            rest = failed.rows[len(rows) :]
            self._failed = FailedRows(self.now_s, rest) if repeats and len(rest) else None
        return events

    def flush(self) -> list[Event]:
        """End the stream and return the remaining events. The session takes no features after this."""
        return drive(self.flush_steps(), self.backend)

    def gap(self, at: float) -> list[Event]:
        """Declare that no features come before media time `at`. Actions still running end as `interrupted`."""
        return self.push(np.zeros((0, self.plan.dim), np.float32), at=at)

    def abandon(self) -> list[Event]:
        """End the stream without the engine, which has failed: retract open reports; other actions are lost."""
        return self._stream.abandon()

    def reset(self, *, start_s: float = 0.0) -> None:
        """Forget the stream but keep the options, and begin a new one at `start_s`. Open reports are dropped."""
        check_media_time(start_s, "a stream that starts", code="start")
        self._failed = None
        self._stream.resets += 1
        self._stream.begin(start_s)

    def snapshot(self) -> bytes:
        """The state as bytes, for `Localizer.restore` in another process. Versioned and checked, no pickle."""
        from .snapshot import encode

        return encode(self.state(), self.plan)

    def state(self) -> SessionState:
        """The state as a value; see `from_state`."""
        return state_of(self._stream)

    def video_scores(self) -> F32:
        """Scores [C] of an offline stream for `gate="video"`: the mean of the highest eighth of each class track."""
        return class_scores(self._stream.class_tracks, len(self.plan.labels))

    def check(self, features: FeatureRows, at: float | None = None) -> tuple[F32, float | None]:
        """The checks of `push`: rows float32 [n, D], and the media time of the first or None. Changes nothing."""
        stream = self._stream  # its attributes are read directly: this runs at every push
        if stream.closed:
            raise _closed()
        return check_chunk(features, at, self.plan, now_s=stream.section.now_s if stream.started else None)

    def push_steps(self, rows: F32, at: float | None, lost: Sequence[tuple[int, int]] = ()) -> Steps[list[Event]]:
        """`push` of checked rows as steps; see `jobs`. If they are closed before their end, nothing has changed."""
        return self._stream.push(rows, at, lost)

    def flush_steps(self) -> Steps[list[Event]]:
        """`flush` as steps."""
        if self.closed:
            raise _closed()
        failed = self._failed  # rows that were not pushed again
        missing = None if failed is None else failed.end_s(self.plan.stride_s)
        events = yield from self._stream.flush(missing_until_s=missing)
        self._failed = None
        return events


def _closed() -> InputError:
    return InputError("session-closed", "The session was flushed and takes no more features", "", "start a new session")
