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
from pathlib import Path

from ..errors import PunctumError
from ..files.atomic import atomic_write

SAVED = ".labeling-change.json"
SCHEMA = "punctum.labeling-change/1"
_log = logging.getLogger(__name__)


def write_together(saved: Path, files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Write files.

    Args:
        saved: Where the change is saved meanwhile.
        files: Role -> file.
        texts: Role -> new content, in the order of writing.

    Raises:
        PunctumError: A file cannot be written. If `saved` exists then, `complete` can write the rest.
    """
    if len(texts) > 1:
        entries = [{"role": role, "before": _digest(files[role]), "text": text} for role, text in texts.items()]
        atomic_write(saved, json.dumps({"schema": SCHEMA, "files": entries}))
    for role, text in texts.items():
        atomic_write(files[role], text)
    if len(texts) > 1:
        _remove(saved)


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
        atomic_write(path, text)
    _remove(saved)
    return True


def _digest(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return _digest_of(path.read_bytes())
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
