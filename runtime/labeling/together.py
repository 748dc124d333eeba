"""Writing several files as one change: a process that is killed in between, or a full disk, leaves all or none of it.

What is to be written is first saved in a file of its own, which is removed when everything has been written. If it is
still there, the change is completed before anything else is done.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ..errors import PunctumError
from ..files.atomic import atomic_write
from .watched import Changed, Watched

SAVED = ".labeling-change.json"
SCHEMA = "punctum.labeling-change/1"
_log = logging.getLogger(__name__)


def write_together(saved: Path, files: Mapping[str, Path], texts: Mapping[str, str], watched: Watched) -> None:
    """Write files.

    Args:
        saved: Where the change is saved meanwhile.
        files: Role -> file.
        texts: Role -> new content, in the order of writing.
        watched: The files as they were read.

    Raises:
        Changed: Another program has changed one of them meanwhile. All are as they were then.
        PunctumError: A file cannot be written. If `saved` exists then, `complete` can write the rest.
    """
    old = {role: _content(files[role]) for role in texts}
    if len(texts) > 1:
        before = {role: None if data is None else _digest_of(data) for role, data in old.items()}
        entries = [{"role": role, "before": before[role], "text": text} for role, text in texts.items()]
        atomic_write(saved, json.dumps({"schema": SCHEMA, "files": entries}), parents=False)
    written: list[str] = []
    try:
        for role, text in texts.items():
            atomic_write(files[role], text, before=partial(watched.replace, files[role]), parents=False)
            written.append(role)
    except Changed:
        for role in reversed(written):
            _put_back(files[role], texts[role], old[role])
        _remove(saved)
        raise
    if len(texts) > 1:
        _remove(saved)


def _put_back(path: Path, text: str, old: bytes | None) -> None:
    """Undo the writing of a file, unless another program has changed it since."""
    if _content(path) != text.encode():
        return
    if old is None:
        _remove(path)
    else:
        atomic_write(path, old, parents=False)


def complete(saved: Path, files: Mapping[str, Path]) -> bool:
    """Write what an earlier `write_together` could not. Returns whether there was anything.

    Files that another program has changed since are left as they are, and then so are the others.

    Raises:
        PunctumError: A file cannot be written or read.
    """
    try:
        record = json.loads(saved.read_text("utf-8"))
    except FileNotFoundError:
        return False
    except (ValueError, RecursionError):  # never half-written: by another program
        return False
    except OSError as error:
        raise PunctumError("write-failed", f"{saved} cannot be read ({error})", next_step="check the folder") from None
    todo: dict[Path, str] = {}
    try:
        entries = record["files"] if record["schema"] == SCHEMA else []
        for entry in entries:
            path, text = files[entry["role"]], str(entry["text"])
            now = _digest(path)
            if now == _digest_of(text.encode()):
                continue
            if now != entry["before"]:
                _log.warning("a change of several files was interrupted, and %s has another content since", path)
                todo.clear()
                break
            todo[path] = text
    except (KeyError, TypeError, UnicodeError):
        todo.clear()
    for path, text in todo.items():
        atomic_write(path, text, parents=False)
    _remove(saved)
    return True


def _digest(path: Path) -> str | None:
    data = _content(path)
    return None if data is None else _digest_of(data)


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None


def _digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _remove(saved: Path) -> None:
    try:
        saved.unlink(missing_ok=True)
    except OSError as error:
        raise PunctumError(
            "write-failed", f"{saved} cannot be removed ({error})", next_step="check the permissions of the folder"
        ) from None
