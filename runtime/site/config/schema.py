"""The published JSON Schema of the configuration, made of the models."""

from __future__ import annotations

import json
from typing import Any

from .models import SiteConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "Configuration of punctum serve"


def site_schema() -> dict[str, Any]:
    """The schema, draft 2020-12. Editors take it for completion and hints."""
    schema = SiteConfig.model_json_schema(mode="validation")
    cleaned = _without_titles(schema)
    return {"$schema": DIALECT, "title": TITLE, **cleaned}


def schema_text() -> str:
    """The schema as the file that is published."""
    return json.dumps(site_schema(), indent=2, ensure_ascii=False) + "\n"


def _without_titles(value: Any, *, names: bool = False) -> Any:
    """Without titles, which repeat the names of fields, and without names that the models refuse.

    names: the keys of this mapping are names of fields.
    """
    if isinstance(value, dict):
        # Pydantic states the pattern of names, but not that there are no others.
        closed = {"additionalProperties": False} if "patternProperties" in value and not names else {}
        return closed | {
            key: _without_titles(one, names=key in ("properties", "$defs") and not names)
            for key, one in value.items()
            if names or key != "title"
        }
    return [_without_titles(one) for one in value] if isinstance(value, list) else value
