"""From FFmpeg's errors to ours: what was given, what is allowed, what to do next, and no credentials."""

from __future__ import annotations

import errno
import os
import ssl
from dataclasses import dataclass
from urllib.error import HTTPError

from ..credentials.redact import Address
from ..errors import InputError, PunctumError, SourceLostError
from ._guard import Refused

_LIVE_NEXT = "see whether a player on this machine shows it"


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong with a source. passing: another attempt may work. answers: the source is there, and gives
    something that is of no use, so that the address is wrong, more likely than not."""

    code: str
    given: str
    allowed: str
    next_step: str
    passing: bool = False
    answers: bool = False
    required: str = ""

    @staticmethod
    def of(error: PunctumError, *, passing: bool = False, answers: bool = False) -> Fault:
        """The fault that an error describes."""
        return Fault(error.code, error.given, error.allowed, error.next_step, passing, answers, error.required)

    def error(self) -> InputError:
        """A new exception. Raise it outside of the except block: FFmpeg's own errors name the whole address."""
        kind = SourceLostError if self.passing and not self.answers else InputError
        return kind(self.code, self.given, self.allowed, self.next_step, required=self.required)


def explain(
    error: BaseException, address: Address, *, waited_s: float = 0.0, limit_s: float = 0.0, reading: bool = False
) -> Fault:
    """The fault behind an error of PyAV. What ran into its limit is a time-out, whatever FFmpeg calls it.

    reading: it came after the source had opened.
    """
    import av

    name = address.shown
    if isinstance(error, Refused):
        return Fault.of(error.error)
    if address.kind in ("http", "rtsp"):
        status = error.code if isinstance(error, HTTPError) else 0
        asked = isinstance(error, PermissionError) and error.errno is None  # by our own client
        login = asked or isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError)
        if login or status in (401, 403, 407):
            why = f"HTTP {status}" if status else str(error) if asked else ""
            return Fault(
                "video-login",
                f"{name} refused the user or password ({why or type(error).__name__[4:-5].lower()})",
                "credentials that the server knows",
                "check user and password; in an address, encode special letters, for example @ as %40",
            )
        if isinstance(error, av.HTTPNotFoundError) or status in (404, 410):
            return Fault(
                "video-missing",
                f"{name}: the server knows no such stream",
                "a stream it serves",
                "check the path of the address",
                passing=True,
            )
        if (limit_s and waited_s >= 0.98 * limit_s) or isinstance(error, av.ExitError | TimeoutError):
            return Fault(
                "video-timeout",
                f"{name} sent nothing for {limit_s or waited_s:.3g} s",
                "a source that sends",
                f"{_LIVE_NEXT}, or allow more time",
                passing=True,
            )
        if isinstance(error, ConnectionRefusedError):
            return Fault(
                "video-refused",
                f"{name}: nothing listens there (connection refused)",
                "a running server",
                "check host and port",
                passing=True,
            )
        if address.kind == "rtsp" and getattr(error, "errno", None) == errno.EPROTONOSUPPORT:
            return Fault(
                "video-transport",
                f"{name}: the server does not send over the transport asked for",
                "tcp or udp, whichever it knows",
                "set --rtsp-transport udp, or leave it out for tcp",
            )
        reason = address.clean(_reason(error))
        if reading:
            return Fault(
                "video-broken-off",
                f"{name} broke off ({reason})",
                "a source that goes on to its end",
                "look at the server and the network",
                passing=True,
            )
        # Over HTTP, FFmpeg only reads what our own client has received. Otherwise an argument error is a form that is
        # not allowed here.
        if isinstance(error, av.FFmpegError if address.kind == "http" else av.InvalidDataError | av.ArgumentError):
            return Fault(
                "video-unreadable",
                f"{name}: no video that can be read ({reason})",
                "a video stream",
                _LIVE_NEXT,
                passing=True,
                answers=True,
            )
        return Fault(
            "video-connection",
            f"{name}: no connection ({reason})",
            "a server that can be reached",
            "check host, port and network",
            passing=True,
        )
    if address.kind == "camera":
        return _camera(error, name)
    return _file(error, name)


def _camera(error: BaseException, name: str) -> Fault:
    if isinstance(error, FileNotFoundError):
        return Fault(
            "video-missing",
            f"{name}: there is no such device",
            "a camera of this machine",
            "list them with: v4l2-ctl --list-devices",
            passing=True,
        )
    if isinstance(error, PermissionError):
        return Fault(
            "video-permission",
            f"{name} may not be opened",
            "a device this user may read",
            "add the user to the group video",
        )
    return Fault(
        "video-unreadable",
        f"{name} gives no video ({_reason(error)})",
        "a camera that V4L2 can read",
        "see whether another program uses it, and whether it knows the size and rate asked for",
        passing=True,
    )


def _file(error: BaseException, name: str) -> Fault:
    if isinstance(error, FileNotFoundError):
        return Fault("video-missing", f"there is no file {name}", "a video file", "check the path")
    if isinstance(error, PermissionError):
        return Fault("video-permission", f"{name} may not be read", "a file this user may read", "change its mode")
    return Fault(
        "video-unreadable",
        f"{name} holds no video that can be read ({_reason(error)})",
        "mp4, mkv, avi, mov, ts, webm and what else FFmpeg reads",
        "see whether a player shows it, or convert it",
    )


def _reason(error: BaseException) -> str:
    """FFmpeg's words without the address that `str(error)` would add."""
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
