"""The options that have no effect on a kind of source, which are refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .framed import is_framed
from .media import is_address, is_video_input

# Parameters without effect by kind of source, and the reason, as the end of "which ...".
_FILES = {"idle_s": "waits only with `follow=True`"}
_CAMERAS = {"follow": "never ends by itself", "allow_hosts": "is opened by FFmpeg without this check"}
_PIPELINES = {
    "follow": "never ends by itself",
    "allow_hosts": "is opened by GStreamer without this check",
    "transport": "names its transport in the pipeline",
    "decoder": "names its decoder in the pipeline",
}
_HTTP = {"follow": "is read to its end"}
_SENDERS = {
    "start_s": "declares its own start",
    "follow": "ends with its end record",
}
_FEATURES = {
    "overflow": "waits for the reader",
    "transport": "is not an RTSP stream",
    "allow_hosts": "follows no redirects",
    "decoder": "is not decoded",
}
_NOT_LOST = {"reconnect_s": "cannot be lost"}


def refuse_options(address: str, names: Sequence[str]) -> None:
    """Raise InputError for the first parameter in `names` that has no effect on this source."""
    what, without = _without(address, "follow" in names)
    for name in names:
        if name in without:
            raise InputError(
                "option-unfit",
                f"`{name}` has no effect with {what}, which {without[name]}",
                next_step=f"leave out `{name}`",
            )


def _without(address: str, follow: bool) -> tuple[str, dict[str, str]]:
    """Return the kind of source of an address, and the parameters without effect on it with the reasons."""
    if is_video_input(address):
        scheme = address.partition(":")[0].lower() if is_address(address) else "file"
        if scheme in ("rtsp", "rtsps"):
            return "an RTSP stream", _CAMERAS
        if scheme in ("http", "https"):
            return "video over HTTP", _HTTP | {"transport": "is not an RTSP stream"}
        if scheme == "gst":
            return "a GStreamer pipeline", _PIPELINES
        if scheme == "camera":
            return "a camera", _CAMERAS | {"transport": "is not an RTSP stream"}
        reasons = {"follow": "is read to its end", "idle_s": "is read to its end"}
        unfit = {name: why for name, why in _FEATURES.items() if name not in ("overflow", "decoder")}
        return "a video file", unfit | _NOT_LOST | reasons
    if address == "-":
        return "standard input", _FEATURES | _NOT_LOST | _SENDERS
    if "://" in address:
        return "a socket", _FEATURES | _SENDERS
    waits = {} if follow else _FILES
    if is_framed(Path(address)):
        return "a framed file", _FEATURES | _NOT_LOST | waits | {"start_s": _SENDERS["start_s"]}
    return "a file or folder of features", _FEATURES | _NOT_LOST | waits
