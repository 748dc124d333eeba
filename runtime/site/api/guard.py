"""Who may talk to the service, checked before anything else looks at a request.

A page of another site can send requests to this machine, and a host name that it controls can be made to lead here (DNS
rebinding). So the Host header has to be an address, the loopback interface, or a configured name, and a change must not
come from a page of another site. With tokens, everything but the page itself and the health checks needs a role.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address

from h11 import LocalProtocolError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...web.headers import with_headers
from .problems import ApiProblem, answer_of, refusal
from .roles import Attempts, Role, Roles, cookies
from .settings import ApiSettings

MAX_BODY = 256 << 10
API = "/api/v1"
SESSION = f"{API}/session"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE = ("GET", "HEAD")
_PUBLIC = ("/", SESSION, "/healthz", "/readyz")
_ENDLESS = (f"{API}/events/stream", f"{API}/events/wait")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Middleware that refuses foreign requests and large bodies, finds the role, and adds headers of restriction.

    The role is in `scope["punctum.role"]`.

    Args:
        app: The application.
        settings: Tokens, host names, limits.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app, self.settings = app, settings
        self.roles, self.attempts = Roles(settings), Attempts()
        self._hosts = {host.lower() for host in settings.hosts}
        self.close: Callable[[], None] = lambda: None  # ends streams, so that the server can stop; in its loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, with_headers(send, POLICY))
        except LocalProtocolError:
            # The rest of the request was no HTTP, so the server has answered 400 and closes the connection.
            scope.get("punctum.abort", lambda: None)()
            await asyncio.sleep(0.05)  # until the server knows that the connection is gone

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            role = self._admit(scope)
        except ApiProblem as error:
            await answer_of(error)(scope, receive, send)
            return
        inner = {**scope, "punctum.role": role}
        if scope["method"] == "HEAD" and scope["path"] not in _ENDLESS:
            inner |= {"method": "GET", "punctum.head": True}  # the server leaves the body out
        await self._app(inner, _bounded(receive, self.settings.body_s), send)

    def _admit(self, scope: Scope) -> Role | None:
        """The role of a request that is allowed; None: on public paths only. Raises ApiProblem."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        host = self._host(headers)
        change = method not in _SAFE
        signed = self._origin(headers, host, change)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or len(length) > 9 or int(length) > MAX_BODY:
            raise refusal(413, "site-api-body", "The body is too large", f"at most {MAX_BODY} bytes", "send less")
        role = self._role(scope, headers, change and not signed)
        public = path in _PUBLIC or (path.startswith("/page/") and not change) or path == f"{API}/openapi.json"
        if role is None and not public:
            raise refusal(
                401,
                "site-api-token",
                "The request has no valid token",
                "the header Authorization: Bearer TOKEN",
                "log in, or send the token that the configuration names",
            )
        if change and path != SESSION and role != "operate":
            raise refusal(
                403, "site-api-role", "This token may only read", "a token with the role operate", "use the other token"
            )
        return role

    def _host(self, headers: Headers) -> str:
        host = str(headers.get("host", "")).lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
        known = name in _LOOPBACK or host in self._hosts or name in self._hosts
        if self.settings.closed and not known:
            known = _is_address(name.strip("[]"))
        if not known or len(headers.getlist("host")) != 1:
            raise refusal(
                421,
                "site-api-host",
                "The host name of the request is not one of this service",
                "an address of this machine, or a name in http.hosts",
                "add the name of the proxy to http.hosts",
            )
        return host

    def _origin(self, headers: Headers, host: str, change: bool) -> bool:
        """Whether a browser confirms that the request comes from a page of this service. Raises ApiProblem."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        asked = (origin or "").lower().removeprefix("https://").removeprefix("http://")
        own = origin is not None and (asked == host or asked in self._hosts)  # a proxy may send another Host header
        foreign = (origin is not None and not own) or (site is not None and site not in ("same-origin", "none"))
        opening = not change and headers.get("sec-fetch-mode") == "navigate" and origin is None
        if (foreign and not opening) or len(headers.getlist("origin")) > 1:
            raise refusal(
                403, "site-api-origin", "Requests from pages of other sites are refused", "", "open the page itself"
            )
        return own or site == "same-origin"

    def _role(self, scope: Scope, headers: Headers, without_cookie: bool) -> Role | None:
        if not self.settings.closed:
            return "operate"
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and token:
            return self.of_token(scope, token.strip())
        if without_cookie:  # a cookie alone proves nothing about where a change comes from
            return None
        return next(
            (role for value in cookies(headers.getlist("cookie")) if (role := self.roles.of_cookie(value))), None
        )

    def of_token(self, scope: Scope, token: str) -> Role:
        """The role of a token. Raises ApiProblem for a wrong one, and another one after too many wrong ones.

        A right token passes whatever came from its address before: behind a proxy, all clients have the same one.
        """
        role = self.roles.of_token(token)
        if role is not None:
            return role
        client = scope.get("client")
        address = client[0] if client else ""
        wait = self.attempts.wait_s(address)
        if wait > 0:
            given = "There were too many wrong tokens from this address"
            error = refusal(429, "site-api-attempts", given, "", "wait, then try again")
            error.retry_s = int(wait) + 1
            raise error
        self.attempts.failed(address)
        raise refusal(401, "site-api-token", "The token is wrong", "a token of the configuration", "check the token")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _bounded(receive: Receive, seconds: float) -> Receive:
    """Ends a body that grows beyond the limit or takes too long, whatever its header said."""
    taken, complete = 0, False
    until: float | None = None

    async def limited() -> Message:
        nonlocal taken, complete, until
        if complete:
            return await receive()
        now = asyncio.get_running_loop().time()
        until = now + seconds if until is None else until
        try:
            message = await asyncio.wait_for(receive(), max(until - now, 0.001))
        except TimeoutError:
            return {"type": "http.disconnect"}
        taken += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        return {"type": "http.disconnect"} if taken > MAX_BODY else message

    return limited
