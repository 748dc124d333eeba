"""Conversion of FFmpeg's errors to errors of punctum, without credentials."""

from __future__ import annotations

import errno
import os
import ssl
from dataclasses import dataclass
from urllib.error import HTTPError

from ..credentials.redact import Address
from ..errors import InputError, PunctumError, SourceLostError
from ._guard import Refused

PLAYER = "check whether a player on this machine shows it"


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of a source, before it is raised.

    Attributes:
        code, given, allowed, next_step, required: See `PunctumError`.
        passing: Whether another attempt may succeed.
        answers: Whether the source responds, but with something unusable, so that the address is probably wrong.
    """

    code: str
    given: str
    allowed: str = ""
    next_step: str = ""
    passing: bool = False
    answers: bool = False
    required: str = ""

    @staticmethod
    def of(error: PunctumError, *, passing: bool = False, answers: bool = False) -> Fault:
        """The fault that an error describes."""
        return Fault(error.code, error.given, error.allowed, error.next_step, passing, answers, error.required)

    def error(self) -> InputError:
        """Create the exception. Raise it outside of the except block: FFmpeg's own errors contain the whole address."""
        kind = SourceLostError if self.passing and not self.answers else InputError
        return kind(self.code, self.given, self.allowed, self.next_step, required=self.required)


def explain(
    error: BaseException, address: Address, *, waited_s: float = 0.0, limit_s: float = 0.0, reading: bool = False
) -> Fault:
    """Convert an error of PyAV or of our HTTP client into a fault.

    Args:
        error: The error.
        address: The source.
        waited_s: Duration of the operation in seconds. At `limit_s` the fault is a time-out, whatever FFmpeg calls it.
        limit_s: Time limit of the operation in seconds; 0 if there is none.
        reading: Whether the error came after the source was opened.
    """
    import av

    name = address.shown
    if isinstance(error, Refused):
        return Fault.of(error.error)
    if address.kind in ("http", "rtsp"):
        status = error.code if isinstance(error, HTTPError) else 0
        unsupported = isinstance(error, PermissionError) and error.errno is None  # raised by our own client
        login = unsupported or isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError)
        if login or status in (401, 403, 407):
            why = f"HTTP {status}" if status else str(error) if unsupported else ""
            return Fault(
                "video-login",
                f"{name} rejected the user or password ({why or type(error).__name__[4:-5].lower()})",
                required="valid credentials",
                next_step="check user and password; in an address, percent-encode special characters: @ is %40",
            )
        if isinstance(error, av.HTTPNotFoundError) or status in (404, 410):
            return Fault(
                "video-missing",
                f"{name} does not exist on the server",
                next_step="check the path of the address",
                passing=True,
            )
        if (limit_s and waited_s >= 0.98 * limit_s) or isinstance(error, av.ExitError | TimeoutError):
            return Fault(
                "video-timeout",
                f"{name} sent nothing for {limit_s or waited_s:.3g} s",
                next_step=f"{PLAYER}, or allow more time",
                passing=True,
            )
        if isinstance(error, ConnectionRefusedError):
            return Fault(
                "video-refused",
                f"{name} refused the connection",
                required="a running server",
                next_step="check host and port",
                passing=True,
            )
        if address.kind == "rtsp" and getattr(error, "errno", None) == errno.EPROTONOSUPPORT:
            return Fault(
                "video-transport",
                f"{name} does not support the requested transport protocol",
                "tcp or udp, depending on the server",
                "set `transport=udp`, or leave it out for tcp",
            )
        reason = address.clean(_reason(error))
        if reading:
            return Fault(
                "video-broken-off",
                f"{name} broke off ({reason})",
                next_step="check the server and the network",
                passing=True,
            )
        # Over HTTP, FFmpeg reads only what our own client has received. Otherwise an argument error means a format that
        # is not permitted.
        if isinstance(error, av.FFmpegError if address.kind == "http" else av.InvalidDataError | av.ArgumentError):
            return Fault(
                "video-unreadable",
                f"{name} contains no readable video ({reason})",
                required="a video stream",
                next_step=PLAYER,
                passing=True,
                answers=True,
            )
        return Fault(
            "video-connection",
            f"{name} cannot be reached ({reason})",
            next_step="check host, port and network",
            passing=True,
        )
    if address.kind == "camera":
        return _camera(error, name)
    return _file(error, name)


def _camera(error: BaseException, name: str) -> Fault:
    if isinstance(error, FileNotFoundError):
        return Fault(
            "video-missing",
            f"{name} does not exist",
            required="a camera of this machine",
            next_step="list the cameras with: v4l2-ctl --list-devices",
            passing=True,
        )
    if isinstance(error, PermissionError):
        return Fault(
            "video-permission",
            f"{name} cannot be opened: permission denied",
            next_step="add the user to the group video",
        )
    return Fault(
        "video-unreadable",
        f"{name} delivers no video ({_reason(error)})",
        required="a camera that V4L2 can read",
        next_step="check that no other program uses it, and that it supports the requested size and rate",
        passing=True,
    )


def _file(error: BaseException, name: str) -> Fault:
    if isinstance(error, FileNotFoundError):
        return Fault("video-missing", f"The file {name} does not exist", next_step="check the path")
    if isinstance(error, PermissionError):
        return Fault(
            "video-permission", f"{name} cannot be read: permission denied", next_step="change its permissions"
        )
    return Fault(
        "video-unreadable",
        f"{name} contains no readable video ({_reason(error)})",
        "mp4, mkv, avi, mov, ts, webm and other formats of FFmpeg",
        "check whether a player shows it, or convert it",
    )


def _reason(error: BaseException) -> str:
    """Return the text of an error without the address that `str(error)` would add."""
    text = getattr(error, "strerror", None) or type(error).__name__
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "TLS failed").lower().replace("_", " ")
    number = getattr(error, "errno", None)
    if number is None and type(error).__module__ == "builtins" and str(error):
        return str(error)
    if text == "Immediate exit requested":
        return "it took too long"
    return os.strerror(number).lower() if isinstance(number, int) and 0 < number < 134 else str(text).lower()
