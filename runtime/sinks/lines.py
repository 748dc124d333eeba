"""Events as JSON Lines: to standard output, flushed after each event, or to a file that survives crashes."""

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
_TAIL = 4096  # bytes at the end of a file that identify it


class StandardOutput:
    """One line per event, flushed at once for readers behind a pipe. Raises PunctumError where it is closed."""

    name = "standard output"

    def __init__(self) -> None:
        check_standard_output()

    def write(self, events: Sequence[Event]) -> None:
        """Print events. Raises BrokenPipeError, PunctumError."""
        for event in events:
            to_standard_output(event.to_json() + "\n")

    def close(self) -> int:
        return 0


class EventFile:
    """Appends events to a file; final and retracted events are on the disk (fsync) before `write` returns.

    An incomplete last line, left by a crash, is removed on opening. If the disk is full, the line that did not fit is
    removed again and PunctumError `events-write-failed` is raised, so the file contains complete lines at any time.
    A file has one writer: a second one gets InputError `events-in-use`.

    The file may be rotated. `reopen` continues in a new file after the old one was renamed. If the file is truncated
    in place (`copytruncate`), writing continues at its new end and `truncated` is set. Named pipes, devices and
    descriptors are written to as they are: never truncated, locked or reopened.

    Args:
        path: The file.
        keep_bytes: Truncate the file to this length first, which a snapshot recorded.

    Raises:
        InputError: The path cannot be opened, contains something else, is in use, or is shorter than `keep_bytes`.
    """

    def __init__(self, path: Path, *, keep_bytes: int | None = None) -> None:
        self.path, self.name = path, str(path)
        self.length, self.truncated, self.regular = 0, False, True
        self.unsynced = False  # a sync has failed: it is unknown which lines since the last one are on the disk
        self._handle = self._open()
        if not self.regular:
            return
        try:
            self._lock(self._handle)
            self.length = self._repair(self._handle, keep_bytes)
        except BaseException:
            os.close(self._handle)
            raise

    def _open(self) -> int:
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
            # O_APPEND: a write at a remembered position would leave NUL bytes in a file that was truncated meanwhile.
            return os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, 0o666)
        except OSError as error:
            raise InputError(
                "events-file", f"Cannot open {self.path} ({error})", "a writable file", "choose another path"
            ) from None

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "events-in-use",
                f"Another process is writing to {self.path}",
                "one writer per file",
                "choose another path, or end the other run",
            ) from None
        except OSError:
            return  # a file system without locks

    def _repair(self, handle: int, keep_bytes: int | None) -> int:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, len(_START), 0) != _START[:size]:
            raise InputError(
                "events-file",
                f"{self.path} contains something other than events",
                "a new file, or a file of events",
                "choose another path",
            )
        length = _last_newline(handle, size) + 1
        if keep_bytes is not None:
            if length < keep_bytes:
                raise InputError(
                    "events-shorter",
                    f"{self.path} has {counted(length, 'byte')} of complete lines, but the snapshot was made after "
                    f"{keep_bytes}",
                    required="the event file that belongs to the snapshot",
                    next_step="restore it, or remove the snapshot to start over",
                )
            length = keep_bytes
        if length < size:
            os.ftruncate(handle, length)
            os.fsync(handle)
        return length

    @property
    def inode(self) -> int:
        """Identifies the file independently of its name; 0 for pipes and devices."""
        return os.fstat(self._handle).st_ino if self.regular else 0

    def tail(self) -> str:
        """Digest of the last bytes written; see `tail_of`."""
        return tail_of(self._handle, self.length)

    def write(self, events: Sequence[Event]) -> None:
        """Append events. Raises PunctumError where there is no room."""
        for event in events:
            self._append((event.to_json() + "\n").encode())
        if any(event.phase in ("final", "retracted") for event in events):
            self.sync()

    def _append(self, line: bytes) -> None:
        try:
            if not self.regular:
                write_all(self._handle, line)
                return
            self.detect_truncation()
            write_all(self._handle, line)
        except BrokenPipeError:
            raise
        except OSError as error:
            with contextlib.suppress(OSError):
                if self.regular and os.fstat(self._handle).st_size > self.length:
                    os.ftruncate(self._handle, self.length)
            raise self._write_error(error) from error
        self.length += len(line)

    @property
    def deleted(self) -> bool:
        """Whether nothing names the file any more, so that what is written to it is lost."""
        return self.regular and os.fstat(self._handle).st_nlink == 0

    def detect_truncation(self) -> None:
        """Notice that the file was truncated, as `copytruncate` does, or changed by another process."""
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
        """Continue in the file that the path now names, after a rotation by renaming.

        Returns:
            Whether it is another file than before.

        Raises:
            PunctumError: The new file cannot be used. The old one stays open.
        """
        if not self.regular or self._is_current():
            return False
        self.sync()
        handle = self._open()
        try:
            if not self.regular:
                self.regular = True
                raise InputError(
                    "events-file",
                    f"{self.path} is no longer a regular file",
                    "a regular file",
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
        """Return when everything written so far is on the disk."""
        if not self.regular:
            return
        try:
            os.fsync(self._handle)
        except OSError as error:
            self.unsynced = True  # a second call would succeed even if the lines are lost
            raise self._write_error(error) from error

    def cut(self, length: int) -> None:
        """Remove the lines behind `length` again, if that is possible: they are not known to be on the disk."""
        self.unsynced = False
        with contextlib.suppress(OSError):
            if self.regular and os.fstat(self._handle).st_size == self.length > length:
                os.ftruncate(self._handle, length)
                self.length = length

    def _write_error(self, error: OSError) -> PunctumError:
        valid = (
            f"its complete lines, {counted(self.length, 'byte')}, are valid"
            if self.regular
            else "it is not a regular file"
        )
        return PunctumError(
            "events-write-failed",
            f"Cannot write events to {self.path} ({error})",
            required="free space in a writable folder",
            next_step=f"free space and run again; {valid}",
        )

    def close(self) -> int:
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._handle)
            os.close(self._handle)
            self._handle = -1
        return 0


def tail_of(handle: int, length: int) -> str:
    """Digest of the last bytes before `length` in an open file; empty if the file is shorter, or length is 0."""
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
