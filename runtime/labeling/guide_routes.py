"""What the page asks about background training: how it stands, questions, results, and requests to train or export."""

from __future__ import annotations

import math
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import InputError
from ..text.strict_json import parse_json
from .answered import Moment
from .answers import json_answer
from .fields import number_field, seconds_field
from .learner import Learner

_MAX_KEY = 1000


def guide_routes(learner: Learner) -> list[Route]:
    """The routes of the page that concern training."""

    async def status(request: Request) -> Response:
        return json_answer(await run_in_threadpool(learner.status))

    async def questions(request: Request) -> Response:
        return json_answer(await run_in_threadpool(learner.questions))

    async def found(request: Request) -> Response:
        return json_answer(await run_in_threadpool(learner.events))

    async def results(request: Request) -> Response:
        given = request.query_params.get("min_score", "")
        try:
            least = float(given) if given else None
        except ValueError:
            return _refused("min_score is no number")
        if least is not None and not (math.isfinite(least) and 0 <= least <= 1):
            return _refused("min_score is not from 0 to 1")
        made = await run_in_threadpool(learner.results, least)
        return json_answer({} if made is None else made)

    async def skip(request: Request) -> Response:
        try:
            record = parse_json(await request.body())
        except (ValueError, RecursionError):
            return _refused("The request is no JSON")
        except ClientDisconnect:
            return Response(status_code=413)
        key, value = (record.get("key"), record.get("value", True)) if isinstance(record, dict) else (None, None)
        if not isinstance(key, str) or len(key) > _MAX_KEY or not isinstance(value, bool):
            return _refused("A question is skipped by its key")
        learner.skip(key, value)
        return json_answer({"skipped": value})

    async def answer(request: Request) -> Response:
        try:
            record = parse_json(await request.body())
            key, moment = _answer(record)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, InputError):
            return _refused("An answer has the key of its question, and a stretch of a video or null")
        except ClientDisconnect:
            return Response(status_code=413)
        await run_in_threadpool(learner.answer, key, moment)
        return json_answer({"noted": moment is not None})

    async def train(request: Request) -> Response:
        if problem := await run_in_threadpool(learner.train):
            return _refused(problem)
        return json_answer(await run_in_threadpool(learner.status))

    async def export(request: Request) -> Response:
        try:
            body = await request.body()
            least = _least(parse_json(body)) if body else None
        except (ValueError, TypeError, OverflowError, RecursionError, InputError):
            return _refused("min_score is not from 0 to 1")
        except ClientDisconnect:
            return Response(status_code=413)
        if problem := await run_in_threadpool(learner.export, least):
            return _refused(problem)
        return json_answer(await run_in_threadpool(learner.status))

    return [
        Route("/api/learning", status),
        Route("/api/questions", questions),
        Route("/api/found", found),
        Route("/api/results", results),
        Route("/api/skip", skip, methods=["POST"]),
        Route("/api/answer", answer, methods=["POST"]),
        Route("/api/train", train, methods=["POST"]),
        Route("/api/export", export, methods=["POST"]),
    ]


def _answer(record: Any) -> tuple[str, Moment | None]:
    """Key of a question, and the moment that it is about. Raises TypeError, ValueError, KeyError and OverflowError."""
    key, given = record["key"], record["moment"]
    video, click = ("", "") if given is None else (given["video"], given.get("click") or "")
    if any(not isinstance(name, str) or len(name) > _MAX_KEY for name in (key, video, click)):
        raise ValueError("names")
    if given is None:
        return key, None
    start_s, end_s = (seconds_field(name, given[name]) for name in ("start_s", "end_s"))
    return key, Moment(video, start_s, end_s, click)


def _least(record: Any) -> float | None:
    """The minimum score of a request to export. Raises ValueError and InputError."""
    if not isinstance(record, dict):
        raise ValueError("no object")
    return None if record.get("min_score") is None else number_field("min_score", record["min_score"], 1.0, 4)


def _refused(text: str) -> Response:
    record: dict[str, Any] = {"error": text}
    return json_answer(record, 400)
