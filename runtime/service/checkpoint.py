"""The state of a live run in one file, from which a killed run is resumed: session, position in the source, event file.

Layout: magic, length of the header (4 bytes), header (JSON), snapshot of the session, SHA-256 of all of that.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..datatypes import compact
from ..errors import InputError
from ..files.atomic import atomic_write
from ..sinks.rotation import Mark, cut_to_snapshot
from ..sources.items import Position

MAGIC = b"punctum-run\n"
VERSION = 1
_DIGEST = 32


Count = Annotated[int, Field(ge=0, le=2**53)]


# The fields of a position in each source: counts, or the name of a file.
_POSITIONS: dict[str, dict[str, Any]] = {
    "RowFile": {"row": Count},
    "ChunkFolder": {"file": str, "row": Count | None},
    "FramedFile": {"byte": Count, "record": Count},
    "VideoSource": {"snippet": Count},
}


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    version: int
    source: str
    position: dict[str, Any] | None
    event_bytes: Count
    reported: tuple[str, ...]
    event_inode: Annotated[int, Field(ge=0, lt=2**64)] = 0
    event_tail: str = ""
    rotated: tuple[tuple[Count, Annotated[int, Field(ge=0, lt=2**64)], str], ...] = ()
    hidden: dict[str, Count] = {}


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Checkpoint:
    """The state of a live run.

    Args:
        source: Kind and name of the source.
        position: Where to continue in the source; None: at its beginning.
        event_bytes: Length of the event file.
        reported: Ids of open events that have passed the filter.
        session: `Session.snapshot`.
        event_inode: Which file the event file was.
        event_tail: How it ended; see `sinks.rotation`.
        rotated: (bytes, inode, tail) of event files that were rotated away since.
        hidden: For those of `reported` that did not pass at once, how many reports came before.
    """

    source: str
    position: Position | None
    event_bytes: int
    reported: tuple[str, ...]
    session: bytes
    event_inode: int = 0
    event_tail: str = ""
    rotated: tuple[tuple[int, int, str], ...] = ()
    hidden: dict[str, int] = field(default_factory=dict)

    def cut_to_snapshot(self, path: Path) -> int:
        """Remove what the event files have beyond this snapshot. Returns the length of `path`. Raises InputError."""
        before = tuple(Mark(*mark) for mark in self.rotated)
        return cut_to_snapshot(path, Mark(self.event_bytes, self.event_inode, self.event_tail), before)

    def after_rotation(self, inode: int) -> Checkpoint:
        """The same snapshot for a run that continues in a new, empty event file."""
        before = (*self.rotated, (self.event_bytes, self.event_inode, self.event_tail))
        return replace(self, event_bytes=0, event_inode=inode, event_tail="", rotated=before)

    def save(self, path: Path) -> None:
        """Write it atomically: a reader sees the previous one or this one. Raises PunctumError."""
        record = asdict(self)
        record.pop("session")
        text = json.dumps({"version": VERSION, **record}).encode()
        data = MAGIC + struct.pack("<I", len(text)) + text + self.session
        atomic_write(path, data + hashlib.sha256(data).digest())

    @classmethod
    def load(cls, path: Path) -> Checkpoint | None:
        """Read it; None if there is no such file. Raises InputError for a damaged file, or one of another version."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _damaged(path, f"cannot be read ({error})") from None
        fixed = len(MAGIC) + 4
        if len(data) < fixed + _DIGEST or not data.startswith(MAGIC):
            raise _damaged(path, "is not the snapshot of a run")
        if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
            raise _damaged(path, "is damaged: its checksum does not match")
        (size,) = struct.unpack("<I", data[len(MAGIC) : fixed])
        text = data[fixed : fixed + size]
        try:
            version = json.loads(text)["version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _damaged(path, "has no readable header") from None
        if version != VERSION:
            raise _damaged(path, f"has version {str(version)[:20]}, this is {VERSION}")
        try:
            header = _Header.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise _damaged(path, f"has a header that cannot be used ({where[:80]}: {first['msg'][:120]})") from None
        if len(text) < size or fixed + size > len(data) - _DIGEST:
            raise _damaged(path, "ends too early")
        _check_position(path, header)
        return cls(
            header.source,
            header.position,
            header.event_bytes,
            header.reported,
            data[fixed + size : -_DIGEST],
            header.event_inode,
            header.event_tail,
            header.rotated,
            header.hidden,
        )


def _check_position(path: Path, header: _Header) -> None:
    """Raises InputError for a position from which its source cannot continue."""
    fields = _POSITIONS.get(header.source.partition(" ")[0])
    if fields is None or header.position is None:
        return
    if header.position.keys() != fields.keys():
        raise _damaged(path, "has a position that does not fit its source")
    for name, kind in fields.items():
        try:
            TypeAdapter(kind).validate_python(header.position[name], strict=True)
        except ValidationError:
            raise _damaged(path, f"has a position that cannot be used ({name})") from None


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        "snapshot-unreadable",
        f"{path} {why}",
        required="a snapshot file that punctum wrote and nobody edited",
        next_step="remove it, and the events of that run, to start over",
    )
