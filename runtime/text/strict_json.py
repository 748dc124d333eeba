"""Strict JSON for untrusted files: UTF-8, no duplicate keys, no NaN, bounded depth."""

from __future__ import annotations

import json
from typing import NoReturn

from .display import shown
from .json_types import JsonObject, JsonValue

JSON_DEPTH = 64
"""Maximum nesting of a document, checked before anything recurses into it."""


def parse_json(data: bytes) -> JsonValue:
    """Parse a document. Raises ValueError with a readable reason for any invalid bytes."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise ValueError("it begins with a byte order mark")
    try:
        found: JsonValue = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError(f"nested more than {JSON_DEPTH} deep") from None
    _check_depth(found)
    return found


def _object(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    made: JsonObject = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key {shown(key, 60)!r} appears twice")
        made[key] = value
    return made


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _check_depth(document: JsonValue) -> None:
    level = [document]
    for _ in range(JSON_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {JSON_DEPTH} deep")
