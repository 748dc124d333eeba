"""Event files of a run that is resumed from a snapshot, after log rotation.

A snapshot records the length of the event file, which file it was (inode) and how it ended (a digest). Everything after
that is produced again, so it is removed from every file. A file that cannot be found is an error, never a guess:

    renamed before or after the crash   the old file is found next to the new one, by inode or by its content
    truncated (copytruncate)            the copy is found by its content; the truncated file has later events only
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files.atomic import destination
from ..text.display import counted
from .lines import tail_of


@dataclass(frozen=True, slots=True)
class Mark:
    """The part of an event file that belongs to a snapshot. inode 0, tail "": unknown (older snapshots)."""

    bytes: int
    inode: int = 0
    tail: str = ""


def cut_to_snapshot(path: Path, current: Mark, before: tuple[Mark, ...] = ()) -> int:
    """Truncate every event file of a run to its length at the time of the snapshot.

    Args:
        path: The event file.
        current: The state of the event file in the snapshot.
        before: Files that were rotated away since the snapshot.

    Returns:
        The remaining length of `path` in bytes.

    Raises:
        InputError: A file is missing, or another process writes to one.
    """
    path, _ = destination(path)
    rotated = [(_find(path, mark), mark) for mark in before]
    found = _find(path, current) if current.inode else path
    for place in {path, found, *(place for place, _ in rotated)}:
        _refuse_in_use(place)  # before any change: another run may still write to it
    for place, mark in rotated:
        _cut(place, mark)
    if not current.inode:
        return current.bytes
    if found == path:
        return current.bytes
    here = path.stat() if path.exists() else None
    if here is not None and here.st_size and here.st_ino != current.inode:
        raise InputError(
            "events-rotated",
            f"{path} has events that are not part of the snapshot, whose events are in {found}",
            required=f"no file, or an empty one, at {path}",
            next_step=f"move {path} away, or remove the snapshot to start over",
        )
    _cut(found, current)
    return 0


def _find(path: Path, mark: Mark) -> Path:
    places = [path, *sorted(p for p in path.parent.glob(f"{_literal(path.name)}*") if p != path)]
    places = [place for place in places if place.is_file()]
    same = [place for place in places if place.stat().st_ino == mark.inode and _fits(place, mark)]
    # A copy, as of copytruncate or of a backup, has another inode and the same content.
    copies = [place for place in places if mark.bytes and mark.tail and _fits(place, mark)]
    if same or copies:
        return (same or copies)[0]
    if not mark.bytes and (not path.exists() or not path.stat().st_size):
        return path  # there is nothing to find
    if len(places) < 2 and (not path.exists() or path.stat().st_size < mark.bytes):
        return path  # `EventFile` reports that it is too short
    raise InputError(
        "events-rotated",
        f"The event file of the snapshot, with {counted(mark.bytes, 'byte')}, is not at {path} or next to it",
        required="that file, uncompressed, under its name or one that begins with it",
        next_step="put it back, or remove the snapshot to start over; in logrotate use delaycompress with snapshots",
    )


def _fits(place: Path, mark: Mark) -> bool:
    if not mark.tail:
        return place.stat().st_size >= mark.bytes
    with place.open("rb") as stream:
        return tail_of(stream.fileno(), mark.bytes) == mark.tail


def _refuse_in_use(place: Path) -> None:
    """Raises InputError where another process writes to a file, as `EventFile` does."""
    if not place.is_file():
        return
    with place.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "events-in-use", f"Another process is writing to {place}", "one run per snapshot", "end that run first"
            ) from None
        except OSError:
            return  # a file system without locks


def _cut(place: Path, mark: Mark) -> None:
    if place.stat().st_size > mark.bytes:
        with place.open("r+b") as stream:
            stream.truncate(mark.bytes)
            os.fsync(stream.fileno())


def _literal(name: str) -> str:
    """A glob pattern that matches this name alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
