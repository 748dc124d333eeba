"""Who may talk to the server: pages that it served itself, opened with the address that the command printed.

A page of another site can send requests to this machine, and a host name that it controls can be made to lead here (DNS
rebinding). So the Host header has to name the loopback interface, a request must not come from another site, and every
request needs the token of this run: from the printed address, which sets a cookie, or from that cookie.

A page stays open when its server ends, and the server of another folder may take the port. Requests of the page name
its folder, and are refused if they are for another one.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InputError
from ..web.headers import with_headers
from .answers import json_answer

MAX_BODY = 64 << 10
MAX_CHANGE = 16 << 20
"""Of a change: to undo one, a page sends back the rows that it replaced, whatever is in their cells."""
_CHANGES = "/api/change"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE = ("GET", "HEAD")
_CLOSED = "This page needs the address that `punctum label` printed. Each run has its own.\n"


class Guard:
    """Middleware that refuses foreign requests and large bodies, and adds the headers that restrict the page.

    Args:
        app: The application.
        port: Port of the server.
        token: Secret of this run.
        folder: Identifies the folder.
        place: The folder as people name it.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str, folder: str, place: str) -> None:
        self._app, self._port, self._token = app, port, token
        self._folder, self._place = folder, place
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        inner: ASGIApp = self._app if refusal is None else refusal
        await inner(scope, _bounded(receive, _most(scope)), with_headers(send, POLICY))

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts or len(headers.getlist("host")) != 1:
            return PlainTextResponse("Unknown host.\n", 421)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin != f"http://{host}":
            return PlainTextResponse("Requests of other sites are refused.\n", 403)
        if site is not None and site not in ("same-origin", "none"):
            return PlainTextResponse("Requests of other sites are refused.\n", 403)
        method = scope["method"]
        if method not in (*_SAFE, "POST"):
            return PlainTextResponse("GET, HEAD or POST\n", 405)
        if method == "POST" and origin is None and site is None:
            return PlainTextResponse("A change needs the header Origin.\n", 403)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 9 or int(length) > _most(scope):
            return PlainTextResponse(f"At most {_most(scope)} bytes.\n", 413)
        return self._without_token(scope, headers)

    def _without_token(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        given = _query(scope, "token")
        if given and scope["path"] == "/" and self._matches(given):
            answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
            answer.set_cookie(self.cookie, self._token, httponly=True, samesite="strict", path="/")
            return answer
        if any(self._matches(value) for value in _cookies(headers.getlist("cookie"), self.cookie)):
            return self._elsewhere(headers.get("x-folder") or _query(scope, "folder"))
        return PlainTextResponse(_CLOSED, 403)

    def _elsewhere(self, folder: str) -> ASGIApp | None:
        if folder in ("", self._folder):
            return None
        return elsewhere(self._place)

    @property
    def cookie(self) -> str:
        """Name of the cookie. All ports of a host share cookies, and folders one after the other share a port, so it
        contains both."""
        return f"punctum_label_{self._port}_{self._folder}"

    def _matches(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


def elsewhere(place: str) -> Response:
    """The answer to a page of another folder."""
    error = InputError(
        "label-folder",
        f"This address serves {place} now",
        required="a page of this folder",
        next_step="start `punctum label` on the folder of the page again",
    )
    record = {"code": error.code, "error": error.given, "place": place, "saved": False}
    return json_answer(record, 409)


def _query(scope: Scope, name: str) -> str:
    for part in scope.get("query_string", b"").decode("latin-1").split("&"):
        key, _, value = part.partition("=")
        if key == name:
            return str(value)
    return ""


def _cookies(headers: Iterable[str], name: str) -> list[str]:
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return [value for key, _, value in pairs if key == name]


def _most(scope: Scope) -> int:
    return MAX_CHANGE if scope["path"] == _CHANGES else MAX_BODY


def _bounded(receive: Receive, most: int) -> Receive:
    """Ends a body that grows beyond the limit, whatever its header said."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            return {"type": "http.disconnect"}
        return message

    return limited
