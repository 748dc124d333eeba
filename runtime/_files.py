"""Files that are whole or absent: write to a temporary name beside the target, fsync, rename.

What is made here may be read by whom the user's mask lets read, like any file; a file that is replaced keeps its mode.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from .errors import InputError, PunctumError

T = TypeVar("T")


def sha256_file(path: Path) -> str:
    """Hex digest, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path, make: Callable[[Path], T], infix: str = "") -> tuple[T, Path]:
    """Make something under a new hidden name beside `path`, which begins with its name."""
    while True:
        draft = path.parent / f".{path.name}{infix}.{secrets.token_hex(4)}"
        try:
            return make(draft), draft
        except FileExistsError:
            continue


def _create(draft: Path) -> int:
    return os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _unwritten(what: str, error: OSError) -> PunctumError:
    allowed = "free space in a folder that this user may write to"
    return PunctumError("write-failed", f"{what} ({error})", allowed, "make room, or choose another place")


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Write `data` so that a reader, or a power cut, sees the old file or the new one and nothing between."""
    path = Path(path)
    payload = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = _beside(path, _create)
    except OSError as error:
        raise _unwritten(f"cannot write {path}", error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            with contextlib.suppress(OSError):  # nothing to replace, or a disk without modes
                draft.chmod(stat.S_IMODE(path.stat().st_mode))
            os.fsync(stream.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritten(f"cannot write {path}", error) from error
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder that becomes `path` when the block ends without an error.

    Raises InputError where `path` exists and is not an empty folder, unless `replace`.
    """
    path = Path(path)
    if path.exists() and not replace and (not path.is_dir() or any(path.iterdir())):
        raise InputError(
            "output-exists", f"{path} exists already", "a new or empty folder", "choose another --out or remove it"
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
