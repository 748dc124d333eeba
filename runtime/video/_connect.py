"""Connections to live sources: options for FFmpeg, time-outs, and which errors justify another attempt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from ..credentials.redact import Address
from ..errors import InputError, SourceLostError
from ._decoded import DecodedFrame
from ._faults import Fault, explain
from ._frames import VideoInfo, VideoOptions
from ._gst_reader import GstReader
from ._guard import Refused
from ._http import HttpSource
from ._http_body import HttpBody
from ._opening import Input
from ._selection import Shows
from .decode import VideoReader

if TYPE_CHECKING:
    from ._stamps import VideoPacket

END_SLACK_S = 1.0  # a recording that is served as a stream is complete if no more than this is missing
SEGMENT_S = 15.0  # longest wait for the next HLS segment; segments last 2 to 10 s
PACED = 0.5  # a live server spends at least this fraction of the media time on sending
# Formats that FFmpeg may detect in an HTTP body: none that opens other files or addresses by itself, except HLS, whose
# requests go through our own client. Image formats are included so that the error can name them.
FORMS = (
    "mpegts,mov,matroska,flv,live_flv,avi,mpjpeg,mjpeg,h264,hevc,vvc,av1,obu,ivf,ogg,asf,mpeg,mpegvideo,m4v,nut,mxf,gxf,"
    "wtv,dv,rm,yuv4mpegpipe,swf,hls,aac,ac3,eac3,mp3,wav,flac,webvtt,jpeg_pipe,png_pipe,gif_pipe,webp_pipe,bmp_pipe,"
    "gif,apng,tty"
)
MAX_PART_HEAD = 4096  # bytes of the header of a motion JPEG part
_HLS = {"http_persistent": "0", "http_multiple": "0"}  # so that every file is requested from our client


class Connection(Protocol):
    """One connection to a live source. All methods are called from one thread. See `VideoReader`."""

    ended_by: Fault | None

    @property
    def lost(self) -> int: ...
    def open(self) -> None: ...
    def info(self, first: DecodedFrame) -> VideoInfo: ...
    def watch(self, shows: Shows) -> None: ...
    def decoded_frames(self) -> Iterator[DecodedFrame | None]: ...
    def close(self) -> None: ...


class HttpReader(VideoReader):
    """A video over HTTP, read through our own client."""

    def __init__(self, source: HttpSource, address: Address, options: VideoOptions, dropped: dict[str, int]) -> None:
        self._http, self._body = source, None
        super().__init__(
            address,
            dropped=dropped,
            live=True,
            options={"format_whitelist": FORMS},
            limits=source.limits,
            threads=options.threads,
            decoder=options.decoder,
            rate=options.rate,
            packets=options.packets,
        )
        self._io_open = source.nested

    _body: HttpBody | None

    def _input(self) -> Input:
        """Return what FFmpeg reads, and set the format where the content type of the server decides it."""
        self._http.arm(self._limits[0])
        body = self._body = self._http.first()
        if body.is_playlist():
            self._form, self._options = "hls", {**self._options, **_HLS}
            self._limits = (self._limits[0], max(self._limits[1], SEGMENT_S))
            return self._http.playlist(body)
        if body.kind == "multipart/x-mixed-replace":
            self._form = "mpjpeg"
            # FFmpeg reads the header of the first part and seeks back, which works only within one read.
            head = b""
            while b"\n\r\n" not in head and b"\n\n" not in head and len(head) < MAX_PART_HEAD:
                before, head = len(head), body.peek(len(head) + 1)
                if len(head) == before:
                    break
        elif body.kind == "application/dash+xml" or body.peek(256).lstrip().startswith((b"<?xml", b"<MPD")):
            raise Refused(
                InputError(
                    "video-format",
                    f"{self._address.shown} is a DASH manifest or another XML document",
                    "HLS or a video file",
                    "use the HLS address of the same stream",
                )
            )
        elif not body.seekable() and _index_at_end(body.peek(128)):
            raise Refused(
                InputError(
                    "video-unreadable",
                    f"{self._address.shown} is an MP4 file with its index at the end, and the server does not declare"
                    " its length",
                    required="a server with range requests, or an index at the start of the file",
                    next_step="download the file first, or remux it with: ffmpeg -i IN -c copy -movflags faststart OUT",
                )
            )
        elif body.starts_again():
            raise Refused(
                InputError("video-again", f"{self._address.shown} starts again from the beginning", "a live stream")
            )
        self._recorded = self.recording
        return body

    def decoded_frames(self) -> Iterator[DecodedFrame | None]:
        yield from super().decoded_frames()
        cut = None if self._body is None else self._body.cut
        if cut is not None and self.ended_by is None:
            self.ended_by = explain(cut, self._address, reading=True)

    def _read(self) -> VideoPacket | None:
        self._http.arm(self._limits[1])
        return super()._read()

    @property
    def recording(self) -> bool:
        """Whether the server has declared the length of the body."""
        return self._form != "hls" and self._body is not None and self._body.length is not None

    def complete(self, media_s: float) -> bool:
        """Return whether the end of the body is the end of a recording.

        It is if the length was known, or if the data arrived faster than a camera could have sent it.

        Args:
            media_s: Length of the video received, in seconds.
        """
        if self._form == "hls":
            return self._http.ended
        if self._body is None or self._form == "mpjpeg":
            return False
        return self._body.length is not None or self._body.waited_s < PACED * media_s

    def close(self) -> None:
        super().close()
        if self._body is not None:
            self._body.close()


def is_whole(connection: Connection, media_s: float, announced_s: float | None) -> bool:
    """Whether a connection over HTTP that ended without a fault has delivered its whole stream.

    Args:
        connection: The connection; only an `HttpReader` can tell an end from an interruption.
        media_s: Length of the video received, in seconds.
        announced_s: Length according to the header.
    """
    if announced_s is not None and media_s >= announced_s - END_SLACK_S:
        return True
    return not isinstance(connection, HttpReader) or connection.complete(media_s)


def read_limit(address: Address, options: VideoOptions) -> float:
    """Return the time in seconds without data after which a source counts as lost."""
    playlist = address.kind == "http" and address.target.partition("?")[0].lower().endswith(".m3u8")
    return max(options.read_timeout_s, SEGMENT_S) if playlist else options.read_timeout_s


def _index_at_end(head: bytes) -> bool:
    """Return whether the first bytes of an MP4 file show that its media data precedes its index."""
    at = 0
    while head[4:8] == b"ftyp" and at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind in (b"mdat", b"moov") or size < 8:
            return kind == b"mdat"
        at += size
    return False


def http_source(address: Address, options: VideoOptions) -> HttpSource | None:
    """Return the state that all connections to an HTTP source share; None for other sources. Raises InputError."""
    if address.kind != "http":
        return None
    limits = (options.open_timeout_s, read_limit(address, options))
    try:
        return HttpSource(address.target, limits=limits, allowed=options.allow_hosts)
    except Refused as refused:
        error = refused.error
    raise error


def make_reader(
    address: Address, options: VideoOptions, dropped: dict[str, int], source: HttpSource | None = None
) -> Connection:
    """Create a reader of the source without opening it.

    Args:
        address: The source.
        options: Options of the source.
        dropped: Counters by reason, shared with the reader.
        source: Result of `http_source`.
    """
    if address.kind == "gst":
        return GstReader(address, options, dropped)
    if source is not None:
        return HttpReader(source, address, options, dropped)
    chosen, form = ffmpeg_options(address, options)
    return VideoReader(
        address,
        dropped=dropped,
        live=True,
        options=chosen,
        form=form,
        limits=(options.open_timeout_s, read_limit(address, options)),
        threads=options.threads,
        decoder=options.decoder,
        rate=options.rate,
        packets=options.packets,
    )


def error_fault(error: InputError) -> Fault:
    """Convert an error of opening into a fault.

    Another attempt cannot help with rejected credentials, formats that are not video, and forbidden redirects.
    """
    final = {"video-login", "video-permission", "video-codec", "video-picture", "missing-dependency"}
    final |= {
        "video-redirect",
        "video-encrypted",
        "video-format",
        "video-again",
        "video-transport",
        "video-rate",
        "video-size",
        "video-streams",
        "decoder-missing",
        "gst-missing",
        "gst-pipeline",
        "decoder-codec",
    }
    return Fault.of(error, passing=error.code not in final, answers=not isinstance(error, SourceLostError))


def ffmpeg_options(address: Address, options: VideoOptions) -> tuple[dict[str, str], str | None]:
    """Return FFmpeg's options for a camera or RTSP address, and its name of the format if it cannot be detected."""
    # Backs up our own time-outs where FFmpeg does not call the interrupt callback. Must not expire before those.
    micros = str(int(max(options.open_timeout_s, options.read_timeout_s) * 1e6))
    if address.kind == "rtsp":
        media = "video+audio" if options.packets is not None and options.packets.sound else "video"
        return {"rtsp_transport": options.transport, "timeout": micros, "allowed_media_types": media}, None
    camera = {}
    if options.camera_size:
        camera["video_size"] = options.camera_size
    if options.camera_rate:
        camera["framerate"] = f"{options.camera_rate:g}"
    return camera, "v4l2"
