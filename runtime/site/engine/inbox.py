"""Records that wait until the engine has time for their stream."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from .journal import Record


@dataclass(slots=True)
class Inbox:
    """Records that wait to be processed, and what is done when there are too many.

    Attributes:
        policy: "wait": those of a source that can wait are all kept. "drop_oldest": beyond `bound` snippets the oldest
            are dropped, before they are journaled. "degrade": likewise, and chunks are marked as to be scored with
            reduced effort from half of the bound on, until none waits.
        bound: Snippets that may wait.
        most_bytes: Bytes that may wait, whatever the policy.
    """

    policy: str
    bound: int
    most_bytes: int = 64 << 20
    records: deque[tuple[int, Record]] = field(default_factory=deque)
    snippets: int = 0
    size: int = 0
    dropped: int = 0
    behind: bool = False
    cut: bool = False

    def put(self, seq: int, record: Record) -> list[int]:
        """Add a record. Returns the numbers of chunks that were dropped for it."""
        self.records.append((seq, record))
        self._count(record, 1)
        gone: list[int] = []
        while (self.policy != "wait" and self.snippets > self.bound) or self.size > self.most_bytes:
            indices = (k for k, (_, one) in enumerate(self.records) if one.rows is not None)
            index, newer = next(indices, None), next(indices, None)
            if index is None or newer is None:  # the newest is kept, whatever its size
                break
            old_seq, old = self.records[index]
            del self.records[index]
            self._count(old, -1)
            self.dropped += 0 if old.rows is None else len(old.rows)
            gone.append(old_seq)
            self.cut = True
        if self.policy == "degrade" and self.snippets > self.bound / 2:
            self.behind = True
        return gone

    def take(self) -> tuple[int, Record]:
        """The oldest record."""
        seq, record = self.records.popleft()
        self._count(record, -1)
        if record.rows is not None and (self.behind or self.cut):
            marks: dict[str, Any] = {"degraded": True} if self.behind else {}
            if self.cut:
                marks, self.cut = {**marks, "reason": "overflow"}, False
            record = Record({**record.header, **marks}, record.rows)
        if not self.records:
            self.behind = False
        return seq, record

    def _count(self, record: Record, sign: int) -> None:
        if record.rows is not None:
            self.snippets += sign * len(record.rows)
            self.size += sign * record.rows.nbytes
