"""Reading of untrusted JSON: numbers of any size, repeated names, values of any type."""

from __future__ import annotations

import json
import math

from ..datasets.tables import parse_json as parse_text
from ..text.json_types import JsonObject, JsonValue
from ..text.numbers import Style
from ._options import Source


def parse_json(source: Source) -> JsonValue:
    """Parse JSON. Raises InputError, also for an object that contains a key twice."""
    try:
        found: JsonValue = parse_text(source.text())
    except (ValueError, RecursionError) as error:
        raise source.wrong(f"it is not JSON ({error})", "one JSON document") from None
    return found


def number(value: JsonValue) -> float:
    """A finite number, possibly written as text. Raises ValueError with the reason."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{brief(value)} is not a number")
    try:
        found = Style().number(value) if isinstance(value, str) else float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"{brief(value)} is not a finite number")
    return found


def positive(value: JsonValue, most: float = 1e10) -> float | None:
    """A number above 0; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= most else None


def text_of(value: JsonValue) -> str:
    """Text; empty for anything else."""
    return value if isinstance(value, str) else ""


def record(value: JsonValue) -> JsonObject:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def listed(value: JsonValue) -> list[JsonValue]:
    """A list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def brief(value: JsonValue) -> str:
    """The beginning of a value, for an error message."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return "an integer of more than 30 digits"
    try:
        return json.dumps(value)[:80]
    except (RecursionError, ValueError, TypeError):
        return f"a {type(value).__name__}"
