"""A session as bytes and back. A header line of JSON, then the arrays; versioned, checked, no pickle.

Layout: magic, 4 bytes header length, header (JSON), arrays (float32, little-endian, in the header's order), sha256 of
all before it. Two sessions in one state give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError
from ..features.media_clock import MAX_MEDIA_S
from ..live import LiveOptions, Report
from .buffer import RowBuffer
from .islands import Island, Place
from .jobs import ROUNDING
from .plan import Plan, Stats

if TYPE_CHECKING:
    from .engine import Backend
    from .session import Session

MAGIC = b"punctum-session\n"
VERSION = 3
DIGEST = 32
MOST = 2**53  # counts and indices; float64 holds all of them

Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(ge=-2 * MAX_MEDIA_S, le=2 * MAX_MEDIA_S)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class _Place(_Strict):
    index: Count
    offset: float = Field(ge=-0.5, le=1.0)
    edge: bool


class _Island(_Strict):
    label: Count
    start: _Place
    end: _Place
    closed_at: Count


class _Report(_Strict):
    id: str = Field(min_length=1)
    label: Count
    start: Seconds
    end: Seconds
    score: Positive
    ended: bool
    revision: Count


class _Live(_Strict):
    max_delay_s: float | None
    report_score: float
    open_score: float
    tick_s: float | None


class _Array(_Strict):
    base: Count
    shape: tuple[Count, Count]


class _Arrays(_Strict):
    features: _Array
    tracks: _Array


class _Stats(_Strict):
    locate_s: Positive
    islands_s: Positive
    score_s: Positive
    post_s: Positive
    report_s: Positive
    media_s: Positive
    snippets: Count
    islands: Count
    events: Count
    gaps: Count
    dropped: Count


class _Header(_Strict):
    version: int
    plan: dict[str, Any]
    stream: str
    run_id: str = Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")
    resets: Count
    start_s: float = Field(ge=-MAX_MEDIA_S, le=MAX_MEDIA_S)
    live: _Live | None
    degraded: bool
    closed: bool
    taken: bool
    serial: Count
    broken: Count
    holes: list[tuple[Count, Count]]
    open: list[_Place | None]
    waiting: list[_Island]
    reports: list[_Report]
    report_count: Count
    stats: _Stats
    arrays: _Arrays


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
        "run_id": session.run_id,
        "resets": session._resets,
        "start_s": session.start_s,
        "live": None if session.live is None else asdict(session.live),
        "degraded": session.degraded,
        "closed": session._closed,
        "taken": session._taken,
        "serial": session._serial,
        "broken": session._broken,
        "holes": session._holes,
        "open": [None if finder.open is None else asdict(finder.open) for finder in session._finders],
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

    header, rows = _open(data)
    if header.plan != _plan_record(plan):
        raise InputError(
            "snapshot-bundle",
            f"a snapshot made with bundle {str(header.plan.get('bundle_id', ''))[:80]!r}",
            f"one made with this bundle, {plan.bundle_id!r}, and the same post-processing",
            "restore it with its own bundle, or begin a new session",
        )
    session = Session(
        plan,
        backend,
        stream=header.stream,
        start_s=header.start_s,
        live=None if header.live is None else LiveOptions(**header.live.model_dump()),
        run_id=header.run_id,
    )
    session.degraded, session._closed, session._taken = header.degraded, header.closed, header.taken
    session._serial, session._broken, session._resets = header.serial, header.broken, header.resets
    session._holes = list(header.holes)
    session._features = _buffer(header.arrays.features, rows["features"], plan.dim)
    session._tracks = _buffer(header.arrays.tracks, rows["tracks"], len(plan.labels) + 1)
    session._looked = session._features.end - session._features.end % session._hop
    if len(header.open) != len(session._finders):
        _damaged("the snapshot has another number of classes")
    for finder, begun in zip(session._finders, header.open, strict=True):
        finder.open = None if begun is None else _place(begun, start=True)
    session._waiting = [
        Island(one.label, _place(one.start, start=True), _place(one.end, start=False), one.closed_at)
        for one in header.waiting
    ]
    session._reporter.live = [Report(**report.model_dump()) for report in header.reports]
    session._reporter.count = header.report_count
    session.stats = Stats(**header.stats.model_dump())
    _check(session)
    return session


def _check(session: Session) -> None:
    """Raises InputError unless the parts fit together: what the next look will read is there."""
    plan, features, tracks = session.plan, session._features, session._tracks
    classes, context, end = len(plan.labels), session.plan.context, tracks.end
    expected = max(session._looked - plan.right, 0)
    fits = end == expected and features.base <= max(end - plan.left, 0) and tracks.base <= max(end - 1, 0)
    if not fits and not session._closed:  # a closed one will not look again
        _damaged("the parts of the snapshot do not fit together")
    if not np.isfinite(features.rows).all():
        _damaged("the features in the snapshot are not finite")
    if tracks.rows.size and not (tracks.rows.min() >= -ROUNDING and tracks.rows.max() <= 1 + ROUNDING):
        _damaged("the tracks in the snapshot are no probabilities")
    oldest = max(features.base, tracks.base)
    begun = [finder.open for finder in session._finders if finder.open is not None]
    for place in [*begun, *(island.start for island in session._waiting)]:
        low = place.index if place.edge else max(place.index - context, 0)
        if low < oldest or place.index > end:
            _damaged("an island of the snapshot begins outside its rows")
    for island in session._waiting:
        if island.label >= classes or island.end.index >= end or island.end.position <= island.start.position:
            _damaged("an island of the snapshot ends outside its rows")
    for report in session._reporter.live:
        if report.label >= classes or report.end < report.start:
            _damaged("a report of the snapshot makes no sense")


def _plan_record(plan: Plan) -> dict[str, Any]:
    record = {**asdict(plan), "post": plan.post.model_dump(mode="json")}
    return json.loads(json.dumps(record))  # type: ignore[no-any-return]


def _place(record: _Place, *, start: bool) -> Place:
    border = Place.edge_before(record.index) if start else Place.edge_after(record.index)
    place = border if record.edge else Place(record.index, record.offset)
    if place.offset != record.offset or (not record.edge and record.offset < 0):
        _damaged("an offset of the snapshot is out of range")
    return place


def _buffer(record: _Array, rows: npt.NDArray[np.float32], width: int) -> RowBuffer:
    if rows.shape[1] != width:
        _damaged(f"the snapshot holds rows of {rows.shape[1]} values instead of {width}")
    return RowBuffer(width, base=record.base, rows=rows)


def _open(data: bytes) -> tuple[_Header, dict[str, npt.NDArray[np.float32]]]:
    fixed = len(MAGIC) + 4
    if not isinstance(data, bytes) or len(data) < fixed + DIGEST or not data.startswith(MAGIC):
        _damaged("these bytes are no session snapshot")
    if hashlib.sha256(data[:-DIGEST]).digest() != data[-DIGEST:]:
        _damaged("the snapshot is damaged: its checksum does not fit")
    (size,) = struct.unpack("<I", data[len(MAGIC) : fixed])
    if size > len(data) - fixed - DIGEST:
        _damaged("the snapshot ends too early")
    text = data[fixed : fixed + size]
    try:
        version = json.loads(text)["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        _damaged("the snapshot has no readable header")
    if version != VERSION:
        raise InputError(
            "snapshot-version",
            f"a snapshot of version {str(version)[:20]}",
            f"version {VERSION}",
            "finish that run with the version that wrote it, or begin a new session",
        )
    try:
        header = _Header.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        _damaged(f"the header of the snapshot cannot be used: {where[:80]}: {first['msg'][:120]}")
    arrays, at = {}, fixed + size
    for name in ("features", "tracks"):
        rows, columns = getattr(header.arrays, name).shape
        stop = at + 4 * rows * columns
        if stop > len(data) - DIGEST or (columns == 0 and rows > 0):
            _damaged("the snapshot ends too early")
        arrays[name] = np.frombuffer(data[at:stop], "<f4").reshape(rows, columns).astype(np.float32)
        at = stop
    if at != len(data) - DIGEST:
        _damaged("the snapshot has bytes to spare")
    return header, arrays


def _damaged(given: str) -> NoReturn:
    raise InputError("snapshot-damaged", given, "the bytes of Session.snapshot", "use an earlier snapshot")
