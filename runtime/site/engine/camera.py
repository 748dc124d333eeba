"""One camera of an engine process: its stream, what waits for it, and what is stored of it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...events.event import Event
from ...service.event_filter import EventFilter
from ...text.display import counted
from ..child import Every
from .inbox import Inbox
from .inputs import record_of
from .journal import Record
from .pools import Pools
from .snapshot import Cursor
from .storage import StreamFolder
from .stream import Stream, advance
from .tracks import TrackHistory

_log = logging.getLogger(__name__)
MOST_WARNINGS = 10
OVERDUE = 3  # intervals after which a snapshot is so late that the stream waits for it
HOLD_S = 5.0  # seconds that a stream waits for a snapshot, or for its reports to be stored, at most

Send = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """The message "open", checked.

    Attributes:
        camera: Name of the camera, and of its folder.
        stream: Name of the stream in events.
        run_id: Run id of a stream that begins.
        max_delay_s: Of provisional events; None: final events only.
        policy: What happens when features arrive faster than they are processed.
        max_queue_s: Seconds of media that may wait, unless the policy is "wait".
        event_filter: Which events are reported.
    """

    camera: str
    stream: str
    run_id: str
    max_delay_s: float | None
    policy: str
    max_queue_s: float
    event_filter: EventFilter = field(default_factory=EventFilter)


class EngineCamera:
    """Takes the messages of one camera.

    Args:
        opening: How it was opened.
        bundle_id: Id of the bundle.
        pools: The sessions.
        folder: Folder of the states of this engine.
        report: Sends reports, and returns the number of the message.
        send: Sends a message.
        snapshot_every_s: Seconds between snapshots.
    """

    def __init__(
        self,
        opening: Opening,
        bundle_id: str,
        pools: Pools,
        folder: Path,
        *,
        report: Callable[[str, Sequence[Event]], int],
        send: Send,
        snapshot_every_s: float,
    ) -> None:
        self.name, self.opening = opening.camera, opening
        self.closing = False
        self.restored = False
        self.last_seq = -1  # of the last message with reports
        self.tracks = TrackHistory()
        self.left_s: float | None = None
        """After a handover: media time from which on another version of the bundle reports."""
        self._leave: tuple[float, float] | None = None
        self._bundle_id, self._pools, self._send, self._report_all = bundle_id, pools, send, report
        self._every = Every(snapshot_every_s)
        self._every.due()
        self._late = 0
        self._held_from: float | None = None
        self._warnings = 0
        self._told = False  # that nothing is stored
        self._unsaved = 0  # records since the last snapshot
        self._replay: deque[Record] = deque()
        bound = max(round(opening.max_queue_s / pools.localizer.plan.stride_s), 1)
        self._inbox = Inbox(opening.policy, bound)
        self._folder = StreamFolder(folder / opening.camera, opening.camera)
        self.stream = self._load()

    def _load(self) -> Stream:
        """The stored stream, or a new one."""
        opening, pools = self.opening, self._pools
        stored = self._folder.load(self._bundle_id)
        if stored is not None:
            try:
                base = stored.snapshot
                cursor = Cursor.model_validate(stored.first.header["cursor"]) if base is None else base.cursor
                name = str(stored.first.header["stream"]) if base is None else base.stream
                stream = self._stream(name, cursor.model_copy(deep=True))
                if base is not None:
                    stream.restore(base)
                if name != opening.stream:
                    raise InputError("snapshot-options", f"The stream was named {name[:80]!r}", f"{opening.stream!r}")
                self._check(stored.records)
            except (InputError, KeyError, ValueError) as error:
                pools.abandon(self.name, "restored")
                self._folder.close()
                self._folder.set_aside(error)
            else:
                self.restored = True
                self._replay = deque(stored.records)
                self._unsaved = len(stored.records)
                return stream
        cursor = Cursor(run_id=opening.run_id, max_delay_s=opening.max_delay_s)
        first = {"type": "stream", "camera": self.name, "stream": opening.stream, "bundle_id": self._bundle_id}
        self._folder.begin(Record({**first, "cursor": cursor.model_dump()}))
        return self._stream(opening.stream, cursor)

    def _check(self, records: Sequence[Record]) -> None:
        dim = self._pools.localizer.plan.dim
        if any(one.rows is not None and one.rows.shape[1:] != (dim,) for one in records):
            raise InputError("snapshot-damaged", "The journal has features of another dimension")

    def _stream(self, name: str, cursor: Cursor) -> Stream:
        return Stream(self.name, name, cursor, self._pools, self.opening.event_filter, self._report, self._declare)

    def announce(self) -> None:
        """Send "opened": up to where the stream is stored. What is stored is processed again after that."""
        cursor = self.stream.cursor.model_copy(deep=True)
        for record in self._replay:
            advance(cursor, record, self.stream.stride_s)
        if cursor.max_delay_s != self.opening.max_delay_s:
            renew = Record({"type": "renew", "max_delay_s": self.opening.max_delay_s})
            self._inbox.put(-1, renew)
            advance(cursor, renew, self.stream.stride_s)
        self._send(
            {
                "type": "opened",
                "camera": self.name,
                "now_s": cursor.now_s,
                "position": cursor.position,
                "run_id": cursor.present_run,
                "restored": self.restored,
            }
        )
        if self._replay:
            _log.info("%s: %s of the journal are processed again", self.name, counted(len(self._replay), "record"))

    def receive(self, header: dict[str, Any], payload: bytes) -> None:
        """Take a message about the stream."""
        seq = header.get("seq", -1) if header["type"] == "chunk" else -1
        if self.closing:
            self._taken(seq)
            return
        try:
            record = record_of(header, payload, dim=self._pools.localizer.plan.dim)
        except InputError as error:
            self.stream.counts.bad += 1
            self._warn(f"skipped [{error.code}] {error.given}")
            self._taken(seq)
            return
        for dropped in self._inbox.put(seq, record):
            self._taken(dropped)

    def close(self) -> None:
        """No further features come: end the stream after what waits."""
        if not self.closing:
            self._inbox.put(-1, Record({"type": "end"}))
            self.closing = True

    def hand_over(self, *, from_s: float, most_s: float) -> None:
        """Another version of the bundle takes over: end the stream between two actions.

        Args:
            from_s: Media time from which on the other version reports correctly.
            most_s: Seconds of media after that, after which it ends all the same.
        """
        if not self.closing and self._leave is None:
            self._leave = (from_s, from_s + most_s)

    def _end_between_actions(self) -> None:
        """End the stream if a handover is due and no action is unfinished. The other version has what waits, too."""
        now_s = self.stream.cursor.now_s
        if self._leave is None or self.closing or self._replay:
            return
        from_s, by_s = self._leave
        if now_s is not None and now_s - self._pools.localizer.look_ahead_s < from_s:
            return
        session = self._pools.session(self.name)
        if now_s is not None and session is not None:
            state = session.state()
            unfinished = any(start is not None for start in state.open) or state.pending or state.actions
            if unfinished and now_s < by_s:
                return
        look_ahead_s = self._pools.localizer.look_ahead_s
        self.left_s = 0.0 if now_s is None else max(now_s - look_ahead_s, 0.0)
        self.closing = True
        while self._inbox.records:
            self._taken(self._inbox.take()[0])
        self._send({"type": "leaving", "camera": self.name, "at_s": self.left_s})
        record = Record({"type": "end"})
        self._folder.append(record)
        self.stream.apply(record)

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not (self._replay or self._inbox.records or self.stream.busy)

    @property
    def replaying(self) -> bool:
        """Whether the journal is being processed again."""
        return bool(self._replay)

    def feed(self, committed: int) -> bool:
        """Give the engine the next chunk if it has none of this stream. Returns whether something was done.

        Raises:
            PunctumError: The engine failed at the end of a stream. Call it again.
        """
        did = False
        if not self.stream.busy:
            self._end_between_actions()
        while not self.stream.busy:
            if self._replay:
                self.stream.apply(self._replay[0])
                self._replay.popleft()
                did = True
                continue
            if not self._inbox.records or self._held(committed):
                break
            self._take()
            did = True
        return did

    def _held(self, committed: int) -> bool:
        """Whether to wait, so that a stream with many reports comes to a snapshot."""
        if self._late < OVERDUE or self.last_seq <= committed:
            self._held_from = None
            return False
        now = time.monotonic()
        self._held_from = now if self._held_from is None else self._held_from
        if now - self._held_from < HOLD_S:
            return True
        self._late, self._held_from = 0, None
        return False

    def _take(self) -> None:
        seq, waiting = self._inbox.take()
        record = self.stream.fits(waiting)
        if record is None:
            if waiting.header.get("position") is None:  # a recording is read again from where the slowest engine was
                self._warn("skipped a chunk that came twice, or out of order")
        else:
            self._folder.append(record)
            self._unsaved += 1
        self._taken(seq)
        if record is not None:
            try:
                self.stream.apply(record)
            except Exception:
                self._replay.append(record)  # it is stored, and must be applied before the next
                raise

    def _taken(self, seq: int) -> None:
        if isinstance(seq, int) and seq >= 0:
            self._send({"type": "taken", "camera": self.name, "seq": seq})

    def ended_by_engine(self) -> str:
        """Why the engine gave the stream up; empty if it did not. The next chunk begins another run."""
        if self.stream.cursor.now_s is None or self._pools.is_open(self.name):
            return ""
        reason = self._pools.failure(self.name)
        if reason and reason not in ("end of stream", "restored"):
            record = Record({"type": "failed", "reason": reason})
            self._folder.append(record)
            self._unsaved += 1
            advance(self.stream.cursor, record, self.stream.stride_s)
            self._pools.forget(self.name)
            return reason
        return ""

    def maintain(self, committed: int, *, final: bool = False) -> None:
        """Write the snapshot when it is due. committed: number of the last message with reports that is stored.

        Args:
            committed: As above.
            final: Write it in any case, if it can be.
        """
        if not self._unsaved and not self._folder.trouble:
            return
        if not final and not self._late and not self._every.due():
            return
        if self.replaying or self.last_seq > committed or self.closing:
            if self._every.due():
                self._late += 1
            self._late = max(self._late, 1)
            return
        snapshot = self.stream.snapshot(self._bundle_id, self._folder.next_generation)
        if snapshot is None:
            self._late = max(self._late, 1)
            return
        if self._folder.save(snapshot):
            self._unsaved = 0
        self._late = 0
        self._every.due()
        self._tell_trouble()

    def sync(self) -> None:
        """Have the journal on the disk."""
        self._folder.sync()
        self._tell_trouble()

    def _tell_trouble(self) -> None:
        trouble = self._folder.trouble
        if bool(trouble) != self._told:
            self._told = bool(trouble)
            state = "not-stored" if trouble else "stored"
            self._send({"type": "state", "camera": self.name, "state": state, "why": trouble})

    def closed(self, committed: int) -> bool:
        """Whether the stream has ended and all its reports are stored. Its folder is then removed."""
        if not self.closing or not self.idle or self.last_seq > committed:
            return False
        self._folder.remove()
        return True

    def release(self) -> None:
        """Close the files."""
        self._folder.sync()
        self._folder.close()

    def stats(self, now_unix: float) -> dict[str, Any]:
        """Counters for the supervisor."""
        counts, session = self.stream.counts, self._pools.session(self.name)
        oldest = next((one.header.get("arrival_unix") for _, one in self._inbox.records if one.rows is not None), None)
        return {
            "snippets": counts.snippets,
            "dropped": counts.dropped,
            "overflowed": self._inbox.dropped,
            "gaps": counts.gaps,
            "events": counts.events,
            "duplicates": counts.duplicates,
            "bad": counts.bad,
            "runs": self.stream.cursor.runs,
            "now_s": self.stream.cursor.now_s,
            "lag_s": 0.0 if oldest is None else round(max(now_unix - oldest, 0.0), 3),
            "queue": self._inbox.snippets,
            "replaying": len(self._replay),
            "degraded": self._inbox.behind,
            "state_bytes": 0 if session is None else session.state_bytes,
            "journal_bytes": self._folder.journal_bytes,
            "not_stored": self._folder.missed,
        }

    def _report(self, events: Sequence[Event]) -> None:
        if not self.replaying:
            # What is reported is stored for good at once. After a loss of power, the features behind it must be there
            # as well: else other features would get the same ids.
            self._folder.sync()
        self.last_seq = self._report_all(self.name, events)

    def _declare(self, gap: dict[str, Any]) -> None:
        self._send({"type": "gaps", "camera": self.name, **gap, "replayed": self.replaying})

    def _warn(self, text: str) -> None:
        self._warnings += 1
        if self._warnings <= MOST_WARNINGS:
            more = "; further ones are only counted" if self._warnings == MOST_WARNINGS else ""
            _log.warning("%s: %s%s", self.name, text, more)
