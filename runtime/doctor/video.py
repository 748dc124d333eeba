"""Video: which PyAV and FFmpeg are installed, and whether they read a small clip that is made here."""

from __future__ import annotations

import importlib.util
import itertools
import tempfile
from pathlib import Path
from typing import Any

from ..machine.findings import Facts
from ..machine.wheels import installed
from ..machine.world import World

AREA = "Video"
CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg")  # what cameras and recorders write
_COUNT, _RATE, _SIZE = 6, 10, 64


def examine_video(world: World, facts: Facts) -> None:
    """Versions, decoders, and the clip. A note where PyAV is absent, a problem where it does not work."""
    version = installed(world).get("av")
    if not world.live:
        facts.say(AREA, PyAV=version or "not installed")
        return
    if importlib.util.find_spec("av") is None:
        facts.say(AREA, PyAV="not installed")
        facts.note(AREA, "PyAV is not installed: features only, no video", "pip install 'punctum[video]'")
        return
    facts.say(AREA, PyAV=version or "unknown version")
    try:
        facts.add(AREA, _versions())
        read = try_clip()
    except Exception as error:  # noqa: BLE001 - a library that does not fit may raise anything
        facts.say(AREA, a_made_clip="cannot be read")
        facts.problem(
            AREA,
            f"PyAV {version or 'of unknown version'} does not read a small clip "
            f"({type(error).__name__}: {str(error)[:300]})",
            "pip install --force-reinstall 'punctum[video]'",
        )
        return
    facts.say(AREA, a_made_clip=f"opens, {read} frames")


def _versions() -> dict[str, str]:
    import av

    return {"FFmpeg": _ffmpeg(av), "decoders": ", ".join(name for name in CODECS if name in av.codecs_available)}


def _ffmpeg(av: Any) -> str:
    release = getattr(av, "ffmpeg_version_info", None) or "release not stated"
    parts = (f"{name} {'.'.join(map(str, numbers))}" for name, numbers in sorted(av.library_versions.items()))
    return f"{release} ({', '.join(part for part in parts if part.startswith(('libavcodec', 'libavformat')))})"


def try_clip() -> int:
    """Write a clip of a few frames to a temporary file and read it as `punctum run` does; the number of frames.

    Raises whatever the library raises, and RuntimeError when frames come out that did not go in.
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
    """Every FFmpeg encodes MPEG-4 part 2; H.264 needs a library that some builds leave out."""
    import av
    import numpy as np

    with av.open(str(clip), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=_RATE)
        stream.width = stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for k in range(_COUNT):
            picture = np.full((_SIZE, _SIZE, 3), 30 + 35 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
