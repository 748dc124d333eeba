"""Self-test of the installed PyAV: encode a tiny clip and decode it again."""

from __future__ import annotations

import io
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import InputError, PunctumError
from ._frames import Gap
from ._opening import load_av

_FRAMES, _RATE, _SIDE = 12, 12, 64


def decode_tiny_clip() -> str:
    """Decode a one-second clip as `punctum run` would. Returns one line of text: versions and codec.

    Raises:
        MissingDependencyError: PyAV is not installed.
        PunctumError: The decoded clip differs from the encoded one.
    """
    from .open import open_frames

    av = load_av()
    try:
        clip = _make_clip()
    except (av.FFmpegError, OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise _broken(f"the clip could not be encoded ({type(error).__name__}: {error})") from None
    # From a file rather than from memory, because that is the code path of every recording.
    try:
        with tempfile.TemporaryDirectory(prefix="punctum-") as folder:
            path = Path(folder) / "clip.mp4"
            path.write_bytes(clip)
            source = open_frames(str(path), fps=float(_RATE))
            items = [item for item in source.frames() if item is not None]
            codec = source.info.codec
            source.close()
    except InputError as error:
        raise _broken(error.given) from None
    except (OSError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise _broken(f"{type(error).__name__}: {error}") from None
    shown = [-1 if isinstance(item, Gap) else round(float(item.image.mean()) / 20) for item in items]
    if shown != list(range(_FRAMES)):
        raise _broken(f"{len(items)} frames were decoded instead of {_FRAMES}, or their content differs")
    ffmpeg = getattr(av, "ffmpeg_version_info", "unknown")
    return f"PyAV {av.__version__} with FFmpeg {ffmpeg} decodes a tiny clip ({codec})"


def _make_clip() -> bytes:
    """An MP4 of MPEG-4 video, which every build of FFmpeg can write; frame k is uniformly 20 k bright."""
    av = load_av()
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=_RATE)
        stream.width = stream.height = _SIDE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _RATE)
        for k in range(_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((_SIDE, _SIDE, 3), 20 * k, np.uint8), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, _RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return memory.getvalue()


def _broken(what: str) -> PunctumError:
    return PunctumError(
        "video-selftest",
        f"The installed PyAV does not decode a tiny clip: {what}",
        "PyAV 17 to 19",
        "reinstall it: pip install --force-reinstall 'av>=17,<20'",
    )
