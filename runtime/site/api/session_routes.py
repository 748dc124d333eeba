"""Log in with a token: the page then has a cookie, which scripts cannot read."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from .context import body_form, body_of, context, refusals
from .guard import Guard
from .models import LoginBody, SessionForm
from .records import dumped
from .roles import COOKIE, COOKIE_S

router = APIRouter(tags=["session"])


@router.get("/session", response_model=SessionForm, summary="Whether this browser is logged in")
def session(request: Request) -> Response:
    """The role of the token or cookie of the request."""
    record = {"role": request.scope["punctum.role"], "tokens": context(request).settings.closed}
    return Response(dumped(record), media_type="application/json")


@router.post(
    "/session",
    response_model=SessionForm,
    responses=refusals(401, 403, 422, 429),
    openapi_extra=body_form(LoginBody),
    summary="Log in",
)
async def login(request: Request) -> Response:
    """Sets a cookie for 30 days."""
    body = await body_of(request, LoginBody)
    guard: Guard = request.app.state.guard
    if not context(request).settings.closed:
        return Response(dumped({"role": "operate", "tokens": False}), media_type="application/json")
    role = guard.of_token(request.scope, body.token)
    answer = Response(dumped({"role": role, "tokens": True}), media_type="application/json")
    secure = request.headers.get("origin", "").startswith("https://")
    # Without a path, the cookie is for this folder of the address, whatever prefix a proxy has put before it.
    answer.set_cookie(
        COOKIE, guard.roles.cookie(role), COOKIE_S, path=None, httponly=True, samesite="strict", secure=secure
    )
    return answer


@router.delete("/session", status_code=204, summary="Log out")
def logout(request: Request) -> Response:
    """Deletes the cookie."""
    answer = Response(status_code=204)
    answer.set_cookie(COOKIE, "", 0, path=None, httponly=True, samesite="strict")
    return answer
