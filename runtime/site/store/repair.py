"""Repair of a damaged database: what can be read goes into a new file, and the old one is moved aside.

The new file is complete before anything is moved, so that a kill at any moment loses nothing more:

    site.db.draft       the new file is being written
    site.db.repaired    it is complete; the old files are being moved to damaged-TIME/
    site.db             it is in use
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from ...files.atomic import sync_folder
from ...text.display import counted, shown
from .salvage import Salvaged, salvage
from .schema import create

_log = logging.getLogger(__name__)
_PARTS = ("", "-wal", "-shm")


def mark(path: Path, why: str) -> None:
    """Mark a database as damaged for the next start: its own check does not find everything."""
    with contextlib.suppress(OSError):
        _mark_of(path).write_text(why, encoding="utf-8")


def mark_of(path: Path) -> str:
    """Why a database was marked as damaged; empty if it was not."""
    try:
        return shown(_mark_of(path).read_text(encoding="utf-8", errors="replace"), 200) or "it was marked as damaged"
    except OSError:
        return ""


def forget_mark(path: Path) -> None:
    """The database was repaired."""
    _mark_of(path).unlink(missing_ok=True)


def _mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


@dataclass(frozen=True, slots=True)
class Repair:
    """Result of a repair.

    Attributes:
        text: For messages.
        outbox_lost: Whether reports that outputs have to receive may be missing from the outbox.
        reports_lost: Whether any reports that were stored may be missing.
    """

    text: str
    outbox_lost: bool = False
    reports_lost: bool = False


def repair(path: Path, why: str) -> Repair:
    """Move a database aside and make one of what can be read. Raises OSError."""
    kept = _rebuilt(path)
    target = _move_aside(path)
    finish(path)
    forget_mark(path)
    text = f"the database was damaged ({why}); it was moved to {target}, and a new one was begun"
    if kept is None or not kept.rows:
        return Repair(f"{text}; nothing of it could be read", reports_lost=True)
    text += f" with what could be read: {counted(kept.rows.get('events', 0), 'event')}"
    text += f", {counted(kept.rows.get('outbox', 0), 'report')} for outputs"
    if kept.lost:
        text += f"; {counted(kept.lost, 'report')} that outputs had to receive could not be read"
    if kept.incomplete:
        text += f"; lost in part: {', '.join(kept.incomplete)}"
    outbox_lost = "outbox" in kept.incomplete or kept.lost > 0
    return Repair(text, outbox_lost, outbox_lost or not {"reports", "events"}.isdisjoint(kept.incomplete))


def finish(path: Path) -> None:
    """Put the new file in its place, where a repair has made one. Raises OSError."""
    repaired = path.with_name(f"{path.name}.repaired")
    if not repaired.exists():
        return
    if any(_part(path, part).exists() for part in _PARTS):  # a repair was killed before it had moved all
        _move_aside(path)
    repaired.rename(path)
    sync_folder(path.parent)
    forget_mark(path)


def _rebuilt(path: Path) -> Salvaged | None:
    """Write the new file. None: that is not possible; the caller begins an empty one."""
    draft = path.with_name(f"{path.name}.draft")
    try:
        for name in (draft, _part(draft, "-journal")):
            name.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as new:
            new.execute("PRAGMA auto_vacuum = INCREMENTAL")
            new.execute("PRAGMA synchronous = FULL")
            new.execute("BEGIN IMMEDIATE")
            create(new)
            kept = salvage(path, new)
            new.execute("COMMIT")
        draft.rename(path.with_name(f"{path.name}.repaired"))
        sync_folder(path.parent)
    except (sqlite3.Error, OSError) as error:
        _log.warning("what can be read in %s cannot be kept (%s)", path, error)
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        return None
    return kept


def _move_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    target = path.parent / f"damaged-{stamp}"
    number = 1
    while target.exists():
        number += 1
        target = path.parent / f"damaged-{stamp}-{number}"
    target.mkdir()
    for part in _PARTS:
        with contextlib.suppress(FileNotFoundError):
            _part(path, part).rename(target / f"{path.name}{part}")
    return target


def _part(path: Path, part: str) -> Path:
    return path.with_name(f"{path.name}{part}")
