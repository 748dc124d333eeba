"""Encodes the state of a session as bytes and back: versioned, checked, no pickle.

Layout: magic, 4 bytes header length, header (JSON), arrays (float32, little-endian, in the header's order), SHA-256 of
everything before. Equal states give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, fields
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError
from ..features.media_clock import MAX_MEDIA_S
from ..live import LiveOptions
from .islands import Endpoint, Island
from .plan import Plan, Stats
from .reporter import ReportedAction
from .state import Rows, SessionState, damaged

MAGIC = b"punctum-session\n"
VERSION = 3
DIGEST = 32
MOST = 2**53  # counts and indices; float64 represents all of them

Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(ge=-2 * MAX_MEDIA_S, le=2 * MAX_MEDIA_S)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class _Endpoint(_Strict):
    index: Count
    offset: float = Field(ge=-0.5, le=1.0)
    edge: bool


class _Island(_Strict):
    label: Count
    start: _Endpoint
    end: _Endpoint
    closed_at: Count


class _Action(_Strict):
    id: str = Field(min_length=1)
    label: Count
    start: Seconds
    end: Seconds
    score: Positive
    ended: bool
    revision: Count


class _Live(_Strict):
    max_delay_s: float | None
    report_score: float | None
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
    """Field names are part of the format."""

    version: int
    plan: dict[str, object]
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
    open: list[_Endpoint | None]
    waiting: list[_Island]
    reports: list[_Action]
    report_count: Count
    stats: _Stats
    arrays: _Arrays


def encode(state: SessionState, plan: Plan) -> bytes:
    """The bytes of a state. plan: of the session, to recognize its bundle."""
    arrays = {"features": state.features, "tracks": state.tracks}
    header = {
        "version": VERSION,
        "plan": _plan_record(plan),
        "stream": state.stream,
        "run_id": state.run_id,
        "resets": state.resets,
        "start_s": state.start_s,
        "live": None if state.live is None else asdict(state.live),
        "degraded": state.degraded,
        "closed": state.closed,
        "taken": state.started,
        "serial": state.snippets_before,
        "broken": state.dropped_before,
        "holes": state.lost_frames,
        "open": [None if start is None else start._asdict() for start in state.open],
        "waiting": [
            {**island._asdict(), "start": island.start._asdict(), "end": island.end._asdict()}
            for island in state.pending
        ],
        "reports": [asdict(action) for action in state.actions],
        "report_count": state.action_count,
        "stats": asdict(state.stats),
        "arrays": {name: {"base": rows.base, "shape": list(rows.values.shape)} for name, rows in arrays.items()},
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = b"".join(np.ascontiguousarray(rows.values, "<f4").tobytes() for rows in arrays.values())
    data = MAGIC + struct.pack("<I", len(text)) + text + body
    return data + hashlib.sha256(data).digest()


def decode(data: bytes, plan: Plan) -> SessionState:
    """The state that `encode` was given. Whether its parts fit together is checked by `Session.from_state`.

    Raises:
        InputError: The bytes are damaged or not a snapshot, have another version, or belong to another bundle.
    """
    header, arrays = _parse(data)
    if header.plan != _plan_record(plan):
        raise InputError(
            "snapshot-bundle",
            f"The snapshot was made with bundle {str(header.plan.get('bundle_id', ''))[:80]!r}",
            f"snapshots of this bundle, {plan.bundle_id!r}, with the same post-processing",
            "restore it with its own bundle, or begin a new session",
        )
    return SessionState(
        stream=header.stream,
        run_id=header.run_id,
        resets=header.resets,
        start_s=header.start_s,
        live=None if header.live is None else LiveOptions(**header.live.model_dump()),
        degraded=header.degraded,
        closed=header.closed,
        started=header.taken,
        snippets_before=header.serial,
        dropped_before=header.broken,
        lost_frames=tuple(header.holes),
        open=tuple(None if start is None else _endpoint(start, start=True) for start in header.open),
        pending=tuple(
            Island(one.label, _endpoint(one.start, start=True), _endpoint(one.end, start=False), one.closed_at)
            for one in header.waiting
        ),
        actions=tuple(ReportedAction(**action.model_dump()) for action in header.reports),
        action_count=header.report_count,
        stats=Stats(**header.stats.model_dump()),
        features=Rows(header.arrays.features.base, arrays["features"]),
        tracks=Rows(header.arrays.tracks.base, arrays["tracks"]),
    )


def _plan_record(plan: Plan) -> dict[str, object]:
    # Without a calibration the field is left out: snapshots of earlier versions do not have it.
    parts = {field.name: getattr(plan, field.name) for field in fields(plan)}
    parts |= {name: parts[name].model_dump(mode="json") for name in ("post", "calibration") if parts[name] is not None}
    record: dict[str, object] = json.loads(json.dumps({k: v for k, v in parts.items() if v is not None}))
    return record


def _endpoint(record: _Endpoint, *, start: bool) -> Endpoint:
    edge = Endpoint.edge_before(record.index) if start else Endpoint.edge_after(record.index)
    endpoint = edge if record.edge else Endpoint(record.index, record.offset)
    if endpoint.offset != record.offset or (not record.edge and record.offset < 0):
        damaged("An offset of the snapshot is out of range")
    return endpoint


def _parse(data: bytes) -> tuple[_Header, dict[str, npt.NDArray[np.float32]]]:
    fixed = len(MAGIC) + 4
    if not isinstance(data, bytes) or len(data) < fixed + DIGEST or not data.startswith(MAGIC):
        damaged("These bytes are not a session snapshot")
    if hashlib.sha256(data[:-DIGEST]).digest() != data[-DIGEST:]:
        damaged("The snapshot is damaged: its checksum does not match")
    (size,) = struct.unpack("<I", data[len(MAGIC) : fixed])
    if size > len(data) - fixed - DIGEST:
        damaged("The snapshot is incomplete")
    text = data[fixed : fixed + size]
    try:
        version = json.loads(text)["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        damaged("The snapshot has no readable header")
    if version != VERSION:
        raise InputError(
            "snapshot-version",
            f"The snapshot has version {str(version)[:20]}",
            f"version {VERSION}",
            "finish that run with the version that wrote it, or begin a new session",
        )
    try:
        header = _Header.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        damaged(f"The header of the snapshot cannot be used: {where[:80]}: {first['msg'][:120]}")
    arrays, at = {}, fixed + size
    for name in ("features", "tracks"):
        rows, columns = getattr(header.arrays, name).shape
        stop = at + 4 * rows * columns
        if stop > len(data) - DIGEST or (columns == 0 and rows > 0):
            damaged("The snapshot is incomplete")
        arrays[name] = np.frombuffer(data[at:stop], "<f4").reshape(rows, columns).astype(np.float32)
        at = stop
    if at != len(data) - DIGEST:
        damaged("The snapshot has bytes after its arrays")
    return header, arrays
