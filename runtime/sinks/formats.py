"""Events as text: JSON Lines (the complete form) and ActivityNet JSON (for evaluation tools)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..events.event import Event


def to_jsonl(events: Iterable[Event]) -> str:
    """One event per line."""
    return "".join(event.to_json() + "\n" for event in events)


def to_activitynet(results: Mapping[str, Iterable[Event]]) -> str:
    """Final events as {"version", "results": {video: [{"label", "score", "segment": [start_s, end_s]}]}}."""
    record: dict[str, Any] = {
        video: [{"label": e.label, "score": e.score, "segment": [e.start, e.end]} for e in events if e.phase == "final"]
        for video, events in results.items()
    }
    return json.dumps({"version": "punctum", "results": record, "external_data": {}}, indent=1) + "\n"
