"""Events as JSON Lines: to standard output, flushed event by event, or appended to a file that survives crashes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, PunctumError
from ..events.event import SCHEMA, Event
from ..files.atomic import BINARY, destination, write_all
from ..files.outputs import check_standard_output, to_standard_output
from ..text.display import counted

_START = f'{{"schema":"{SCHEMA}"'.encode()
_BLOCK = 1 << 16
_TAIL = 4096  # bytes by which a file is recognised


class StandardOutput:
    """One line an event, flushed at once, so that a reader behind a pipe sees it. Raises PunctumError where it is
    closed."""

    name = "standard output"

    def __init__(self) -> None:
        check_standard_output()

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            to_standard_output(event.to_json() + "\n")

    def close(self) -> int:
        return 0


class EventFile:
    """Appends events to a file; `final` and `retracted` are on the disk (fsync) before `write` returns.

    An unfinished last line, left by a crash, is cut off on opening. When the disk is full the line that did not fit is
    taken back and PunctumError "events-write-failed" raised: the file holds whole lines at any time. One writer a
    file: a second one gets InputError "events-in-use".

    The file may be rotated. `reopen` goes on in a new file after the old one was renamed. A file that was truncated
    under the writer (`copytruncate`) is written on from its new end, and `truncated` says so. A named pipe, a device
    or a descriptor is written to as it is: nothing is cut, locked or reopened there.
    """

    def __init__(self, path: Path, *, keep_bytes: int | None = None) -> None:
        """keep_bytes: cut the file to this length first (what a snapshot knew of); it must be at least that long."""
        self.path, self.name = path, str(path)
        self.length, self.truncated, self.regular = 0, False, True
        self._handle = self._opened()
        if not self.regular:
            return
        try:
            self._lock(self._handle)
            self.length = self._repair(self._handle, keep_bytes)
        except BaseException:
            os.close(self._handle)
            raise

    def _opened(self) -> int:
        try:
            target, descriptor = destination(self.path)
            if descriptor is not None:
                self.regular = False
                return os.dup(descriptor)
            if target.exists() and not target.is_file() and not target.is_dir():
                self.regular = False
                if stat.S_ISBLK(target.stat().st_mode):
                    raise OSError("a block device")
                return os.open(target, os.O_WRONLY | BINARY)
            target.parent.mkdir(parents=True, exist_ok=True)
            # Every write goes to the end as it is then: one at a remembered place would leave a hole of NUL bytes in
            # a file that was truncated in between.
            return os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, 0o666)
        except OSError as error:
            raise InputError(
                "events-file", f"cannot open {self.path} ({error})", "a writable file", "set --out to another path"
            ) from None

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "events-in-use", f"another process writes {self.path}", "one writer a file", "set --out to another path"
            ) from None
        except OSError:
            return  # a file system without locks

    def _repair(self, handle: int, keep_bytes: int | None) -> int:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, len(_START), 0) != _START[:size]:
            raise InputError(
                "events-file",
                f"{self.path} holds something else than events",
                "a new file, or one of events",
                "set --out to another path",
            )
        length = _last_newline(handle, size) + 1
        if keep_bytes is not None:
            if length < keep_bytes:
                raise InputError(
                    "events-shorter",
                    f"{self.path} has {counted(length, 'byte')} of whole lines, and the snapshot was made after "
                    f"{keep_bytes}",
                    "the event file that belongs to the snapshot",
                    "remove the snapshot to begin anew",
                )
            length = keep_bytes
        if length < size:
            os.ftruncate(handle, length)
            os.fsync(handle)
        return length

    @property
    def inode(self) -> int:
        """What identifies the file whatever it is called; 0 where there is none."""
        return os.fstat(self._handle).st_ino if self.regular else 0

    def tail(self) -> str:
        """Digest of the last bytes that were written, by which `tail_of` recognises the file."""
        return tail_of(self._handle, self.length)

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            self._append((event.to_json() + "\n").encode())
        if any(event.phase in ("final", "retracted") for event in events):
            self.sync()

    def _append(self, line: bytes) -> None:
        try:
            if not self.regular:
                write_all(self._handle, line)
                return
            self.look()
            write_all(self._handle, line)
        except BrokenPipeError:
            raise
        except OSError as error:
            with contextlib.suppress(OSError):
                if self.regular and os.fstat(self._handle).st_size > self.length:
                    os.ftruncate(self._handle, self.length)
            raise self._full(error) from error
        self.length += len(line)

    def look(self) -> None:
        """Notice that the file was truncated, as `copytruncate` does, or written by somebody else."""
        if not self.regular:
            return
        size = os.fstat(self._handle).st_size
        if size == self.length:
            return
        self.truncated = self.truncated or size < self.length
        self.length = _last_newline(self._handle, size) + 1
        if self.length < size:
            os.ftruncate(self._handle, self.length)  # half a line

    def reopen(self) -> bool:
        """Go on in the file that the path now names, after a rotation by renaming. True: it is another one than before.

        Where that fails the old file is kept. Raises InputError, PunctumError.
        """
        if not self.regular or self._is_current():
            return False
        self.sync()
        handle = self._opened()
        try:
            if not self.regular:
                self.regular = True
                raise InputError(
                    "events-file",
                    f"{self.path} is no regular file any more",
                    "a file",
                    "rename it, and send SIGHUP again",
                )
            self._lock(handle)
            length = self._repair(handle, None)
        except BaseException:
            os.close(handle)
            raise
        os.close(self._handle)
        self._handle, self.length, self.truncated = handle, length, False
        return True

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._handle))  # noqa: PTH116 - beside fstat
        except OSError:
            return False

    def sync(self) -> None:
        """Everything written so far is on the disk when this returns."""
        if not self.regular:
            return
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise self._full(error) from error

    def _full(self, error: OSError) -> PunctumError:
        valid = (
            f"the whole lines in it, {counted(self.length, 'byte')}, are valid"
            if self.regular
            else "it is no regular file"
        )
        return PunctumError(
            "events-write-failed",
            f"cannot write events to {self.path} ({error})",
            "free space in a writable folder",
            f"free space and run again; {valid}",
        )

    def close(self) -> int:
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._handle)
            os.close(self._handle)
            self._handle = -1
        return 0


def tail_of(handle: int, length: int) -> str:
    """Digest of the last bytes before `length` in an open file; empty where the file is shorter, or length is 0."""
    start = max(length - _TAIL, 0)
    data = os.pread(handle, length - start, start)
    return hashlib.sha256(data).hexdigest()[:16] if length and len(data) == length - start else ""


def _last_newline(handle: int, size: int) -> int:
    """Offset of the last newline; -1 without one."""
    stop = size
    while stop > 0:
        start = max(stop - _BLOCK, 0)
        found = os.pread(handle, stop - start, start).rfind(b"\n")
        if found >= 0:
            return start + found
        stop = start
    return -1
