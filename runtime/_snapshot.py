"""A session as bytes and back. A header line of JSON, then the arrays; versioned, checked, no pickle.

Layout: magic, 4 bytes header length, header (JSON), arrays (float32, little-endian, in the header's order), sha256 of
all before it. Two sessions in one state give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._buffer import RowBuffer
from ._islands import Island
from .errors import InputError
from .live import LiveOptions, Report
from .plan import Plan, Stats

if TYPE_CHECKING:
    from .backends._protocol import Backend
    from .session import Session

MAGIC = b"punctum-session\n"
VERSION = 2
DIGEST = 32


def freeze(session: Session) -> bytes:
    """All that decides what the session will say from here on."""
    arrays = {
        "features": (session._features.base, session._features.rows),
        "tracks": (session._tracks.base, session._tracks.rows),
    }
    header = {
        "version": VERSION,
        "plan": _plan_record(session.plan),
        "stream": session.stream,
        "start_s": session.start_s,
        "live": None if session.live is None else asdict(session.live),
        "degraded": session.degraded,
        "closed": session._closed,
        "taken": session._taken,
        "serial": session._serial,
        "broken": session._broken,
        "holes": session._holes,
        "open": [finder.open for finder in session._finders],
        "waiting": [asdict(island) for island in session._waiting],
        "reports": [asdict(report) for report in session._reporter.live],
        "report_count": session._reporter.count,
        "stats": asdict(session.stats),
        "arrays": {name: {"base": base, "shape": list(rows.shape)} for name, (base, rows) in arrays.items()},
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = b"".join(np.ascontiguousarray(rows, "<f4").tobytes() for _, rows in arrays.values())
    data = MAGIC + struct.pack("<I", len(text)) + text + body
    return data + hashlib.sha256(data).digest()


def thaw(data: bytes, plan: Plan, backend: Backend) -> Session:
    """The session that `freeze` saw, on this engine.

    Raises InputError for bytes that are damaged or no snapshot, for a newer version, and for another bundle's.
    """
    from .session import Session

    header, body = _open(data)
    if header["plan"] != _plan_record(plan):
        raise InputError(
            "snapshot-bundle",
            f"a snapshot made with bundle {header['plan'].get('bundle_id', '')!r}",
            f"one made with this bundle, {plan.bundle_id!r}, and the same post-processing",
            "restore it with its own bundle, or begin a new session",
        )
    live = header["live"]
    session = Session(
        plan,
        backend,
        stream=header["stream"],
        start_s=header["start_s"],
        live=None if live is None else LiveOptions(**live),
    )
    session.degraded, session._closed, session._taken = header["degraded"], header["closed"], header["taken"]
    session._serial, session._broken = header["serial"], header["broken"]
    session._holes = [(int(i), int(n)) for i, n in header["holes"]]
    for finder, begun in zip(session._finders, header["open"], strict=True):
        finder.open = None if begun is None else (int(begun[0]), float(begun[1]))
    session._waiting = [Island(**island) for island in header["waiting"]]
    session._reporter.live = [Report(**report) for report in header["reports"]]
    session._reporter.count = header["report_count"]
    session.stats = Stats(**header["stats"])
    session._features = _buffer(header["arrays"]["features"], body["features"])
    session._tracks = _buffer(header["arrays"]["tracks"], body["tracks"])
    session._looked = session._features.end - session._features.end % session._hop
    return session


def _plan_record(plan: Plan) -> dict[str, Any]:
    record = {**asdict(plan), "post": plan.post.model_dump(mode="json")}
    return json.loads(json.dumps(record))  # type: ignore[no-any-return]


def _buffer(record: dict[str, Any], rows: npt.NDArray[np.float32]) -> RowBuffer:
    return RowBuffer(rows.shape[1], base=int(record["base"]), rows=rows)


def _open(data: bytes) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.float32]]]:
    fixed = len(MAGIC) + 4
    if len(data) < fixed + DIGEST or not data.startswith(MAGIC):
        raise _damaged("these bytes are no session snapshot")
    if hashlib.sha256(data[:-DIGEST]).digest() != data[-DIGEST:]:
        raise _damaged("the snapshot is damaged: its checksum does not fit")
    (size,) = struct.unpack("<I", data[len(MAGIC) : fixed])
    try:
        header: dict[str, Any] = json.loads(data[fixed : fixed + size])
        version = int(header["version"])
    except (ValueError, KeyError, TypeError):
        raise _damaged("the snapshot has no readable header") from None
    if version != VERSION:
        raise InputError(
            "snapshot-version",
            f"a snapshot of version {version}",
            f"version {VERSION}",
            "use a matching punctum version",
        )
    arrays, at = {}, fixed + size
    for name in ("features", "tracks"):
        rows, columns = header["arrays"][name]["shape"]
        stop = at + 4 * rows * columns
        if stop > len(data) - DIGEST:
            raise _damaged("the snapshot ends too early")
        arrays[name] = np.frombuffer(data[at:stop], "<f4").reshape(rows, columns).astype(np.float32)
        at = stop
    return header, arrays


def _damaged(given: str) -> InputError:
    return InputError("snapshot-damaged", given, "the bytes of Session.snapshot", "use an earlier snapshot")
