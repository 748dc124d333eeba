"""One process labels a folder. The system releases its locks when it ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, PunctumError
from ..files.atomic import BINARY

WORK = ".punctum-label"
"""Folder for what can be made again: converted videos, and a lock."""


class FolderLock:
    """Keeps other processes from labeling a folder.

    The folder itself is locked, since everything below it may be removed meanwhile, and so is a file, since network
    file systems lock files only. A file system without locks is labeled without.

    Args:
        folder: The folder.

    Raises:
        InputError: Another process labels the folder.
        PunctumError: The folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._handles: list[int] = []
        try:
            (folder / WORK).mkdir(exist_ok=True)
            self._handles.append(os.open(folder / WORK / "lock", os.O_RDWR | os.O_CREAT | BINARY, 0o600))
            self._handles.append(os.open(folder, os.O_RDONLY | BINARY))
        except OSError as error:
            self.close()
            raise PunctumError(
                "write-failed",
                f"Cannot write to {folder} ({error.strerror or error})",
                required="a folder that this user may write to, for points.csv",
                next_step="change its permissions, or copy the videos to a folder of your own",
            ) from None
        try:
            for handle in self._handles:
                with contextlib.suppress(OSError):
                    _take(handle)
        except _Taken:
            self.close()
            raise InputError(
                "label-running",
                f"Another `punctum label` is labeling {folder}",
                required="one process per folder; it serves any number of pages",
                next_step="use its page, or stop it",
            ) from None

    def close(self) -> None:
        """Let other processes label the folder."""
        handles, self._handles = self._handles, []
        for handle in handles:
            with contextlib.suppress(OSError):
                os.close(handle)


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
                handle = os.open(path, os.O_RDONLY | BINARY)
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
