"""Files that are whole or absent: write to a temporary name beside the target, fsync, rename.

What is made here may be read by whom the user's mask lets read, like any file; a file that is replaced keeps its mode.
A path that is a symbolic link stands for what it leads to. What is not a regular file (a device, a named pipe, an open
descriptor such as /dev/stdout) is written to and never replaced.
"""

from __future__ import annotations

import contextlib
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
_MOST_LINKS = 40
_NAME_BYTES = 255  # of a file's name, on the file systems in use
# Not inherited by other programs, no terminal of this one, bytes as they are: each where the system knows of it.
BINARY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def sha256_file(path: Path) -> str:
    """Hex digest, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def destination(path: str | Path) -> tuple[Path, int | None]:
    """Where a path leads through all symbolic links, whether or not anything is there.

    The number is that of a descriptor of this process where the path is one (/dev/stdout, /dev/fd/3): opening it anew
    would truncate a file that a shell has opened for appending, so it has to be written to as it is.
    """
    place = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps "..", which realpath resolves below
    for _ in range(_MOST_LINKS):
        place = Path(os.path.realpath(place.parent)) / place.name
        match = _DESCRIPTOR.fullmatch(str(place))
        if match is not None and match[1] in (None, str(os.getpid())):
            return place, int(match[2])
        if not place.is_symlink():
            return place, None
        place = place.parent / place.readlink()
    raise InputError("output-loop", f"{path} is a loop of symbolic links", "a path that leads somewhere", "correct it")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path, make: Callable[[Path], T], infix: str = "") -> tuple[T, Path]:
    """Make something under a new hidden name beside `path`, which begins with its name, as far as there is room."""
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


def _unwritten(what: str, error: OSError) -> PunctumError:
    allowed = "free space in a folder that this user may write to"
    return PunctumError("write-failed", f"{what} ({error})", allowed, "make room, or choose another place")


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Write `data` so that a reader, or a power cut, sees the old file or the new one and nothing between.

    Links are followed; a device, a named pipe or a descriptor is written to as it is. Raises BrokenPipeError where its
    reader has gone, PunctumError for anything else that cannot be written.
    """
    payload = data.encode() if isinstance(data, str) else data
    target, descriptor = destination(path)
    try:
        special = _open_as_it_is(target, descriptor)
        if special is not None:
            with os.fdopen(special, "wb", buffering=0):
                write_all(special, payload)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = _beside(target, _create)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritten(f"cannot write {path}", error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            with contextlib.suppress(OSError):  # nothing to replace, or a disk without modes
                draft.chmod(stat.S_IMODE(target.stat().st_mode))
            os.fsync(stream.fileno())
        draft.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _unwritten(f"cannot write {path}", error) from error
    finally:
        draft.unlink(missing_ok=True)


def _open_as_it_is(target: Path, descriptor: int | None) -> int | None:
    """A descriptor for what is written to in place; None for a regular file, and where nothing is yet."""
    if descriptor is not None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # what was printed before comes before
        return os.dup(descriptor)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return os.open(target, os.O_WRONLY | BINARY)


def write_all(handle: int, data: bytes) -> None:
    """All of `data`, in as many calls as it takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


@contextlib.contextmanager
def atomic_folder(
    path: str | Path, *, replace: bool = False, own: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes `path` when the block ends without an error.

    Raises InputError where `path` exists and is not an empty folder, unless `replace`; and then, too, for a file, and
    for a folder that `own` says holds something else than what is being made. A link stands for the folder behind it.
    """
    path, _ = destination(path)
    held = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if held and not (replace and path.is_dir()):
        raise InputError(
            "output-exists", f"{path} exists already", "a new or empty folder", "choose another --out or remove it"
        )
    if held and own is not None and not own(path):
        raise InputError(
            "output-exists",
            f"{path} holds other files than --replace may discard",
            "a folder of its own",
            "choose another --out, or remove the folder yourself",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _, draft = _beside(path, Path.mkdir)
    except OSError as error:
        raise _unwritten(f"cannot write beside {path}", error) from error
    try:
        yield draft
        for file in draft.rglob("*"):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        if path.exists():
            _, old = _beside(path, Path.mkdir, ".old")
            path.rename(old / path.name)
            draft.rename(path)
            shutil.rmtree(old)
        else:
            draft.rename(path)
        _sync_folder(path.parent)
    finally:
        if draft.exists():
            shutil.rmtree(draft)
