"""The faults of live sources beyond those of FFmpeg: silence, a stall, an unexpected end, and a failed reconnection."""

from __future__ import annotations

from ._faults import PLAYER, Fault


def lost(name: str, reconnect_s: float, last: Fault) -> Fault:
    """The source did not return within `reconnect_s` seconds. last: the fault of the last attempt."""
    return Fault(
        "video-lost",
        f"{name} was lost and did not return within {reconnect_s:g} s (last error: {last.given})",
        next_step="restart the source, or increase `reconnect_s`",
        passing=True,
    )


def no_frames(name: str) -> Fault:
    """The connection ended before the first frame."""
    return Fault(
        "video-no-frames",
        f"{name} sent no decodable frame",
        required="a video stream",
        next_step=PLAYER,
        passing=True,
    )


def ended(name: str) -> Fault:
    """The server of a live source closed the connection."""
    return Fault("video-ended", f"{name} closed the connection", next_step="restart the server", passing=True)


def stalled(name: str, limit_s: float) -> Fault:
    """Data arrived, but no frame for `limit_s` seconds."""
    return Fault(
        "video-stall", f"{name} sent data but no frame for {limit_s:g} s", next_step="check the camera", passing=True
    )


def silent(name: str, waited_s: float) -> Fault:
    """No frame arrived within `waited_s` seconds of opening."""
    return Fault(
        "video-timeout",
        f"{name} delivered no frame within {waited_s:.3g} s",
        next_step="check host and network, or allow more time for opening",
        passing=True,
    )


def failed(name: str, reason: str) -> Fault:
    """An unexpected exception in the reading thread. reason: its text, without credentials."""
    return Fault("video-failed", f"{name} failed with an unexpected error ({reason})", next_step="report this as a bug")
