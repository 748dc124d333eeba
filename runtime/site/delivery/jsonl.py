"""Reports appended to a file as JSON Lines, each once, also after a crash."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
from pathlib import Path

from ...errors import PunctumError
from ...sinks.lines import EventFile
from .sink import BaseSink, Batch, Outcome

# What may have been written before: one batch after a kill, more where a damaged database is older than the file.
COMPARED = 20_000  # reports that are compared with the end of the file
READ_BACK = 8 << 20  # bytes of that end

_log = logging.getLogger(__name__)
_NEIGHBOURS = 3  # rotated files that may hold the last lines before a crash


class JsonLines(BaseSink):
    """A file of JSON Lines; see `EventFile` for rotation, truncation, and full disks.

    A process that is killed between writing and recording leaves lines that the outbox still has. So the end of the
    file, and that of files that were rotated away, is read first, and lines that are there are not written again.

    Args:
        name: Name of the sink.
        path: The file.
    """

    kind = "jsonl"

    def __init__(self, name: str, path: Path) -> None:
        self.name, self._path = name, path
        self._file: EventFile | None = None
        self._seen: set[bytes] = set()
        self._compared = 0

    def deliver(self, batch: Batch) -> Outcome:
        file = self._open(batch)
        if file.deleted:
            _log.warning("sink %s: %s was deleted; a new one is begun", self.name, self._path)
            file.reopen()
        outcome = Outcome()
        rows = []
        for row, report in batch:
            if _key(report.event.stream, report.event.id, report.event.revision) in self._seen:
                outcome.delivered.append(row)
            else:
                rows.append((row, report))
        self._compared += len(batch)
        if self._compared > COMPARED:
            self._seen = set()
        file.detect_truncation()
        length = file.length
        try:
            file.write([report.event for _, report in rows])
            file.sync()
        except PunctumError as error:
            outcome.error = str(error)
            if not self._synced(file):
                file.cut(length)  # and all of them are written again: rather twice than not at all
                return outcome
            written = file.length - length
            for row, report in rows:
                written -= len(report.event.to_json().encode()) + 1
                if written < 0 or not file.regular:
                    break
                outcome.delivered.append(row)
            return outcome
        outcome.delivered += [row for row, _ in rows]
        return outcome

    @staticmethod
    def _synced(file: EventFile) -> bool:
        """Whether the lines before the one that failed are on the disk."""
        try:
            if not file.unsynced:
                file.sync()
        except PunctumError:
            return False
        return not file.unsynced

    def _open(self, batch: Batch) -> EventFile:
        if self._file is None:
            if _is_regular(self._path):
                size = sum(len(report.event.to_json().encode()) + 1 for _, report in batch) + READ_BACK
                for place in self._places():
                    self._seen |= _last_lines(place, size)
            self._file = EventFile(self._path)
        return self._file

    def _places(self) -> list[Path]:
        """The file, and the latest ones that were rotated away."""
        try:
            beside = [
                path
                for path in self._path.parent.iterdir()
                if path.name.startswith(f"{self._path.name}") and path != self._path and path.is_file()
            ]
            beside.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        except OSError:
            return [self._path]
        return [self._path, *beside[:_NEIGHBOURS]]

    def reopen(self) -> None:
        if self._file is not None:
            self._file.reopen()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return not path.exists()


def _last_lines(path: Path, size: int) -> set[bytes]:
    """Keys of the reports within the last `size` bytes of a file, and of one line before."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - size - (1 << 16), 0))
            lines = file.read().split(b"\n")
    except OSError:
        return set()
    found = set()
    for line in lines:
        with contextlib.suppress(
            ValueError, TypeError, KeyError, RecursionError
        ):  # cut off, or written by another program
            record = json.loads(line)
            found.add(_key(record["stream"], record["event"], record["revision"]))
    return found


def _key(stream: str, event: str, revision: int) -> bytes:
    """What identifies a report. An engine that computes it again may find another last digit of a score."""
    text = f"{stream}\0{event}\0{revision}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
