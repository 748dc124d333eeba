"""Atomic writes: to a temporary name next to the target, then fsync and rename.

New files have the permissions of the user's umask; a file that is replaced keeps its permissions. Symbolic links are
followed. Anything other than a regular file (a device, a named pipe, an open descriptor such as /dev/stdout) is written
to and never replaced.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ..errors import InputError, PunctumError

T = TypeVar("T")
_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/(?:self|thread-self|(\d+))(?:/task/\d+)?/fd)/(\d{1,9})")
_MAX_LINKS = 40
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux's renameat2
_NAME_BYTES = 255  # maximum length of a file name on common file systems
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Not inherited by child processes, never the controlling terminal, no newline translation; where supported.
BINARY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def sha256_file(path: Path) -> str:
    """Hex digest, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def destination(path: str | Path) -> tuple[Path, int | None]:
    """Follow all symbolic links of a path, which need not exist.

    Returns:
        The target, and the number of the descriptor if the path is an open descriptor of this process (/dev/stdout,
        /dev/fd/3). Opening such a path again would truncate a file that a shell has opened for appending, so the
        descriptor itself must be written to.

    Raises:
        InputError: The links form a loop.
    """
    place = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps "..", which realpath resolves below
    for _ in range(_MAX_LINKS):
        place = Path(os.path.realpath(place.parent)) / place.name
        match = _DESCRIPTOR.fullmatch(str(place))
        if match is not None and match[1] in (None, str(os.getpid())):
            return place, int(match[2])
        if not place.is_symlink():
            return place, None
        place = place.parent / place.readlink()
    raise InputError("output-loop", f"{path} is a loop of symbolic links", "a path without a loop", "correct the links")


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Raises OSError."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path, make: Callable[[Path], T], infix: str = "") -> tuple[T, Path]:
    """Create something under a new hidden name next to `path`, which begins with as much of its name as fits."""
    name = path.name
    while len(os.fsencode(name)) > _NAME_BYTES - len(f".{infix}.") - 8:
        name = name[:-1]
    while True:
        draft = path.parent / f".{name}{infix}.{secrets.token_hex(4)}"
        try:
            return make(draft), draft
        except FileExistsError:
            continue


def _create(draft: Path) -> int:
    return os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY, 0o666)


def _write_error(what: str, error: OSError) -> PunctumError:
    return PunctumError(
        "write-failed",
        f"{what} ({error.strerror or error})",
        required="free space in a folder that this user may write to",
        next_step="free space, or choose another place",
    )


def atomic_write(
    path: str | Path, data: bytes | str, *, before: Callable[[Path], None] | None = None, parents: bool = True
) -> None:
    """Replace a file so that readers see the old content or the new one, even after a power failure.

    Args:
        path: The file. Devices, named pipes and descriptors are written to as they are.
        data: The new content; text is written as UTF-8.
        before: Called directly before the file is replaced, with the file that has the new content. An exception
            leaves the old file as it is.
        parents: Whether folders that do not exist are made.

    Raises:
        BrokenPipeError: The reader of a pipe has gone.
        PunctumError: The file cannot be written.
    """
    payload = data.encode() if isinstance(data, str) else data
    target, descriptor = destination(path)
    try:
        special = _open_in_place(target, descriptor)
        if special is not None:
            with os.fdopen(special, "wb", buffering=0):
                write_all(special, payload)
            return
        if parents:
            target.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = _beside(target, _create)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _write_error(f"cannot write {path}", error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            with contextlib.suppress(OSError):  # nothing to replace, or a file system without permissions
                draft.chmod(stat.S_IMODE(target.stat().st_mode))
            os.fsync(stream.fileno())
        if before is not None:
            before(draft)
        draft.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise _write_error(f"cannot write {path}", error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def remove_drafts(path: str | Path) -> None:
    """Remove what killed processes were writing in place of `path`. Only for a path that no other process writes."""
    target, _ = destination(path)
    draft = re.compile(re.escape(f".{target.name}") + r"(\.old)?\.[0-9a-f]{8}")
    with contextlib.suppress(OSError):
        for place in [entry for entry in target.parent.iterdir() if draft.fullmatch(entry.name)]:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)


def _open_in_place(target: Path, descriptor: int | None) -> int | None:
    """A descriptor for a target that is written to in place; None for a regular file or a new one."""
    if descriptor is not None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # keep the order of what was printed
        return os.dup(descriptor)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return os.open(target, os.O_WRONLY | BINARY)


def write_all(handle: int, data: bytes) -> None:
    """Write all of `data`, in as many calls as necessary. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


@contextlib.contextmanager
def atomic_folder(
    path: str | Path,
    *,
    replace: bool = False,
    own: Callable[[Path], bool] | None = None,
    linked: Callable[[Path], bool] | None = None,
) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes `path` when the block ends without an error.

    Args:
        path: The folder. Symbolic links are followed.
        replace: Replace a folder that is not empty.
        own: Whether a folder has only what this command writes; others are never replaced.
        linked: Whether a file in the folder is one that was there before, under another name: it is not brought to the
            disk again.

    Raises:
        InputError: `path` exists and may not be replaced.
        PunctumError: The folder cannot be written.
    """
    path, _ = destination(path)
    occupied = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if occupied and not (replace and path.is_dir()):
        raise InputError(
            "output-exists", f"{path} already exists", "a new or empty folder", "choose another folder, or remove it"
        )
    if occupied and own is not None and not own(path):
        raise InputError(
            "output-exists",
            f"{path} contains files that `replace` may not discard",
            "a folder that this command wrote",
            "choose another folder, or remove it yourself",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _, draft = _beside(path, Path.mkdir)
    except OSError as error:
        raise _write_error(f"cannot create a folder next to {path}", error) from error
    try:
        try:
            yield draft
        except OSError as error:
            if error.errno in _FULL:  # of a write, which names no file
                raise _write_error(f"cannot write {path}", error) from error
            raise
        for file in draft.rglob("*"):
            if file.is_file() and not (linked is not None and linked(file)):
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        if not path.exists():
            draft.rename(path)
        elif not _exchange(draft, path):
            _, old = _beside(path, Path.mkdir, ".old")
            path.rename(old / path.name)
            draft.rename(path)
            shutil.rmtree(old)
        sync_folder(path.parent)
    finally:
        if draft.exists():
            shutil.rmtree(draft)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step, so that a process that is killed leaves one of them under each.

    Returns:
        False where the system or the file system cannot do that; nothing has changed then.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
