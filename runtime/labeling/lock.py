"""One process labels a folder. The system releases its locks when it ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, PunctumError
from ..files.atomic import BINARY, atomic_write, destination
from ..files.regular import need_regular

WORK = ".punctum-label"
"""Folder for what can be made again: converted videos, and a lock."""
_ID = re.compile(r"[0-9a-f]{32}")


class FolderLock:
    """Keeps other processes from labeling a folder, or another folder with the same points file.

    The folder itself is locked, since everything below it may be removed meanwhile, and so is a file, since network
    file systems lock files only. A file system without locks is labeled without. The folder is held open, so that
    another one that takes its place is noticed.

    Args:
        folder: The folder.
        points_file: The points file, which may be a symbolic link to a file elsewhere.

    Raises:
        InputError: Another process labels the folder, or the points file is a loop of symbolic links.
        PunctumError: The folder cannot be written to.
    """

    def __init__(self, folder: Path, points_file: Path) -> None:
        self._folder, self._points = folder, points_file
        self._handles: list[int] = []
        self._held: list[int] = []
        try:
            points_file.parent.mkdir(parents=True, exist_ok=True)
            target, _ = destination(points_file)
            locks = [folder / WORK / "lock", target.parent / WORK / f"{target.name[:200]}.lock"]
            for path in locks:
                path.parent.mkdir(exist_ok=True)
                need_regular([path])
                self._handles.append(_opened(path))
            self._held = [os.open(path, os.O_RDONLY | BINARY) for path in (folder, target.parent)]
            self._handles += self._held
        except OSError as error:
            self.close()
            raise PunctumError(
                "write-failed",
                f"Cannot write to {folder} ({error.strerror or error}: {error.filename or folder})",
                required="a folder that this user may write to, for points.csv",
                next_step="change its permissions, or copy the videos to a folder of your own",
            ) from None
        except BaseException:
            self.close()
            raise
        try:
            for handle in self._handles[:3]:  # the folder of a linked file may hold other files
                with contextlib.suppress(OSError):
                    _take(handle)
        except _Taken:
            self.close()
            raise InputError(
                "label-running",
                f"Another `punctum label` is labeling {folder}, or writes to {points_file.name} of it",
                required="one process per folder; it serves any number of pages",
                next_step="use its page, or stop it",
            ) from None

    def check(self) -> None:
        """Raise PunctumError if the paths lead to another folder now: its files are not those that are labeled."""
        if not self._held:
            return
        for path, handle in zip((self._folder, self._target()), self._held, strict=True):
            there, held = None, os.fstat(handle)
            with contextlib.suppress(OSError):
                there = path.stat()
            if there is None or (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
                what = "is not there any more" if there is None else "is another folder now"
                raise PunctumError(
                    "label-gone",
                    f"{path} {what}: the folder that is labeled was moved, removed, unmounted or replaced",
                    required="the folder at its place",
                    next_step="put it back, or start `punctum label` again",
                )

    @property
    def gone(self) -> str:
        """Why the folder is not at its place; empty if it is."""
        try:
            self.check()
        except PunctumError as error:
            return error.given
        return ""

    def close(self) -> None:
        """Let other processes label the folder."""
        handles, self._handles, self._held = self._handles, [], []
        for handle in handles:
            with contextlib.suppress(OSError):
                os.close(handle)

    def _target(self) -> Path:
        try:
            return destination(self._points)[0].parent
        except InputError:  # a loop of links now
            return self._points


def folder_id(folder: Path) -> str:
    """A random id of a folder, which a copy of it has as well. Raises PunctumError if it cannot be written."""
    path = folder / WORK / "id"
    need_regular([path])
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if _ID.fullmatch(known := path.read_text("utf-8").strip()):
            return known
    made = secrets.token_hex(16)
    atomic_write(path, made + "\n", parents=False)
    return made


def digest(*parts: str) -> str:
    """A short digest of texts, which may have bytes of any encoding."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def make_work(path: Path) -> None:
    """Make a folder in the work folder, and that one if it was removed; never the labeled folder. Raises OSError."""
    path.parent.mkdir(exist_ok=True)
    path.mkdir(exist_ok=True)


def _opened(path: Path) -> int:
    """Open the lock file with permissions that let everybody who may write to the folder hold it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | BINARY)


@contextlib.contextmanager
def not_labeled(folder: Path) -> Iterator[None]:
    """Keep other processes from labeling a folder while it is read. Several may read it at a time; nothing is written.

    Args:
        folder: The folder.

    Raises:
        InputError: A process labels the folder.
    """
    with contextlib.ExitStack() as handles:
        for path in (folder / WORK / "lock", folder):
            with contextlib.suppress(OSError):  # not there, or a file system without locks
                handle = os.open(path, os.O_RDONLY | BINARY | os.O_NONBLOCK)
                handles.callback(os.close, handle)
                try:
                    _take(handle, fcntl.LOCK_SH)
                except _Taken:
                    raise InputError(
                        "label-running",
                        f"`punctum label` is labeling {folder}",
                        required="a folder that nobody labels at the moment",
                        next_step="stop `punctum label`, and try again",
                    ) from None
        yield


class _Taken(Exception):
    """Another process has the lock."""


def _take(handle: int, kind: int = fcntl.LOCK_EX) -> None:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _Taken from None
