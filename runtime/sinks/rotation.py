"""Event files of a run that goes on from a snapshot, where they were rotated in the meantime.

A snapshot knows how long the event file was, which file it was (inode) and how it ended (a digest). What stands behind
that in any file is produced again, so it is cut off; a file that cannot be found is an error, never a guess:

    renamed before or after the crash   the old file is found beside the new one, by inode or by its content
    truncated (copytruncate)            the copy is found by its content; what the truncated file holds came later
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
    """How far an event file belongs to a snapshot. inode 0, tail "": not known, as in snapshots of older versions."""

    bytes: int
    inode: int = 0
    tail: str = ""


def take_back(path: Path, current: Mark, before: tuple[Mark, ...] = ()) -> int:
    """Cut every file that the run wrote to where the snapshot was made; returns the length that is left of `path`.

    before: files that were rotated away since the snapshot. Raises InputError where a file is missing.
    """
    path, _ = destination(path)
    rotated = [(_find(path, mark), mark) for mark in before]
    found = _find(path, current) if current.inode else path
    for place in {path, found, *(place for place, _ in rotated)}:
        _refuse_in_use(place)  # before anything is cut: a run that goes on still needs it
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
            f"{path} holds events that the snapshot does not know, and {found} holds those that it knows",
            "an empty file, or none, in place of one that was rotated away",
            f"move {path} away, or remove the snapshot to begin anew",
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
        return path  # nothing to be found
    if len(places) < 2 and (not path.exists() or path.stat().st_size < mark.bytes):
        return path  # whoever opens it says that it is too short
    raise InputError(
        "events-rotated",
        f"no file beside {path} is the one of which the snapshot knows {counted(mark.bytes, 'byte')}",
        "the event file that belongs to the snapshot, also under a name that begins with its own, not compressed",
        "put it back, or remove the snapshot to begin anew; with --snapshot let logrotate use delaycompress",
    )


def _fits(place: Path, mark: Mark) -> bool:
    if not mark.tail:
        return place.stat().st_size >= mark.bytes
    with place.open("rb") as stream:
        return tail_of(stream.fileno(), mark.bytes) == mark.tail


def _refuse_in_use(place: Path) -> None:
    """Raises InputError where another process writes a file, as `EventFile` does for its own."""
    if not place.is_file():
        return
    with place.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "events-in-use", f"another process writes {place}", "one run a snapshot", "end that run first"
            ) from None
        except OSError:
            return  # a file system without locks


def _cut(place: Path, mark: Mark) -> None:
    if place.stat().st_size > mark.bytes:
        with place.open("r+b") as stream:
            stream.truncate(mark.bytes)
            os.fsync(stream.fileno())


def _literal(name: str) -> str:
    """A name in which nothing is a pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
