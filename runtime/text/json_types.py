"""Types of JSON documents, for code that reads them field by field."""

from __future__ import annotations

from typing import TypeAlias, Union

JsonValue: TypeAlias = Union[bool, int, float, str, "list[JsonValue]", "dict[str, JsonValue]", None]
"""What `json` makes of a document."""
JsonObject: TypeAlias = dict[str, JsonValue]
