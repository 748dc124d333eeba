"""Events: lists, single ones, streams, reviews and gaps."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ..store.rows import EventQuery, Review
from .context import CameraName, EventKey, body_form, body_of, context, refusals
from .hub import Hub
from .models import EventForm, EventsForm, GapsForm, Phase, ReportsForm, ReviewBody
from .problems import refusal
from .records import answer, dumped, event_record, gap_record, id_of, unknown_event
from .review_checks import check_class, checked_edges, unfit
from .stream import EventStream, Filter, poll

router = APIRouter(tags=["events"])
MOST = 1000
_EVER = 1e12
_TIME = Query(description="Unix seconds, or ISO 8601 with a time zone.", max_length=40)
_CURSOR = Query(max_length=200, description="`next` of the page before.")
_CAMERAS = Query(description="Only of these cameras; may be repeated.", max_length=1024)
_LABELS = Query(description="Only of these classes; may be repeated.", max_length=1024)
_PHASES = Query(description="Only in these phases; may be repeated.", max_length=4)
_LEAST = (
    "Only with at least this score, retractions, and reports of events of which an earlier report was sent: a client "
    "always learns how an action that it knows about ends."
)
_MESSAGES = {
    name: {"$ref": f"#/components/schemas/{form}"} for name, form in (("hello", "HelloForm"), ("report", "ReportForm"))
}
Names = list[Annotated[str, Query(max_length=4096)]]
Position = Annotated[str, Query(max_length=100)]
Least = Annotated[float, Query(ge=0, le=1, description="Only with at least this score.")]
LeastReported = Annotated[float, Query(ge=0, le=1, description=_LEAST)]


def time_of(text: str | None, name: str) -> float | None:
    """Unix time of a parameter. Raises ApiProblem."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"-?\d{1,12}(\.\d{1,9})?", text):
            return float(text)
        moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+"))
        if moment.tzinfo is None:
            raise ValueError
        found = moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found):
        raise refusal(
            422, "site-api-parameter", f"{name} is not a time", "Unix seconds, or 2026-01-31T08:00:00Z", "correct it"
        )
    return found


