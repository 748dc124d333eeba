"""Reading of files that have to be files: a named pipe would keep its reader waiting, and a device never end."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
}


def special_kind(path: Path) -> str:
    """What a path is that is neither file nor folder, such as "a named pipe"; empty for all others."""
    try:
        return _kind(path.stat().st_mode)
    except (OSError, ValueError):
        return ""


def need_regular(paths: Iterable[Path]) -> None:
    """Raise InputError for a path that is there and is no regular file, and for a loop of symbolic links."""
    for path in paths:
        problem = special_kind(path) or ("a folder" if path.is_dir() else "")
        try:
            path.stat()
        except OSError as error:
            problem = "a loop of symbolic links" if error.errno == errno.ELOOP else problem
        if problem:
            raise InputError(
                "file-special",
                f"{path} is {problem}",
                required="a regular file, or none",
                next_step="remove it, or put a file in its place",
            )


def read_regular(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file. Never waits for another process.

    Raises:
        OSError: It cannot be read, or is not a regular file; `strerror` says what it is.
        ValueError: The path is none.
    """
    if kind := special_kind(path):  # opening a device may have effects already
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if kind := _kind(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, f"it is {kind}", str(path))
        return file.read(most)


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "")
