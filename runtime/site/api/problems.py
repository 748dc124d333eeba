"""Errors of the API as JSON: code, what was given, what is allowed, and the next step."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ...errors import InputError, PunctumError
from ...text.display import json_safe


class ApiProblem(InputError):
    """A request that is refused, with the status of the answer."""

    status = 400
    retry_s: int | None = None


def refusal(status: int, code: str, given: str, allowed: str = "", next_step: str = "") -> ApiProblem:
    """The error of a request. status: of the answer."""
    error = ApiProblem(code, given, allowed, next_step)
    error.status = status
    return error


def answer_of(error: PunctumError) -> JSONResponse:
    """The answer for an error: 4xx where the request was wrong, 503 where the service could not."""
    status = error.status if isinstance(error, ApiProblem) else 422 if error.exit_code == 2 else 503
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, ApiProblem) and error.retry_s is not None:
        headers["Retry-After"] = str(error.retry_s)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="punctum"'
    return JSONResponse(body_of(error), status, headers)


def body_of(error: PunctumError) -> dict[str, str]:
    """The JSON of an error."""
    texts = {"code": error.code, "given": error.given}
    texts |= {"allowed": error.allowed or error.required, "next_step": error.next_step}
    return {name: json_safe(text) for name, text in texts.items()}


def handle_problems(app: FastAPI) -> None:
    """Answer all errors of an application as JSON."""

    @app.exception_handler(PunctumError)
    async def refused(request: Request, error: PunctumError) -> JSONResponse:
        return answer_of(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer_of(
            refusal(
                422,
                "site-api-parameter",
                "; ".join(_finding(entry) for entry in list(error.errors())[:3]),
                "the parameters that the OpenAPI document describes",
                "correct the request; api/v1/openapi.json describes it",
            )
        )

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return answer_of(refusal(500, "bug", "An unexpected error", "", "see the log of the service, and report it"))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 405:
            made = refusal(405, "site-api-method", f"{request.method} is not possible here", "another method")
            made.next_step = "see api/v1/openapi.json"
        else:
            made = refusal(error.status_code, "site-api-path", "There is nothing at this address")
            made.next_step = "see api/v1/openapi.json for all addresses"
        answer = answer_of(made)
        if error.headers:
            answer.headers.update(error.headers)
        return answer


def _finding(entry: dict[str, Any]) -> str:
    place = ".".join(str(part)[:60] for part in entry.get("loc", ())[-2:])
    return f"{place}: {str(entry.get('msg', 'invalid'))[:200]}"
