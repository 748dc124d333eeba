"""The state of a live run as one file, from which a killed process goes on: session, place in the source, event file.

Layout: magic, 4 bytes length of a header (JSON), header, the session's snapshot, sha256 of all before it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..datatypes import compact
from ..errors import InputError
from ..files.atomic import atomic_write
from ..sinks.rotation import Mark, take_back

MAGIC = b"punctum-run\n"
VERSION = 1
_DIGEST = 32


Count = Annotated[int, Field(ge=0, le=2**53)]


# What a position of each source holds: counts, or the name of a file.
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


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Checkpoint:
    """source: kind and name of it; position: where to go on (None: at its beginning); event_bytes: length of the event
    file that belongs to it; reported: ids that passed the score filter; session: `Session.snapshot`; event_inode,
    event_tail: which file that was, and how it ended (see `_rotation`); rotated: (bytes, inode, tail) of event files
    that were rotated away since."""

    source: str
    position: dict[str, Any] | None
    event_bytes: int
    reported: tuple[str, ...]
    session: bytes
    event_inode: int = 0
    event_tail: str = ""
    rotated: tuple[tuple[int, int, str], ...] = ()

    def take_back(self, path: Path) -> int:
        """Cut what the event files hold beyond this snapshot; the length of `path` that is left. Raises InputError."""
        before = tuple(Mark(*mark) for mark in self.rotated)
        return take_back(path, Mark(self.event_bytes, self.event_inode, self.event_tail), before)

    def after_rotation(self, inode: int) -> Checkpoint:
        """The same snapshot for a run that goes on in a new, empty event file."""
        before = (*self.rotated, (self.event_bytes, self.event_inode, self.event_tail))
        return replace(self, event_bytes=0, event_inode=inode, event_tail="", rotated=before)

    def save(self, path: Path) -> None:
        """Atomically: a reader sees the old one or this one."""
        record = asdict(self)
        record.pop("session")
        text = json.dumps({"version": VERSION, **record}).encode()
        data = MAGIC + struct.pack("<I", len(text)) + text + self.session
        atomic_write(path, data + hashlib.sha256(data).digest())

    @classmethod
    def load(cls, path: Path) -> Checkpoint | None:
        """None when there is no such file. Raises InputError for a damaged one, or another version's."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _damaged(path, f"cannot be read ({error})") from None
        fixed = len(MAGIC) + 4
        if len(data) < fixed + _DIGEST or not data.startswith(MAGIC):
            raise _damaged(path, "is no snapshot of a run")
        if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
            raise _damaged(path, "is damaged: its checksum does not fit")
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
        )


def _check_position(path: Path, header: _Header) -> None:
    """Raises InputError for a place that its source cannot go on from."""
    fields = _POSITIONS.get(header.source.partition(" ")[0])
    if fields is None or header.position is None:
        return
    if header.position.keys() != fields.keys():
        raise _damaged(path, "has another kind of position than its source")
    for name, kind in fields.items():
        try:
            TypeAdapter(kind).validate_python(header.position[name], strict=True)
        except ValidationError:
            raise _damaged(path, f"has a position that cannot be used ({name})") from None


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        "snapshot-unreadable",
        f"{path} {why}",
        "a file written by --snapshot",
        "remove it, and the events of that run, to begin anew",
    )
