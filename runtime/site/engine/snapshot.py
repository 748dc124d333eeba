"""The state of one stream in a file: its session, and what belongs to it.

Layout: magic, length of the header (4 bytes), header (JSON), snapshot of the session, SHA-256 of all of that.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...datatypes import compact
from ...errors import InputError
from ...files.atomic import atomic_write

MAGIC = b"punctum-site-stream\n"
VERSION = 1
_DIGEST = 32
_LENGTH = struct.Struct("<I")
Count = Annotated[int, Field(ge=0, le=2**53)]


class Cursor(BaseModel):
    """How far a stream has come.

    Attributes:
        run_id: Run id of its first run.
        runs: Number of later runs.
        now_s: Media time up to which it has features; None: it has not begun.
        position: Where its source goes on.
        max_delay_s: Of provisional events; None: final events only.
        cause: Why its source began again after the last features, and something may be missing; "" if it did not.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    run_id: str
    runs: Count = 0
    now_s: float | None = None
    position: dict[str, Any] | None = None
    max_delay_s: float | None = None
    cause: str = ""

    @property
    def present_run(self) -> str:
        """Run id of the present run."""
        return f"{self.run_id}.{self.runs}" if self.runs else self.run_id


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    version: int
    camera: str
    stream: str
    bundle_id: str
    generation: Count
    cursor: Cursor
    reported: dict[str, Count]
    arrival: dict[str, Any] | None


@compact
@dataclass(frozen=True, slots=True, repr=False)
class StreamSnapshot:
    """The state of a stream.

    Attributes:
        camera: Name of the camera.
        stream: Name of the stream in events.
        bundle_id: Id of the bundle.
        generation: Number of the journal that goes on from here.
        cursor: How far it has come.
        reported: State of the filter, see `EventFilter`.
        arrival: State of the time of day, see `Arrival.state`; None: it has none.
        session: `Session.snapshot`; empty: there is no session at the moment.
    """

    camera: str
    stream: str
    bundle_id: str
    generation: int
    cursor: Cursor
    reported: dict[str, int]
    arrival: dict[str, Any] | None
    session: bytes

    def save(self, path: Path) -> None:
        """Write it atomically, also with respect to a power failure. Raises PunctumError."""
        record: dict[str, Any] = {"version": VERSION, "cursor": self.cursor.model_dump()}
        record |= {k: v for k, v in asdict(self).items() if k not in ("session", "cursor")}
        text = json.dumps(record).encode()
        data = MAGIC + _LENGTH.pack(len(text)) + text + self.session
        atomic_write(path, data + hashlib.sha256(data).digest())

    @classmethod
    def load(cls, path: Path) -> StreamSnapshot | None:
        """Read it; None if there is no such file. Raises InputError for one that cannot be used."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, f"cannot be read ({error})") from None
        fixed = len(MAGIC) + _LENGTH.size
        if len(data) < fixed + _DIGEST or not data.startswith(MAGIC):
            raise _unusable(path, "is not the snapshot of a stream")
        if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
            raise _unusable(path, "is damaged: its checksum does not match")
        (size,) = _LENGTH.unpack(data[len(MAGIC) : fixed])
        text = data[fixed : fixed + size]
        try:
            header = _Header.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise _unusable(path, f"has a header that cannot be used ({where[:80]}: {first['msg'][:120]})") from None
        if header.version != VERSION:
            raise _unusable(path, f"has version {header.version}, this is {VERSION}")
        return cls(
            header.camera,
            header.stream,
            header.bundle_id,
            header.generation,
            header.cursor,
            header.reported,
            header.arrival,
            data[fixed + size : -_DIGEST],
        )


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        "snapshot-unreadable",
        f"{path} {why}",
        required="a snapshot that this service wrote and nobody edited",
        next_step="nothing: the stream begins anew",
    )
