"""How FFmpeg is asked for a live source: options, time-outs, and which of its faults another attempt may mend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..credentials.redact import Address
from ..errors import InputError, SourceLostError
from ._faults import Fault, explain
from ._frames import VideoOptions
from ._guard import Refused
from ._http import HttpBody, HttpSource
from ._picture import Picture
from .decode import VideoReader

SEGMENT_S = 15.0  # what may pass before the next segment of HLS is there; they last 2 to 10 s
PACED = 0.5  # share of its media time that a server must have spent on sending for it to count as live
# What FFmpeg may take an HTTP body for: nothing that opens other files or addresses by itself, save HLS, whose
# requests come back to us. The pictures are there to be refused by name.
FORMS = (
    "mpegts,mov,matroska,flv,live_flv,avi,mpjpeg,mjpeg,h264,hevc,vvc,av1,obu,ivf,ogg,asf,mpeg,mpegvideo,m4v,nut,mxf,gxf,"
    "wtv,dv,rm,yuv4mpegpipe,swf,hls,aac,ac3,eac3,mp3,wav,flac,webvtt,jpeg_pipe,png_pipe,gif_pipe,webp_pipe,bmp_pipe,"
    "gif,apng,tty"
)
MAX_PART_HEAD = 4096  # bytes, of motion JPEG
_HLS = {"http_persistent": "0", "http_multiple": "0"}  # so that it asks us for every file


class HttpReader(VideoReader):
    """A video over HTTP, through our own client."""

    def __init__(self, source: HttpSource, address: Address, options: VideoOptions, dropped: dict[str, int]) -> None:
        self._http, self._body = source, None
        super().__init__(
            address,
            dropped=dropped,
            live=True,
            options={"format_whitelist": FORMS},
            limits=source.limits,
            threads=options.threads,
            rate=options.rate,
        )
        self._io_open = source.nested

    _body: HttpBody | None

    def _input(self) -> Any:
        """What FFmpeg reads. Says as well what kind of thing it is, where the server's word counts."""
        self._http.arm(self._limits[0])
        body = self._body = self._http.first()
        if body.is_playlist():
            self._form, self._options = "hls", {**self._options, **_HLS}
            self._limits = (self._limits[0], max(self._limits[1], SEGMENT_S))
            return self._http.playlist(body)
        if body.kind == "multipart/x-mixed-replace":
            self._form = "mpjpeg"
            # FFmpeg looks at the head of the first part and goes back, which it can only within one read.
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
                    "HLS, or a video",
                    "use the HLS address of the same stream",
                )
            )
        elif not body.seekable() and _index_at_end(body.peek(128)):
            raise Refused(
                InputError(
                    "video-unreadable",
                    f"{self._address.shown} is an mp4 file whose index lies at its end, and its server tells no length",
                    "a server that serves ranges, or a file whose index comes first",
                    "fetch the file first, or remux it with: ffmpeg -i IN -c copy -movflags faststart OUT",
                )
            )
        elif body.again():
            raise Refused(
                InputError("video-again", f"{self._address.shown} begins again from its start", "a live stream", "")
            )
        self._recorded = self.recording
        return body

    def pictures(self) -> Iterator[Picture | None]:
        yield from super().pictures()
        cut = None if self._body is None else self._body.cut
        if cut is not None and self.ended_by is None:
            self.ended_by = explain(cut, self._address, reading=True)

    def _read(self) -> Any:
        self._http.arm(self._limits[1])
        return super()._read()

    @property
    def recording(self) -> bool:
        """Whether the server has said how long it is."""
        return self._form != "hls" and self._body is not None and self._body.length is not None

    def complete(self, media_s: float) -> bool:
        """Whether the end of what came, media_s seconds, is the end of a recording: its length was known, or it came
        faster than a camera could have sent it."""
        if self._form == "hls":
            return self._http.ended
        if self._body is None or self._form == "mpjpeg":
            return False
        return self._body.length is not None or self._body.waited_s < PACED * media_s

    def close(self) -> None:
        super().close()
        if self._body is not None:
            self._body.close()


def read_limit(address: Address, options: VideoOptions) -> float:
    """Seconds without bytes after which a source counts as lost."""
    playlist = address.kind == "http" and address.target.partition("?")[0].lower().endswith(".m3u8")
    return max(options.read_timeout_s, SEGMENT_S) if playlist else options.read_timeout_s


def _index_at_end(head: bytes) -> bool:
    """Whether the media data of an mp4 file come before its index, as far as its first bytes tell."""
    at = 0
    while head[4:8] == b"ftyp" and at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind in (b"mdat", b"moov") or size < 8:
            return kind == b"mdat"
        at += size
    return False


def http_source(address: Address, options: VideoOptions) -> HttpSource | None:
    """What all connections to an HTTP source share; None for other sources. Raises InputError."""
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
) -> VideoReader:
    """A reader of the source, not yet opened. dropped: counters that it shares. source: of `http_source`."""
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
        rate=options.rate,
    )


def error_fault(error: InputError) -> Fault:
    """An error of opening as a fault. What another attempt cannot mend: credentials, what is no video at all, and
    where a source may not lead."""
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
    }
    there = not isinstance(error, SourceLostError)
    passing = error.code not in final
    return Fault.of(error, passing=passing, answers=there)


def ffmpeg_options(address: Address, options: VideoOptions) -> tuple[dict[str, str], str | None]:
    """FFmpeg's options for a camera or an RTSP address, and its name of the format where that must be said."""
    # A second line behind our own time-outs, for what does not ask whether it shall go on. Not earlier than those.
    micros = str(int(max(options.open_timeout_s, options.read_timeout_s) * 1e6))
    if address.kind == "rtsp":
        return {"rtsp_transport": options.transport, "timeout": micros, "allowed_media_types": "video"}, None
    camera = {}
    if options.camera_size:
        camera["video_size"] = options.camera_size
    if options.camera_rate:
        camera["framerate"] = f"{options.camera_rate:g}"
    return camera, "v4l2"
