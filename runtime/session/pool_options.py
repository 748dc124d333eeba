"""Options and counters of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..arguments import SIZE_LIMIT, check_number, check_size, check_text, check_type
from ..errors import InputError
from ..events.run_id import check_run_id
from ..features.media_clock import MAX_MEDIA_S
from ..live import LiveOptions
from ..text.display import shown

MOST_WORKERS = 256
Policy = Literal["wait", "drop_oldest", "degrade"]


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Limits of a pool, and what it does when a stream exceeds them.

    Attributes:
        policy: What happens when features arrive faster than they are processed; see `pool`.
        max_queue_s: Seconds of media that may wait in the queue of one stream.
        deadline_s: Seconds from `put` to the end of the step that processes a chunk. Later chunks are counted in
            `deadline_missed`. None: no deadline.
        max_streams: Maximum number of open streams.
        turn_s: Seconds of media that one stream is served in a step, so that a long queue does not starve others.
        live: When to report provisional events; None: final events only.
        workers: Threads that run the engine. With two or more, sessions are advanced while the engine runs for others,
            and its methods are called from several threads at once. On a CPU: one for each core, and an engine with
            `threads=1`.
        run_id: Part of every event id, see `Session`. A stream name that is opened again gets a counter after it.

    Raises:
        InputError: A value is out of range.

    Example:
        >>> from punctum.runtime.session import PoolOptions
        >>> PoolOptions(policy="drop_oldest", max_queue_s=2.0).max_streams
        1024
    """

    policy: Policy = "wait"
    max_queue_s: float = 10.0
    deadline_s: float | None = None
    max_streams: int = 1024
    turn_s: float = 1.0
    live: LiveOptions | None = None
    run_id: str = ""
    workers: int = 1

    def __post_init__(self) -> None:
        check_run_id(self.run_id)
        check_text("policy", self.policy)
        check_type("live", self.live, LiveOptions, "LiveOptions", optional=True)
        for name in ("workers", "max_streams"):
            check_size(name, getattr(self, name), least=-SIZE_LIMIT)
        for name in ("max_queue_s", "turn_s", "deadline_s"):
            check_number(name, getattr(self, name), optional=name == "deadline_s")
        if self.policy not in ("wait", "drop_oldest", "degrade"):
            raise InputError(
                "pool-policy",
                f"There is no policy {shown(repr(self.policy), 80)}",
                "wait, drop_oldest, degrade",
                "set `policy`",
            )
        for name in ("max_queue_s", "turn_s", "deadline_s"):
            value = getattr(self, name)
            if value is None and name == "deadline_s":
                continue
            if not 0 < float(value) <= MAX_MEDIA_S:
                raise InputError(
                    "pool-options",
                    f"`{name}` is {value}",
                    f"a positive number of seconds, at most {MAX_MEDIA_S:.0f}",
                    f"set `{name}`",
                )
        if not 1 <= self.workers <= MOST_WORKERS:
            raise InputError(
                "pool-options",
                f"`workers` is {self.workers}",
                f"1 to {MOST_WORKERS}",
                "set `workers`: one for each core",
            )
        if self.max_streams < 1:
            raise InputError("pool-options", f"`max_streams` is {self.max_streams}", "1 or more", "set `max_streams`")


@dataclass(slots=True)
class StreamStats:
    """Counters of one stream in a pool.

    Attributes:
        snippets: Snippets processed.
        dropped_snippets: Snippets dropped from the queue.
        deadline_missed: Chunks processed after their deadline.
        events: Final events.
        degraded_turns: Turns with reduced scoring.
        lag_s: Seconds that the oldest snippet in the queue has waited.
        max_lag_s: The longest that a chunk has waited until it was processed.
        queue_depth: Snippets in the queue.
        state_bytes: Memory held for the stream.
        ended: Why the stream ended; empty while it is open.
        engine_failures: How often the engine failed while it served this stream, repeated attempts included.
    """

    snippets: int = 0
    dropped_snippets: int = 0
    deadline_missed: int = 0
    events: int = 0
    degraded_turns: int = 0
    lag_s: float = 0.0
    max_lag_s: float = 0.0
    queue_depth: int = 0
    state_bytes: int = 0
    ended: str = ""
    engine_failures: int = 0
