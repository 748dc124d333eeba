"""What the API gives out, as JSON, and keys and cursors that are safe in addresses."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ...credentials.redact import clean, redact, redact_pipeline
from ...text.display import json_safe
from ..gap_reasons import reason_of
from ..store.rows import EventRow, GapRow, MediaRow, Report, Review
from .problems import refusal
from .view import BundleView, CameraView, SinkView, Tracks

MOST_KEY = 2048


def key_of(id: str) -> str:
    """The id of an event in addresses: ids contain slashes, which proxies decode."""
    return base64.urlsafe_b64encode(id.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def id_of(key: str) -> str:
    """The id of an event from its key. Raises ApiProblem."""
    try:
        if len(key) > MOST_KEY:
            raise ValueError
        data = key.encode("ascii")
        id = base64.b64decode(data + b"=" * (-len(data) % 4), b"-_", validate=True).decode("utf-8")
        if key_of(id) != key:
            raise ValueError
    except (ValueError, binascii.Error):
        raise unknown_event() from None
    return id


def unknown_event() -> Exception:
    """The error for an event that does not exist."""
    return refusal(404, "site-api-event", "There is no such event", "", "list the events with api/v1/events")


def event_record(row: EventRow) -> dict[str, Any]:
    """An event with its latest report, its media and its review."""
    event, key = row.event, key_of(row.id)
    url = f"events/{row.camera}/{key}"
    return {
        **{"camera": row.camera, "id": row.id, "key": key, "url": url},
        **{"bundle": row.bundle, "bundle_id": event.bundle},
        **{"label": event.label, "score": event.score, "raw_score": event.raw_score},
        **{"phase": event.phase, "revision": event.revision, "ended": event.ended},
        **{"start": event.start, "end": event.end, "delay_s": event.delay_s},
        **{"start_unix": row.start_unix, "end_unix": row.end_unix},
        **{"first_unix": row.first_unix, "updated_unix": row.updated_unix},
        **{"dropped": event.dropped, "interrupted": event.interrupted, "degraded": event.degraded},
        "clip": media_record(row.clip, f"{url}/clip"),
        "picture": media_record(row.picture, f"{url}/picture"),
        "review": None if row.review is None else review_record(row.review),
    }


def media_record(row: MediaRow | None, url: str) -> dict[str, Any] | None:
    """A clip or picture. None: it is not there yet, or none is made."""
    if row is None:
        return None
    if row.path is None:
        return {"url": None, "bytes": 0, "start_s": row.start_s, "end_s": row.end_s, "why": row.why}
    made = {"url": f"{url}?v={media_version(row)}", "bytes": row.bytes}
    return {**made, "start_s": row.start_s, "end_s": row.end_s, "why": row.why}


def media_version(row: MediaRow) -> str:
    """Changes with the file. Addresses with it may be kept for ever."""
    return hashlib.sha256(f"{row.path}|{row.bytes}|{row.start_s}|{row.end_s}".encode()).hexdigest()[:16]


def review_record(row: Review) -> dict[str, Any]:
    """A review."""
    return {name: getattr(row, name) for name in ("verdict", "label", "start", "end", "by", "unix", "note")}


def report_record(row: Report) -> dict[str, Any]:
    """A report, for streams of events: the event as sinks get it."""
    return {
        "id": row.id,
        "camera": row.camera,
        "bundle": row.bundle,
        "key": key_of(row.event.id),
        "received_unix": row.received_unix,
        "start_unix": unix_of(row.event.start_utc),
        "end_unix": unix_of(row.event.end_utc),
        "event": json.loads(row.event.to_json()),
    }


def unix_of(text: str | None) -> float | None:
    """Unix time of a time of day of an event; None without one."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def camera_record(view: CameraView) -> dict[str, Any]:
    """A camera. Passwords in its address are hidden."""
    config = view.config
    shown = config.model_dump(mode="json", exclude_defaults=True)
    shown["source"] = redact_pipeline(config.source) if config.source.startswith("gst:") else redact(config.source)
    return {
        **{"name": view.name, "state": view.state, "why": clean(view.why), "next_step": clean(view.next_step)},
        **{"since_unix": view.since_unix, "enabled": config.enabled, "source": shown["source"]},
        **{"bundles": list(config.bundles), "picture": view.picture, "tracks": view.tracks},
        **{"degraded": view.degraded, "missing_share": view.missing_share},
        **{"stats": plain(view.stats), "losses": plain(view.losses), "config": shown},
    }


def bundle_record(view: BundleView) -> dict[str, Any]:
    """A bundle, and the version that is about to take over."""
    return {
        **{"name": view.name, "id": view.id, "version": view.version, "state": view.state, "why": clean(view.why)},
        **{"labels": list(view.labels), "next_id": view.next_id, "next_version": view.next_version},
        **{"min_score": plain(view.min_score), "stats": plain(view.stats)},
    }


def sink_record(view: SinkView) -> dict[str, Any]:
    """An output."""
    names = ("name", "type", "state", "delivered", "retried", "refused", "waiting", "oldest_s", "last_error")
    return {**{name: plain(getattr(view, name)) for name in names}, "last_error": clean(view.last_error)}


def gap_record(row: GapRow) -> dict[str, Any]:
    """A gap."""
    return {name: getattr(row, name) for name in _GAP} | {"reason": reason_of(row.reason)}


_GAP = ("camera", "start_s", "end_s", "start_unix", "end_unix", "snippets")


def tracks_record(tracks: Tracks) -> dict[str, Any]:
    """Tracks, rounded to what a page can show."""
    return {
        **{"bundle": tracks.bundle, "start_s": tracks.start_s, "stride_s": tracks.stride_s},
        "start_unix": tracks.start_unix,
        "actionness": [round(float(x), 4) for x in tracks.actionness],
        "classes": {label: [round(float(x), 4) for x in values] for label, values in tracks.classes.items()},
    }


def plain(value: Any) -> Any:
    """The value with what JSON cannot express left out: numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def dumped(payload: Any) -> bytes:
    """JSON in UTF-8. Text that is no Unicode is escaped."""
    return json_safe(json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)).encode()


def answer(request: Request, payload: Any) -> Response:
    """JSON with an ETag; 304 where the client has it already."""
    body = dumped(payload)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def matches(header: str | None, tag: str) -> bool:
    """Whether If-None-Match names a tag."""
    return header is not None and any(
        part.strip().removeprefix("W/") in (tag, "*") for part in header[:4096].split(",")
    )
