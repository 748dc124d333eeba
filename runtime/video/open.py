"""Opening of frame sources by address."""

from __future__ import annotations

from ..credentials.redact import Address
from ..credentials.store import Credentials, Login
from ._frames import FrameSource, VideoOptions


def open_frames(address: str, *, fps: float, options: VideoOptions | None = None) -> FrameSource:
    """Open the frames of a video: a file, http(s) (also HLS), rtsp(s), a camera (camera:/dev/video0), or gst:PIPELINE.

    Args:
        address: Path or address of the video. Without a login in it, HTTP and RTSP use that of `options`, or else the
            stored one.
        fps: Cells of the sampling grid per second, independent of the frame rate of the video.
        options: Options of the source.

    Returns:
        The opened source. Close it when done.

    Raises:
        InputError: The source cannot be opened or contains no video.
        MissingDependencyError: PyAV is not installed.
    """
    parsed = Address.parse(address)
    if parsed.kind in ("http", "rtsp"):
        login = None if options is None or options.user is None else Login(options.user, options.password)
        login = login or Credentials.load().source
        parsed = parsed if login.user is None else parsed.with_login(login.user, login.password)
    source: FrameSource
    if parsed.kind == "file":
        from .files import FileFrames

        source = FileFrames(parsed, fps=fps, options=options)
    else:
        from .live import LiveFrames

        source = LiveFrames(parsed, fps=fps, options=options)
    try:
        source.open()
    except BaseException:
        source.close()
        raise
    return source