@router.get("/events", response_model=EventsForm, responses=refusals(401, 422), summary="Events, newest first")
def events(
    request: Request,
    start: Annotated[str | None, _TIME] = None,
    end: Annotated[str | None, _TIME] = None,
    camera: Annotated[Names, _CAMERAS] = [],  # noqa: B006
    label: Annotated[Names, _LABELS] = [],  # noqa: B006
    bundle: Annotated[Names, Query(description="Only of these bundles; may be repeated.", max_length=64)] = [],  # noqa: B006
    phase: Annotated[list[Phase], _PHASES] = [],  # noqa: B006
    min_score: Least = 0.0,
    reviewed: Annotated[bool | None, Query(description="Only with a review, or only without.")] = None,
    cursor: Annotated[str | None, _CURSOR] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Response:
    """Events that start in a span of time, a page at a time. Pages joined have each event once: its place is that of
    the start in its first report, and stays, while `start_unix` is that of the latest one."""
    query = EventQuery(
        start_unix=time_of(start, "start"),
        end_unix=time_of(end, "end"),
        cameras=tuple(camera),
        labels=tuple(label),
        min_score=min_score or None,
        bundles=tuple(bundle),
        reviewed=reviewed,
        phases=tuple(phase),
        before=cursor,
        limit=limit,
    )
    page = context(request).view.store.events(query)
    return answer(request, {"events": [event_record(row) for row in page.items], "next": page.next})


@router.get(
    "/events/stream",
    responses={
        200: {
            "description": "Reports as they come. `data` of the message `hello` has the form HelloForm, that of "
            "`report` the form ReportForm; `id` is the position. A comment shows that the connection lives.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "x-messages": _MESSAGES}},
        },
        **refusals(401, 422, 503),
    },
    response_class=Response,
    summary="Reports as server-sent events",
)
async def stream(
    request: Request,
    camera: Annotated[Names, _CAMERAS] = [],  # noqa: B006
    label: Annotated[Names, _LABELS] = [],  # noqa: B006
    phase: Annotated[list[Phase], _PHASES] = [],  # noqa: B006
    min_score: LeastReported = 0.0,
    after: Annotated[
        Position | None, Query(description="Begin after this position; 0: the first report. Default: now.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="The same as `after`, and before it: browsers send it.")
    ] = None,
) -> Response:
    """A message `hello`, then a message `report` for each report. Its id is a position: a client that sends it as
    Last-Event-ID, as browsers do, gets everything that it missed. `hello` has reset: true if the position is of a store
    that is no longer there: load everything again."""
    shared = context(request)
    given = last_event_id or after
    number = None if given is None else _number(shared.hub, given)
    shared.hub.enter()
    return EventStream(
        shared.hub,
        number,
        Filter(frozenset(camera), frozenset(label), frozenset(phase), min_score),
        reset=given is not None and number is None,
        heartbeat_s=shared.settings.heartbeat_s,
        slow_s=shared.settings.slow_s,
        boot=shared.boot,
    )


@router.get(
    "/events/wait", response_model=ReportsForm, responses=refusals(401, 422, 503), summary="Wait for the next reports"
)
async def wait(
    request: Request,
    after: Annotated[Position, Query(description="Position: `next` of the answer before; 0: from the beginning.")],
    camera: Annotated[Names, _CAMERAS] = [],  # noqa: B006
    label: Annotated[Names, _LABELS] = [],  # noqa: B006
    phase: Annotated[list[Phase], _PHASES] = [],  # noqa: B006
    min_score: LeastReported = 0.0,
    seconds: Annotated[float, Query(ge=0, le=55, description="How long to wait.")] = 25.0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Response:
    """Long poll, for clients without server-sent events: answers as soon as there is a report after the position."""
    shared = context(request)
    chosen = Filter(frozenset(camera), frozenset(label), frozenset(phase), min_score)
    async with shared.hub.client():
        number = _number(shared.hub, after)
        start, reset = shared.hub.last if number is None else number, number is None
        items, last = await poll(shared.hub, start, chosen, seconds=0 if reset else seconds, limit=limit)
    record = {"reports": [item.record for item in items], "next": shared.hub.position(last), "reset": reset}
    body = dumped(record)
    return Response(body, media_type="application/json")


@router.get("/events/{camera}/{key}", response_model=EventForm, responses=refusals(401, 404), summary="One event")
def event(request: Request, camera: CameraName, key: EventKey) -> Response:
    """An event with its latest report, its media and its review."""
    row = context(request).view.store.event(camera, id_of(key))
    if row is None:
        raise unknown_event()
    return answer(request, event_record(row))


@router.post(
    "/events/{camera}/{key}/review",
    response_model=EventForm,
    responses=refusals(401, 403, 404, 422),
    openapi_extra=body_form(ReviewBody),
    summary="Review an event",
)
async def review(request: Request, camera: CameraName, key: EventKey) -> Response:
    """Say whether an event is right. Reviews become clicks for training."""
    body = await body_of(request, ReviewBody)
    return await run_in_threadpool(_review, request, camera, id_of(key), body)


def _review(request: Request, camera: str, id: str, body: ReviewBody) -> Response:
    store = context(request).view.store
    row = store.event(camera, id)
    if row is None:
        raise unknown_event()
    if (body.verdict == "class") != (body.label is not None):
        raise unfit("label is given with the verdict class, and only with it")
    edges = body.start is not None or body.end is not None
    if (body.verdict == "edges") != edges:
        raise unfit("start or end is given with the verdict edges, and only with it")
    made = Review(body.verdict, body.label, by=body.by, unix=time.time(), note=body.note)
    if edges:
        start, end = checked_edges(row, body.start, body.end)
        made = replace(made, start=start, end=end)
    if body.label is not None:
        known = [label for bundle in context(request).view.bundles() for label in bundle.labels]
        check_class(body.label, [row.event.label, *known])
    store.review(camera, id, made)
    changed = store.event(camera, id)
    return Response(dumped(event_record(changed or row)), media_type="application/json")


def _number(hub: Hub, position: str) -> int | None:
    """The number of a position; None if it is one of another store. Raises ApiProblem."""
    try:
        return hub.number(position)
    except ValueError:
        raise refusal(
            422, "site-api-parameter", "The position is invalid", "an id of the stream, or `next`", "begin with 0"
        ) from None


@router.delete(
    "/events/{camera}/{key}/review",
    response_model=EventForm,
    responses=refusals(401, 403, 404),
    summary="Withdraw a review",
)
def withdraw(request: Request, camera: CameraName, key: EventKey) -> Response:
    """The event counts as not reviewed again."""
    store, id = context(request).view.store, id_of(key)
    if store.event(camera, id) is None:
        raise unknown_event()
    store.review(camera, id, None)
    row = store.event(camera, id)
    if row is None:
        raise unknown_event()
    return Response(dumped(event_record(row)), media_type="application/json")


@router.get("/gaps", response_model=GapsForm, responses=refusals(401, 422), summary="Gaps in the media, newest first")
def gaps(
    request: Request,
    start: Annotated[str | None, _TIME] = None,
    end: Annotated[str | None, _TIME] = None,
    camera: Annotated[Names, _CAMERAS] = [],  # noqa: B006
    cursor: Annotated[str | None, _CURSOR] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> Response:
    """Stretches of media that are missing, and why, a page at a time: those that overlap a span of time. Pages joined
    have each gap once."""
    begin, until = time_of(start, "start"), time_of(end, "end")
    page = context(request).view.store.gaps(
        -_EVER if begin is None else begin,
        _EVER if until is None else until,
        tuple(camera) or None,
        before=cursor,
        limit=limit,
    )
    return answer(request, {"gaps": [gap_record(row) for row in page.items], "next": page.next})
