"""Events: one action with its start, end, class, confidence, phase and identity."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ..errors import InputError
from ..text.display import json_safe

Phase = Literal["open", "update", "final", "retracted"]
SCHEMA = "punctum.event/1"


@dataclass(frozen=True, slots=True)
class Event:
    """One action. Times are seconds on the media clock. A consumer may ignore all phases but "final".

    Attributes:
        stream: Name of the stream or recording.
        id: Identifies the action in all its events.
        revision: 0 in the first event of an action, and one more in each later one.
        phase: "open" (first report: the action runs), "update" (it may still change), "final", or "retracted".
        label: Class.
        score: Confidence, 0 to 1. With a calibrated bundle: the probability that an action of the class happened there.
        start: Start of the action.
        end: End of the action; while it runs, the latest instant seen.
        emitted_at: Media time at which everything that the event depends on had been seen.
        delay_s: `emitted_at` minus `end`.
        bundle: Id of the bundle.
        ended: False while the action runs.
        dropped: Snippets dropped in a gap next to the action, plus video frames lost inside it.
        interrupted: A gap cut the action off.
        degraded: Scored with reduced effort under overload, without the center scorer.
        start_utc: Time of day of `start`, ISO 8601 with milliseconds and Z; None if media time has no known relation
            to a clock.
        end_utc: Time of day of `end`.
        raw_score: The score before calibration, which ranks events of one class alike; None if the bundle is not
            calibrated.

    Example:
        >>> from punctum.runtime import Event
        >>> event = Event("clip", "clip/open/5/0", 0, "final", "open", 0.9, 1.0, 2.0, 3.0, 1.0, "b-1.0.0-0123")
        >>> Event.from_json(event.to_json()) == event
        True
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
    start_utc: str | None = None
    end_utc: str | None = None
    raw_score: float | None = None

    def to_json(self) -> str:
        """One line of JSON, which `from_json` reads."""
        record = asdict(self)
        record["event"] = record.pop("id")
        return json_safe(json.dumps({"schema": SCHEMA, **record}, ensure_ascii=False, separators=(",", ":")))

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Read one line. Unknown fields are ignored.

        Raises:
            InputError: Another schema, a missing field, or a field of another type.
        """
        try:
            record: dict[str, Any] = json.loads(line)
            schema = record.get("schema")
            if schema != SCHEMA:
                raise InputError(
                    "event-schema",
                    f"The event has schema {str(schema)[:80]!r}",
                    SCHEMA,
                    "use a matching punctum version",
                )
            record["id"] = record.pop("event")
            event = cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(
                "event-unreadable",
                f"The line is not an event: {line[:80]!r} ({_reason(error)})",
                "one JSON object per line",
                "check the file",
            ) from None
        try:
            event.check_types()
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(
                "event-invalid",
                f"The event is invalid: {line[:80]!r} ({str(error)[:200]})",
                "the fields of an event, each of its type",
                "check what wrote the file",
            ) from None
        return event

    def check_types(self) -> None:
        """Raises TypeError, ValueError or OverflowError for a field of another type, or text that is no Unicode."""
        for name in ("stream", "id", "label", "bundle"):
            _need(name, getattr(self, name), str)
        for name in ("start_utc", "end_utc"):
            if getattr(self, name) is not None:
                _need(name, getattr(self, name), str)
        numbers = ["score", "start", "end", "emitted_at", "delay_s"]
        if self.raw_score is not None:
            numbers.append("raw_score")
        for name in numbers:
            _need(name, getattr(self, name), int | float)
            float(
                getattr(self, name)
            )  # JSON's integers have no bound; whether the value is plausible is checked by readers
        for name in ("revision", "dropped"):
            _need(name, getattr(self, name), int)
        for name in ("ended", "interrupted", "degraded"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} is not true or false")
        if self.phase not in get_args(Phase):
            raise ValueError(f"phase is {str(self.phase)[:40]!r}")


def _need(name: str, value: Any, kind: Any) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} is {type(value).__name__}")
    if isinstance(value, str):
        value.encode()  # a lone surrogate could not be written


def _reason(error: Exception) -> str:
    return f"no field {error}" if isinstance(error, KeyError) else str(error)[:200] or type(error).__name__
