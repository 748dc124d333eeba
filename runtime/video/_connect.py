"""How FFmpeg is asked for a live source: options, time-outs, and which of its faults another attempt may mend."""

from __future__ import annotations

from ..errors import InputError
from ._faults import Fault
from ._frames import VideoOptions
from .decode import VideoReader
from .redact import Address

SEGMENT_S = 15.0  # what may pass before the next segment of HLS is there; they last 2 to 10 s


def read_limit(address: Address, options: VideoOptions) -> float:
    """Seconds without bytes after which a source counts as lost."""
    playlist = address.kind == "http" and address.target.partition("?")[0].lower().endswith(".m3u8")
    return max(options.read_timeout_s, SEGMENT_S) if playlist else options.read_timeout_s


def make_reader(address: Address, options: VideoOptions, dropped: dict[str, int]) -> VideoReader:
    """A reader of the source, not yet opened. dropped: counters that it shares."""
    chosen, form = ffmpeg_options(address, options)
    return VideoReader(
        address,
        dropped=dropped,
        live=True,
        options=chosen,
        form=form,
        limits=(options.open_timeout_s, read_limit(address, options)),
        threads=options.threads,
        rate=options.rate,
    )


def error_fault(error: InputError) -> Fault:
    """An error of opening as a fault. What another attempt cannot mend: credentials, and what is no video at all."""
    final = {
        "video-login",
        "video-permission",
        "video-codec",
        "video-picture",
        "video-rate",
        "video-size",
        "video-streams",
    }
    final.add("missing-dependency")
    return Fault(error.code, error.given, error.allowed, error.next_step, passing=error.code not in final)


def ffmpeg_options(address: Address, options: VideoOptions) -> tuple[dict[str, str], str | None]:
    """FFmpeg's options for an address, and its name of the format where that must be said."""
    # A second line behind our own time-outs, for what does not ask whether it shall go on. Not earlier than those.
    micros = str(int(max(options.open_timeout_s, options.read_timeout_s) * 1e6))
    if address.kind == "rtsp":
        return {"rtsp_transport": options.transport, "timeout": micros, "allowed_media_types": "video"}, None
    if address.kind == "camera":
        camera = {}
        if options.camera_size:
            camera["video_size"] = options.camera_size
        if options.camera_rate:
            camera["framerate"] = f"{options.camera_rate:g}"
        return camera, "v4l2"
    # A playlist may point to other servers, never to files of this machine.
    # FFmpeg 8.1 mixes up the answers of two connections when it seeks (an MP4 with its index at the end loses its first
    # packets). On one connection for all requests it does not.
    return {
        "rw_timeout": micros,
        "protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto,data",
        "multiple_requests": "1",
    }, None
