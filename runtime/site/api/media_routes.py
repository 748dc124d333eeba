"""Clips, pictures and captions of events, and live pictures of cameras."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ..store.rows import EventRow, Kind, MediaRow
from .captions import webvtt
from .context import CameraName, EventKey, context, refusals
from .files import SentFile, open_below
from .live import LivePictures
from .problems import refusal
from .records import id_of, matches, media_version, unknown_event

router = APIRouter(tags=["media"])
_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
Version = Annotated[str | None, Query(max_length=64, description="As in `url` of the event: may be kept for ever.")]


def _row(request: Request, camera: str, key: str) -> EventRow:
    row = context(request).view.store.event(camera, id_of(key))
    if row is None:
        raise unknown_event()
    return row


def _media(row: EventRow, kind: Kind) -> MediaRow:
    media = row.clip if kind == "clip" else row.picture
    if media is None or media.path is None:
        why = f"There is no {kind} of this event" + (f": {media.why}" if media is not None and media.why else "")
        raise refusal(404, "site-api-media", why, "", "it may come later; see the event")
    return media


def _sent(request: Request, camera: str, key: str, kind: Kind, version: str | None) -> Response:
    media, settings = _media(_row(request, camera, key), kind), context(request).settings
    path = str(media.path)
    descriptor = open_below(settings.media, path)
    current = media_version(media)
    cache = "private, max-age=31536000, immutable" if version == current else "private, no-cache"
    suffix = "." + path.rpartition(".")[2].lower()
    kind_of = _TYPES.get(suffix, "application/octet-stream")
    return SentFile(descriptor, kind=kind_of, tag=f'"{current}"', cache=cache, slow_s=settings.slow_s)


@router.get(
    "/events/{camera}/{key}/clip",
    response_class=Response,
    responses={200: {"content": {"video/mp4": {}}, "description": "The clip."}, **refusals(401, 404)},
    summary="Clip of an event",
)
def clip(request: Request, camera: CameraName, key: EventKey, v: Version = None) -> Response:
    """Video around an event. Accepts ranges."""
    return _sent(request, camera, key, "clip", v)


@router.get(
    "/events/{camera}/{key}/picture",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "The picture."}, **refusals(401, 404)},
    summary="Picture of an event",
)
def picture(request: Request, camera: CameraName, key: EventKey, v: Version = None) -> Response:
    """A picture from the middle of an event."""
    return _sent(request, camera, key, "picture", v)


@router.get(
    "/events/{camera}/{key}/clip.vtt",
    response_class=Response,
    responses={200: {"content": {"text/vtt": {}}, "description": "Captions."}, **refusals(401, 404)},
    summary="Captions of a clip",
)
def captions(request: Request, camera: CameraName, key: EventKey) -> Response:
    """WebVTT: class and score, from the start of the event in the clip to its end."""
    row = _row(request, camera, key)
    text = webvtt(row.event, _media(row, "clip"))
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="text/vtt; charset=utf-8", headers=headers)


@router.get(
    "/cameras/{name}/picture",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "What the camera sees."},
        204: {"description": "The camera has no picture now; its state says why."},
        **refusals(401, 404),
    },
    summary="Live picture of a camera",
)
async def live_picture(request: Request, name: CameraName) -> Response:
    """A new picture at most once a second, however many clients ask."""
    camera = await run_in_threadpool(context(request).camera, name)
    if not camera.picture:
        return Response(status_code=204)
    pictures: LivePictures = request.app.state.pictures
    asked = asyncio.ensure_future(pictures.get(name))
    found = await asyncio.shield(asked)
    if found is None:
        return Response(status_code=204)
    jpeg, tag = found
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)
