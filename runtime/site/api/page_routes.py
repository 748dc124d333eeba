"""The files of the page."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePath

from fastapi import APIRouter, Request
from starlette.responses import Response

from ...web import SHARED, shared_file
from .problems import refusal
from .records import matches

router = APIRouter(include_in_schema=False)
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def _file(name: str) -> tuple[bytes, str, str] | None:
    """Content, media type and ETag of a file of the page; None if it is none."""
    found: Traversable | None
    if name in SHARED:
        found = shared_file(name)
    else:
        found = next((f for f in resources.files("punctum.runtime.site.page").iterdir() if f.name == name), None)
    kind = _TYPES.get(PurePath(name).suffix)
    if found is None or kind is None or not found.is_file():
        return None
    data = found.read_bytes()
    return data, f"{kind}; charset=utf-8", f'"{hashlib.sha256(data).hexdigest()[:32]}"'


@router.get("/")
def index(request: Request) -> Response:
    return page(request, "index.html")


@router.get("/page/{name}")
def page(request: Request, name: str) -> Response:
    known = _file(name) if len(name) <= 40 and name in _names() else None
    if known is None:
        raise refusal(404, "site-api-path", "There is nothing at this address", "", "open the page at /")
    data, kind, tag = known
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


@cache
def _names() -> frozenset[str]:
    own = (f.name for f in resources.files("punctum.runtime.site.page").iterdir())
    return frozenset({*SHARED, *(name for name in own if PurePath(name).suffix in _TYPES)})
