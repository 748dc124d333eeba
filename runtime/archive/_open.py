"""Opening a results folder: its lock, its header, and the check that results belong to the same bundle and options."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.atomic import BINARY, atomic_write
from ._ledger import HEAD, LEDGER, LOCK, SCHEMA, Archive


@contextlib.contextmanager
def open_archive(folder: Path, head: dict[str, Any], *, replace_all: bool = False) -> Iterator[Archive]:
    """Lock a results folder, check that its results have the same bundle and settings, and read its ledger.

    Args:
        folder: The folder; created if it does not exist.
        head: Content of archive.json. "bundle" and "settings" must match those of existing results.
        replace_all: Remove results of another bundle or other settings.

    Yields:
        The opened folder.

    Raises:
        InputError: Another run uses the folder, it contains other files or other results, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
    except OSError as error:
        raise _unwritable(folder, error) from None
    handle = -1
    try:
        _take_lock(lock, folder)
        known = _read_head(folder)
        if known is None:
            others = [p.name for p in folder.iterdir() if p.name != LOCK and not p.name.startswith(f".{HEAD}.")]
            if others:
                raise InputError(
                    "output-exists",
                    f"{folder} contains {sorted(others)[0]} and no {HEAD}",
                    required="a new or empty folder, or one written by `punctum score`",
                    next_step="choose another `out`",
                )
        elif replace_all and _differs(known, head):
            _clear(folder)
            known = None
        if known is None:
            atomic_write(folder / HEAD, json.dumps({"schema": SCHEMA, **head}, indent=1, ensure_ascii=False) + "\n")
            known = head
        _check_same(folder, known, head)
        handle = os.open(folder / LEDGER, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
        archive = Archive(folder, known, handle)
        archive.load()
        yield archive
    except OSError as error:
        if error.filename is not None and Path(str(error.filename)).is_relative_to(folder):
            raise _unwritable(folder, error) from None
        raise
    finally:
        if handle >= 0:
            os.close(handle)
        os.close(lock)  # releases the lock


def discards(folder: Path, head: dict[str, Any]) -> bool:
    """Whether opening the folder with `replace_all` removes results."""
    known = _read_head(folder) if folder.is_dir() else None
    return known is not None and _differs(known, head)


def _differs(known: dict[str, Any], head: dict[str, Any]) -> bool:
    return any(known.get(key) != head[key] for key in ("bundle", "settings"))


def read_head(folder: Path) -> dict[str, Any]:
    """Read archive.json. Raises InputError if there is none."""
    head = _read_head(folder)
    if head is None:
        raise InputError(
            "archive-missing",
            f"{folder} has no {HEAD}",
            required="a folder written by `punctum score`",
            next_step="check the path",
        )
    return head


def _take_lock(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 200, 0).decode(errors="replace").strip()
        raise InputError(
            "output-locked",
            f"Another run{f' ({holder})' if holder else ''} writes to {folder}",
            required="one run per folder at a time",
            next_step="wait for it, stop it, or choose another `out`",
        ) from None
    with contextlib.suppress(OSError):  # a full disk does not matter here
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _read_head(folder: Path) -> dict[str, Any] | None:
    path = folder / HEAD
    try:
        head = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _bad_head(f"{path} cannot be read ({error})") from None
    if not isinstance(head, dict) or head.get("schema") != SCHEMA:
        raise _bad_head(f"{path} does not have the schema {SCHEMA}")
    return head


def _check_same(folder: Path, known: dict[str, Any], head: dict[str, Any]) -> None:
    for key in ("bundle", "settings"):
        if known.get(key) != head[key]:
            raise InputError(
                "archive-differs",
                f"{folder} contains results of {key} {json.dumps(known.get(key))}, not of {json.dumps(head[key])}",
                required="results of one bundle with the same settings in each folder",
                next_step="choose another `out`, or discard these results with `replace`",
            )


def _clear(folder: Path) -> None:
    """Remove results, archive.json last, so that an interruption leaves a folder that can be cleared again."""
    (folder / LEDGER).unlink(missing_ok=True)
    shutil.rmtree(folder / "events", ignore_errors=True)
    for name in ("items.parquet", "events.jsonl", "activitynet.json", HEAD):
        (folder / name).unlink(missing_ok=True)


def _bad_head(given: str) -> InputError:
    return InputError("archive-head", given, required=f"a file of schema {SCHEMA}", next_step="choose another `out`")


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        "output-unwritable",
        f"{folder} cannot be written ({error.strerror or error})",
        required="a folder that this user may write to, on a disk with free space",
        next_step="choose another `out`, or change its mode",
    )
