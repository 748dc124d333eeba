"""Events as JSON Lines: to standard output, flushed event by event, or appended to a file that survives crashes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, PunctumError
from ..events import SCHEMA, Event

_START = f'{{"schema":"{SCHEMA}"'.encode()
_BLOCK = 1 << 16


class StandardOutput:
    """One line an event, flushed at once, so that a reader behind a pipe sees it."""

    name = "standard output"

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            try:
                sys.stdout.write(event.to_json() + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                # The interpreter flushes once more when it ends; that must not fail again.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise
            except OSError as error:
                raise PunctumError(
                    "events-write-failed", f"cannot write events to standard output ({error})", "a reader, free space"
                ) from error

    def close(self) -> int:
        return 0


class EventFile:
    """Appends events to a file; `final` and `retracted` are on the disk (fsync) before `write` returns.

    An unfinished last line, left by a crash, is cut off on opening. When the disk is full the line that did not fit is
    taken back and PunctumError "events-write-failed" raised: the file holds whole lines at any time. One writer a
    file: a second one gets InputError "events-in-use".
    """

    def __init__(self, path: Path, *, keep_bytes: int | None = None) -> None:
        """keep_bytes: cut the file to this length first (what a snapshot knew of); it must be at least that long."""
        self.path, self.name = path, str(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(
                "events-file", f"cannot open {path} ({error})", "a writable file", "set --out to another path"
            ) from None
        try:
            self._lock()
            self.length = self._repair(keep_bytes)
        except BaseException:
            os.close(self._handle)
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "events-in-use", f"another process writes {self.path}", "one writer a file", "set --out to another path"
            ) from None
        except OSError:
            return  # a file system without locks

    def _repair(self, keep_bytes: int | None) -> int:
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, len(_START), 0) != _START[:size]:
            raise InputError(
                "events-file",
                f"{self.path} holds something else than events",
                "a new file, or one of events",
                "set --out to another path",
            )
        length = self._last_newline(size) + 1
        if keep_bytes is not None:
            if length < keep_bytes:
                raise InputError(
                    "events-shorter",
                    f"{self.path} has {length} bytes of whole lines, the snapshot was made after {keep_bytes}",
                    "the event file that belongs to the snapshot",
                    "remove the snapshot to begin anew",
                )
            length = keep_bytes
        if length < size:
            os.ftruncate(self._handle, length)
            os.fsync(self._handle)
        return length

    def _last_newline(self, size: int) -> int:
        """Offset of the last newline; -1 without one."""
        stop = size
        while stop > 0:
            start = max(stop - _BLOCK, 0)
            found = os.pread(self._handle, stop - start, start).rfind(b"\n")
            if found >= 0:
                return start + found
            stop = start
        return -1

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            self._append((event.to_json() + "\n").encode())
        if any(event.phase in ("final", "retracted") for event in events):
            self.sync()

    def _append(self, line: bytes) -> None:
        done = 0
        try:
            while done < len(line):
                done += os.pwrite(self._handle, line[done:], self.length + done)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, self.length)
            raise self._full(error) from error
        self.length += len(line)

    def sync(self) -> None:
        """Everything written so far is on the disk when this returns."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise self._full(error) from error

    def _full(self, error: OSError) -> PunctumError:
        return PunctumError(
            "events-write-failed",
            f"cannot write events to {self.path} ({error})",
            "free space in a writable folder",
            f"free space and run again; the {self.length} bytes of whole lines in it are valid",
        )

    def close(self) -> int:
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._handle)
            os.close(self._handle)
            self._handle = -1
        return 0
