"""Decoders in hardware, through the hardware contexts of FFmpeg. Named ones are strict: there is no silent fallback."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..machine.host import dlopen
from ..machine.libraries import DRIVER, remedy
from ._frames import AUTO, HARDWARE, SOFTWARE
from ._opening import load_av

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.video.codeccontext import VideoCodecContext

UNUSED = "no decoder of this PyAV uses it"
_NOT_BUILT = "the FFmpeg libraries of this PyAV were built without it"
_PLATFORMS = {"videotoolbox": "darwin", "d3d11va": "win32", "d3d12va": "win32", "dxva2": "win32", "amf": "win32"}
_PROBED = ("h264", "hevc", "av1", "vp9", "mjpeg")  # a device opens with any codec that it decodes


def built_in() -> tuple[str, ...]:
    """Return the hardware decoders for which FFmpeg of the installed PyAV was built, whether or not they work here."""
    load_av()
    from av.codec.hwaccel import hwdevices_available

    found = set(hwdevices_available())
    return tuple(kind for kind in HARDWARE if kind in found)


def trouble(kind: str) -> str:
    """Return why a hardware decoder cannot be opened on this machine; empty if it can."""
    av = load_av()
    from av.codec.hwaccel import HWAccel

    if kind not in built_in():
        return _NOT_BUILT
    reason = UNUSED
    for codec in _PROBED:
        try:
            context = av.CodecContext.create(codec, "r", hwaccel=HWAccel(kind, allow_software_fallback=False))
        except (av.FFmpegError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
            return _unopened(kind, error)
        if context.is_hwaccel:
            return ""
    return reason


def auto_choice() -> str:
    """Return one line about what `auto` uses on this machine, and why."""
    reasons: dict[str, str] = {}
    for kind in built_in():
        reason = trouble(kind)
        if not reason:
            return f"auto took {kind}; a video that it does not decode is decoded in software"
        if reason != UNUSED:
            reasons[kind] = reason
    others = "; ".join(f"not {kind}: {why}" for kind, why in reasons.items())
    return f"auto took software ({others or 'this build of PyAV has no hardware decoder'})"


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A hardware decoder that can be opened. kind: its name; context: what opens a container with it."""

    kind: str
    context: HWAccel

    def at_work(self, decoder: VideoCodecContext) -> str:
        """Return the kind of a decoder that has decoded a frame: this one, or software if `auto` fell back to it."""
        in_software = load_av().VideoFormat(decoder.pix_fmt).components  # formats of hardware have none
        return SOFTWARE if in_software else self.kind


def open_decoder(decoder: str) -> Accelerator | None:
    """Return the hardware decoder for one of `DECODERS`; None for software.

    Raises:
        InputError: The decoder was named and cannot be opened.
    """
    if decoder == SOFTWARE:
        return None
    load_av()
    from av.codec.hwaccel import HWAccel

    why = {kind: trouble(kind) for kind in (built_in() if decoder == AUTO else (decoder,))}
    usable = next((kind for kind, reason in why.items() if not reason), None)
    if usable is not None:
        return Accelerator(usable, HWAccel(usable, allow_software_fallback=decoder == AUTO))
    if decoder == AUTO:
        return None
    there = [kind for kind in built_in() if kind != decoder and not trouble(kind)]
    raise InputError(
        "decoder-missing",
        f"The decoder {decoder} cannot be opened on this machine ({why[decoder]})",
        ", ".join((SOFTWARE, AUTO, *there)),
        _remedy(decoder, why[decoder]),
    )


def unsuited(decoder: str, name: str, codec: str) -> InputError:
    """The error for a video that the named hardware decoder does not decode."""
    return InputError(
        "decoder-codec",
        f"The decoder {decoder} does not decode the video of {name} ({codec})",
        "auto, which decodes such videos in software, or software",
        "change `decoder`",
    )


def _remedy(kind: str, reason: str) -> str:
    """What to do about a hardware decoder that cannot be opened."""
    if sys.platform != _PLATFORMS.get(kind, sys.platform):
        return "change `decoder`: another system than this one has it"
    if reason == _NOT_BUILT:
        return (
            "build PyAV against an FFmpeg that has it (pip install av --no-binary av), decode with GStreamer (a source "
            "gst:PIPELINE), or change `decoder`"
        )
    if DRIVER in reason:
        return f"{remedy(DRIVER)}, or change `decoder`"
    return "check the driver, or change `decoder`"


def _unopened(kind: str, error: BaseException) -> str:
    """Why the device of a decoder did not open. FFmpeg reports a missing driver of NVIDIA as a missing permission."""
    if kind == "cuda" and dlopen(DRIVER):
        return f"the driver's {DRIVER} does not load"
    if getattr(error, "errno", None) == errno.EPERM:  # the number -1, which FFmpeg returns for any failure
        return "its device or driver does not open"
    return _words(error)


def _words(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error or type(error).__name__)
    return text[0].lower() + text[1:] if text[:2].istitle() else text
