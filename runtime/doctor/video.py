"""Check video support: PyAV, its FFmpeg and decoders, GStreamer, and whether a small test clip can be read."""

from __future__ import annotations

import importlib.util
import itertools
import tempfile
from pathlib import Path
from types import ModuleType

from ..errors import InputError
from ..machine.findings import Facts
from ..machine.host import Host
from ..machine.wheels import installed

AREA = "Video"
CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg")  # those of cameras and recorders
_COUNT, _RATE, _SIZE = 6, 10, 64


def examine_video(host: Host, facts: Facts) -> None:
    """Versions, decoders and a test clip. A note where PyAV is not installed, a problem where it does not work."""
    version = installed(host).get("av")
    if not host.local:
        facts.record(AREA, PyAV=version or "not installed")
        return
    if importlib.util.find_spec("av") is None:
        facts.record(AREA, PyAV="not installed")
        facts.note(
            AREA, "PyAV is not installed: features can be processed, videos cannot", "pip install 'punctum[video]'"
        )
        return
    facts.record(AREA, PyAV=version or "unknown version")
    try:
        facts.add(AREA, _versions())
        frames = read_test_clip()
    except Exception as error:  # noqa: BLE001 - an incompatible library may raise anything
        facts.record(AREA, test_clip="cannot be read")
        facts.problem(
            AREA,
            f"PyAV {version or 'of unknown version'} cannot read a small test clip "
            f"({type(error).__name__}: {str(error)[:300]})",
            "pip install --force-reinstall 'punctum[video]'",
        )
        return
    facts.record(AREA, test_clip=f"read, {frames} frames")


def _versions() -> dict[str, str]:
    import av

    return {
        "FFmpeg": _ffmpeg(av),
        "decoders": ", ".join(name for name in CODECS if name in av.codecs_available),
        "hardware decoders": _hardware(),
        "GStreamer": _gstreamer(),
    }


def _hardware() -> str:
    """The values of the option `decoder` besides software, and why some cannot be used."""
    from ..video._hardware import UNUSED, built_in, trouble

    why = {kind: trouble(kind) for kind in built_in()}
    parts = [f"{kind} (not usable: {reason})" if reason else kind for kind, reason in why.items() if reason != UNUSED]
    return ", ".join(parts) or "none in this build of PyAV"


def _gstreamer() -> str:
    """Version and decoders of GStreamer, for sources gst:PIPELINE."""
    from ..video._gst import describe

    try:
        version, elements = describe()
    except InputError as error:
        return f"not available to Python ({error.given}). For sources gst:PIPELINE, {error.next_step}"
    found = (f"{name} (only H.264 without B-frames)" if name == "openh264dec" else name for name in elements)
    return f"{version} with {', '.join(found) or 'none of the known decoders'}"


def _ffmpeg(av: ModuleType) -> str:
    release = getattr(av, "ffmpeg_version_info", None) or "release not stated"
    parts = (f"{name} {'.'.join(map(str, numbers))}" for name, numbers in sorted(av.library_versions.items()))
    return f"{release} ({', '.join(part for part in parts if part.startswith(('libavcodec', 'libavformat')))})"


def read_test_clip() -> int:
    """Write a clip of a few frames to a temporary file and read it as `punctum run` does. Returns the frame count.

    Raises:
        RuntimeError: The frames that were read are not those that were written.
        Exception: Whatever the library raises.
    """
    from ..video import Sampled, open_frames

    with tempfile.TemporaryDirectory(prefix="punctum-") as folder:
        clip = Path(folder) / "clip.mkv"
        _write(clip)
        source = open_frames(str(clip), fps=_RATE)
        try:
            levels = [float(item.image.mean()) for item in source.frames() if isinstance(item, Sampled)]
        finally:
            source.close()
    if len(levels) != _COUNT or any(b <= a for a, b in itertools.pairwise(levels)):
        raise RuntimeError(f"{_COUNT} frames of rising brightness were written, {levels} were read")
    return len(levels)


def _write(clip: Path) -> None:
    """Write the clip as MPEG-4 part 2, which every FFmpeg encodes; some builds lack an encoder for H.264."""
    import av
    import numpy as np

    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mpeg4", rate=_RATE)
        stream.width = stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for k in range(_COUNT):
            picture = np.full((_SIZE, _SIZE, 3), 30 + 35 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
