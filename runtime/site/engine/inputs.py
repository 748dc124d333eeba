"""The messages about a camera as records: what they say, and whether it can be used."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import InputError, PunctumError
from ...features.features import check_features
from ...features.media_clock import check_media_time
from ...session.chunk import check_lost
from ..gap_reasons import GapReason, reason_of
from ..wire import Header
from .journal import Record

STREAM_TYPES = ("begin", "chunk", "gap")
MOST_POSITION = 1 << 16  # characters of a position in a message


def record_of(header: Header, payload: bytes, *, dim: int) -> Record:
    """A message about a stream as a record. Raises InputError for one that cannot be used."""
    try:
        kind = header["type"]
        if kind == "begin":
            restart, replayable = header.get("restart") is True, header.get("replayable") is True
            start_s = _time(header["start_s"])
            begin = {"type": kind, "start_s": start_s, "restart": restart, "replayable": replayable}
            return Record({**begin, "reason": _reason(header)})
        if kind == "gap":
            return Record({"type": kind, "until_s": _time(header["until_s"]), "reason": reason_of(header["reason"])})
        return _chunk(header, payload, dim)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "site-message", f"A message about a stream cannot be used ({type(error).__name__}: {error})"[:300]
        ) from None


def _chunk(header: Header, payload: bytes, dim: int) -> Record:
    count = header["rows"]
    if not isinstance(count, int) or header["dim"] != dim or count < 0 or len(payload) != 4 * count * dim:
        raise InputError(
            "features-dimension",
            f"A chunk of {str(count)[:20]} snippets of dimension {str(header['dim'])[:20]} has {len(payload)} bytes",
            f"dimension {dim}, and 4 bytes for each number",
            "use the same version of punctum for all processes of a site",
        )
    rows = check_features(np.frombuffer(payload, "<f4").reshape(count, dim), dim=dim)
    lost = check_lost([tuple(one) for one in header.get("lost") or ()], count)
    at = header.get("at")
    kept: dict[str, Any] = {
        "type": "chunk",
        "at": None if at is None else _time(at),
        "lost": [list(one) for one in lost],
    }
    position = header.get("position")
    if position is not None and (not isinstance(position, dict) or len(str(position)) > MOST_POSITION):
        raise InputError("site-message", "The position of a chunk is not a small object", next_step="check the source")
    kept["position"] = position
    kept["reason"] = _reason(header)
    for name in ("arrival_unix", "arrival_steady"):
        value = header.get(name)
        kept[name] = float(value) if value is not None and math.isfinite(float(value)) else None
    return Record(kept, rows)


def _reason(header: Header) -> GapReason | None:
    """Why something is missing before it; None: its sender does not know of anything."""
    return None if header.get("reason") is None else reason_of(header["reason"])


def _time(value: Any) -> float:
    """A media time in seconds. Raises InputError."""
    at = float(value)
    check_media_time(at, "a message about a stream")
    return at


def min_score_of(value: Any) -> float | dict[str, float]:
    """A minimum score from a message: a number, or one for each class. Raises InputError."""
    try:
        if isinstance(value, dict):
            return {str(label): _score(one) for label, one in value.items()}
        return _score(value)
    except (TypeError, ValueError, PunctumError):
        raise InputError(
            "min-score", f"The minimum score {str(value)[:80]} cannot be used", "0 to 1", "correct `min_score`"
        ) from None


def _score(value: Any) -> float:
    score = float(value)
    if not 0 <= score <= 1:
        raise ValueError(score)
    return score
