"""Answers of the server in JSON, whatever text is in them: names and messages may have bytes of any encoding."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response


def json_answer(content: Any, status: int = 200) -> Response:
    """An answer in JSON in ASCII, which can be written for any text."""
    return Response(json.dumps(content, allow_nan=False, separators=(",", ":")), status, media_type="application/json")
