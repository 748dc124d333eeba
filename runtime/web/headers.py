"""Headers that restrict what a page may do, and who may include it."""

from __future__ import annotations

from starlette.types import Message, Send

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}


def with_headers(send: Send, policy: str) -> Send:
    """A `send` that adds these headers, and no-store, to answers that do not set them.

    Args:
        send: That of the server.
        policy: The content security policy.
    """
    headers = {b"content-security-policy": policy.encode(), **_HEADERS, b"cache-control": b"no-store"}

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            given += [pair for pair in headers.items() if pair[0] not in names]
            message = {**message, "headers": given}
        await send(message)

    return sending
