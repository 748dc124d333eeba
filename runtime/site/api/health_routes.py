"""Metrics and health, at addresses that other programs expect."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from .context import context, refusals

router = APIRouter(tags=["health"])
_OPEN: dict[str, Any] = {"security": []}


def _texts(good: str, bad: str) -> dict[int | str, dict[str, Any]]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {200: {"description": good, "content": content}, 503: {"description": bad, "content": content}}


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **refusals(401),
    },
    summary="Metrics of the service",
)
def metrics(request: Request) -> Response:
    """In the text format of Prometheus; docs/reference/metrics.md lists them."""
    text, kind = context(request).view.metrics()
    return Response(text, media_type=kind)


@router.get(
    "/healthz",
    response_class=PlainTextResponse,
    responses=_texts("It works.", "It does not, and has to be started again."),
    openapi_extra=_OPEN,
    summary="Whether the service works",
)
def healthz(request: Request) -> Response:
    """For supervisors that start the service again. Needs no token."""
    good, text = context(request).view.alive()
    return PlainTextResponse(f"{text}\n", 200 if good else 503)


@router.get(
    "/readyz",
    response_class=PlainTextResponse,
    responses=_texts("Bundles are loaded, and events can be stored.", "What it waits for."),
    openapi_extra=_OPEN,
    summary="Whether the service is ready",
)
def readyz(request: Request) -> Response:
    """For load balancers and rolling updates. Needs no token."""
    good, text = context(request).view.ready()
    return PlainTextResponse(f"{text}\n", 200 if good else 503)
