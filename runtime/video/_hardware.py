"""Decoders in hardware, through the hardware contexts of FFmpeg. Named ones are strict: there is no silent fallback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ._frames import AUTO, HARDWARE, SOFTWARE
from ._opening import load_av

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.video.codeccontext import VideoCodecContext

UNUSED = "no decoder of this PyAV uses it"
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
        return "the FFmpeg libraries of this PyAV were built without it"
    reason = UNUSED
    for codec in _PROBED:
        try:
            context = av.CodecContext.create(codec, "r", hwaccel=HWAccel(kind, allow_software_fallback=False))
        except (av.FFmpegError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
            return _words(error)
        if context.is_hwaccel:
            return ""
    return reason


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
        "check the driver, or change `decoder`",
    )


def unsuited(decoder: str, name: str, codec: str) -> InputError:
    """The error for a video that the named hardware decoder does not decode."""
    return InputError(
        "decoder-codec",
        f"The decoder {decoder} does not decode the video of {name} ({codec})",
        "auto, which decodes such videos in software, or software",
        "change `decoder`",
    )


def _words(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error or type(error).__name__)
    return text[0].lower() + text[1:] if text[:2].istitle() else text
