"""Opening of containers with PyAV, which is imported when the first source is opened."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from ..credentials.redact import Address
from ..errors import MissingDependencyError
from ._containers import SELF_CONTAINED
from ._header import MAX_STREAMS
from ._http_body import HttpBody
from ._http_nested import Bytes

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer

Input: TypeAlias = str | HttpBody | Bytes
"""What FFmpeg opens: an address, or a file of our own HTTP client."""
OpenEntry: TypeAlias = Callable[[str, int, dict[str, str]], HttpBody | Bytes]
"""Opens an entry of a playlist, given its address, flags and options of FFmpeg."""


def load_av() -> ModuleType:
    """Import PyAV. Raises MissingDependencyError."""
    try:
        import av
    except ImportError:
        raise MissingDependencyError("av", "video", "video input") from None
    return av


def ffmpeg_name(address: Address) -> str:
    """Return the address in the form that FFmpeg expects; a file name never selects a protocol."""
    return f"file:{address.target}" if address.kind == "file" else address.target


def open_container(
    target: Input,
    address: Address,
    *,
    options: dict[str, str],
    form: str | None,
    limits: tuple[float, float],
    io_open: OpenEntry | None,
    accelerator: HWAccel | None = None,
) -> InputContainer:
    """Open a container, of which a malicious one can neither open other files nor demand memory without bound.

    Args:
        target: What FFmpeg opens.
        address: The source.
        options: Options for FFmpeg.
        form: FFmpeg's name of the container format. None detects it.
        limits: Time limits in seconds for opening and for each read.
        io_open: Opens the entries of a playlist.
        accelerator: Decodes in hardware; None in software.

    Raises:
        av.FFmpegError, OSError, ValueError, RuntimeError: It cannot be opened.
    """
    av = load_av()
    options = {**options, "max_streams": str(MAX_STREAMS + 1)}
    if address.kind == "file":
        options["format_whitelist"] = SELF_CONTAINED
    named = {}
    if int(av.__version__.partition(".")[0]) < 19:
        named["metadata_errors"] = "replace"  # the default of later versions
    # Not as `options`, which apply to every stream as well: PyAV 17.0 frees memory that it never allocated if streams
    # are found late, as in MPEG-PS, FLV and HLS.
    container: InputContainer = av.open(
        target,
        mode="r",
        format=form,
        container_options=options,
        timeout=limits,
        io_open=io_open,
        hwaccel=accelerator,
        **named,
    )
    return container
