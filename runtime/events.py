"""What the user gets: an action with start, end, class, confidence, phase and identity."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ._text import json_safe
from .errors import InputError

Phase = Literal["open", "update", "final", "retracted"]
SCHEMA = "punctum.event/1"


@dataclass(frozen=True, slots=True)
class Event:
    """One action. Times are float seconds on the media clock; a consumer may ignore all but phase "final".

    emitted_at: media time at which everything that this report rests on had been seen; delay_s = emitted_at - end.
    ended: False while the action still runs, and `end` is only the latest instant seen (phase open, or update).
    dropped: snippets lost at a break beside the span, and video frames lost within it; interrupted: the stream broke
    off while the action ran.
    degraded: scored in haste, under overload, by the locator alone.
    """

    stream: str
    id: str
    revision: int
    phase: Phase
    label: str
    score: float
    start: float
    end: float
    emitted_at: float
    delay_s: float
    bundle: str
    ended: bool = True
    dropped: int = 0
    interrupted: bool = False
    degraded: bool = False

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it back."""
        record = asdict(self)
        record["event"] = record.pop("id")
        return json_safe(json.dumps({"schema": SCHEMA, **record}, ensure_ascii=False, separators=(",", ":")))

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Read one line. Raises InputError for another schema or missing fields; unknown fields are ignored."""
        try:
            record: dict[str, Any] = json.loads(line)
            schema = record.get("schema")
            if schema != SCHEMA:
                raise InputError(
                    "event-schema", f"an event of schema {schema!r}", SCHEMA, "use a matching punctum version"
                )
            record["id"] = record.pop("event")
            return cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "event-unreadable", f"not an event: {line[:80]!r} ({error})", "one JSON object a line", "check the file"
            ) from None
