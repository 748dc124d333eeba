"""JSON whose objects record the line on which they begin, for the messages of checks."""

from __future__ import annotations

import json
from bisect import bisect_right
from json.decoder import JSONDecoder, JSONObject  # type: ignore[attr-defined]  # not in the types of json
from json.scanner import py_make_scanner  # type: ignore[attr-defined]  # nor this
from typing import Any

from .tables import repeated_keys


class LocatedDict(dict[str, Any]):
    """A JSON object, the line (from 1) of its opening brace, and the keys that it contained twice."""

    line: int = 0
    repeated: tuple[str, ...] = ()


def parse_located(text: str) -> Any:
    """Parse JSON with LocatedDict for objects. Raises json.JSONDecodeError and RecursionError."""
    breaks = [i for i, character in enumerate(text) if character == "\n"]

    class Decoder(JSONDecoder):
        def __init__(self) -> None:
            super().__init__(object_pairs_hook=_pairs)
            # The C scanner ignores parse_object. The Python scanner is fast enough for annotations.
            self.parse_object = self._object
            self.scan_once = py_make_scanner(self)

        def _object(self, where: tuple[str, int], *rest: Any, **named: Any) -> tuple[Any, int]:
            value, end = JSONObject(where, *rest, **named)
            if isinstance(value, LocatedDict):
                value.line = bisect_right(breaks, where[1] - 1) + 1
            return value, end

    return json.loads(text, cls=Decoder)


def _pairs(pairs: list[tuple[str, Any]]) -> LocatedDict:
    found = LocatedDict(pairs)
    if len(found) != len(pairs):
        found.repeated = repeated_keys(pairs)
    return found
