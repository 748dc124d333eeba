"""Opening of sources of features by address."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import check_flag, check_number, check_positive, check_size, check_text, check_type, wrong_argument
from ..backends.options import CPU, EngineSpec
from ..errors import InputError
from .folder import ChunkFolder
from .framed import FramedFile, StandardInput, is_framed
from .items import Bad, Begin, Chunk, Item, Source, check_start
from .listener import Listener
from .media import find_videos, is_address, is_video_input, passed_over
from .tail import RowFile
from .unfit import refuse_options

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..video import VideoOptions
    from .video import Overflow, VideoSource

__all__ = [
    "Bad",
    "Begin",
    "Chunk",
    "Item",
    "Source",
    "find_videos",
    "is_address",
    "is_video_input",
    "open_source",
    "passed_over",
    "refuse_options",
]

_TCP = re.compile(r"tcp://(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:/]*)):(?P<port>\d{1,5})/?$")


def open_source(
    address: str,
    *,
    dim: int | None = None,
    stride_s: float | None = None,
    start_s: float = 0.0,
    follow: bool = False,
    idle_s: float | None = None,
    reconnect_s: float | None = None,
    overflow: Overflow | None = None,
    token: bytes | None = None,
    frames: VideoOptions | None = None,
    fps: float | None = None,
    bundle: Bundle | None = None,
    spec: EngineSpec = CPU,
) -> Source:
    """Open a source of features.

    A file that begins with the magic bytes of the framing is read as framed features, a video as video, and any other
    file as rows (`.npy`, or raw float32 by suffix). Options without effect on the source are errors.

    Args:
        address: "-", "tcp://host:port", "unix:///path", a folder, or a file. With a bundle that has a backbone also a
            video file, rtsp://, http(s)://, camera:/dev/video0 or gst:PIPELINE.
        dim: Dimension of the features. Default: that of the bundle.
        stride_s: Seconds per snippet. Default: that of the bundle.
        start_s: Media time of the first snippet in seconds if the source does not declare it.
        follow: Whether to wait for more data at the end of a file or folder.
        idle_s: The stream ends after this many seconds without data. None: never.
        reconnect_s: Seconds to wait for a lost sender or camera.
        overflow: What to do when video arrives faster than it is processed, see `VideoSource`.
        token: Token that senders to a socket must present.
        frames: Options for the frames of a video; `reconnect_s` and `overflow` take precedence.
        fps: Frames per second of a video without time stamps; an error for everything else.
        bundle: Bundle with a backbone, for video.
        spec: Engine of the backbone.

    Returns:
        The opened source. Close it when done.

    Raises:
        InputError: The address, an option or the file cannot be used.
    """
    check_text("address", address)
    if not address:
        raise InputError("source-address", "The address is empty", required="a source", next_step="name a source")
    check_start(start_s)
    check_size("dim", dim, optional=True)
    if stride_s is not None:
        check_positive("stride_s", stride_s)
    check_flag("follow", follow)
    check_type("token", token, bytes, "bytes", optional=True)
    check_number("fps", fps, optional=True)
    _check_objects(bundle, frames, spec)
    check_text("overflow", overflow, optional=True)
    if overflow not in (None, "wait", "drop_oldest", "degrade"):
        raise wrong_argument("overflow", overflow, "wait, drop_oldest or degrade, or None")
    for name, value in (("idle_s", idle_s), ("reconnect_s", reconnect_s)):
        check_number(name, value, optional=True)
        if value is not None and not 0 <= value < float("inf"):
            raise InputError("source-option", f"`{name}` is {value}", "0 or more seconds", f"change `{name}`")
    used = {
        "start_s": start_s != 0.0,
        "follow": follow,
        "idle_s": idle_s is not None,
        "reconnect_s": reconnect_s is not None,
        "overflow": overflow is not None,
        "transport": frames is not None and frames.transport != "tcp",
        "allow_hosts": frames is not None and bool(frames.allow_hosts),
        "decoder": frames is not None and frames.decoder != "software",
    }
    refuse_options(address, [name for name, is_set in used.items() if is_set])
    if is_video_input(address):
        return video_source(
            address,
            bundle,
            frames=frames,
            start_s=start_s,
            idle_s=idle_s,
            reconnect_s=reconnect_s,
            overflow=overflow,
            fps=fps,
            spec=spec,
        )
    if fps is not None:
        raise InputError(
            "video-rate",
            f"`fps={fps:g}` cannot be used with {address}, which is not a video",
            "a video without time stamps",
            "leave out `fps`",
        )
    if bundle is not None:
        dim = bundle.manifest.features.dim if dim is None else dim
        stride_s = bundle.manifest.features.stride_s if stride_s is None else stride_s
    if dim is None or stride_s is None:
        raise InputError(
            "source-option",
            "The dimension and stride of the features are unknown",
            required="a bundle, or both `dim` and `stride_s`",
            next_step="pass one of them",
        )
    source = _select(
        address,
        dim=dim,
        stride_s=stride_s,
        start_s=start_s,
        follow=follow,
        idle_s=idle_s,
        reconnect_s=reconnect_s or 0.0,
        token=token,
    )
    source.open()
    return source


def _check_objects(bundle: object, frames: object, spec: object) -> None:
    check_type("spec", spec, EngineSpec, "EngineSpec")
    if bundle is not None:
        from ..bundle.reader import Bundle

        check_type("bundle", bundle, Bundle, "a Bundle, or None")
    if frames is not None:
        from ..video import VideoOptions

        check_type("frames", frames, VideoOptions, "VideoOptions, or None")


def _select(
    address: str,
    *,
    dim: int,
    stride_s: float,
    start_s: float,
    follow: bool,
    idle_s: float | None,
    reconnect_s: float,
    token: bytes | None,
) -> Source:
    if address == "-":
        return StandardInput(dim=dim, stride_s=stride_s, idle_s=idle_s)
    if match := _TCP.match(address):
        host = match["six"] or match["host"] or "127.0.0.1"
        if int(match["port"]) > 65535:
            raise InputError(
                "source-address", f"Port {match['port']} does not exist", "0 to 65535", "correct the address"
            )
        return Listener(
            (host, int(match["port"])),
            dim=dim,
            stride_s=stride_s,
            idle_s=idle_s,
            reconnect_s=reconnect_s,
            token=token,
        )
    if address.startswith("unix://") and len(address) > 7:
        path = Path(address[7:])
        return Listener(path, dim=dim, stride_s=stride_s, idle_s=idle_s, reconnect_s=reconnect_s, token=token)
    if "://" in address:
        raise InputError(
            "source-address",
            f"The address {address!r} has an unknown form",
            "-, tcp://host:port, unix:///path, a folder, a .npy, raw or framed file, or as video a file, rtsp://, "
            "http(s)://, camera:/dev/video0, gst:PIPELINE",
            "correct the address",
        )
    path = Path(address)
    if path.is_dir():
        if not any(path.glob("*.npy")) and find_videos(path):
            raise InputError(
                "source-folder", f"{path} is a folder of videos and not a stream", "one video", "leave out `stream`"
            )
        return ChunkFolder(path, dim=dim, stride_s=stride_s, start_s=start_s, follow=follow, idle_s=idle_s)
    if is_framed(path):
        return FramedFile(path, dim=dim, stride_s=stride_s, follow=follow, idle_s=idle_s)
    return RowFile(path, dim=dim, start_s=start_s, follow=follow, idle_s=idle_s)


def video_source(
    address: str,
    bundle: Bundle | None,
    *,
    start_s: float = 0.0,
    idle_s: float | None = None,
    reconnect_s: float | None = None,
    overflow: Overflow | None = None,
    frames: VideoOptions | None = None,
    fps: float | None = None,
    spec: EngineSpec = CPU,
) -> VideoSource:
    """Open a video with the backbone of a bundle. See `open_source`.

    Raises:
        InputError: There is no bundle, or it has no backbone, or the video cannot be opened.
    """
    from ..backbone.backbone import VideoBackbone, no_backbone
    from ..credentials.redact import Address
    from ..video import VideoOptions
    from .video import open_video

    if bundle is None:
        raise InputError(
            "bundle-without-backbone",
            f"{Address.parse(address).shown} is a video, and no bundle was given to compute its features",
            required="a bundle with a backbone (`punctum export --backbone`, or `punctum train` on videos)",
            next_step="pass `bundle=`",
        )
    if bundle.manifest.backbone is None:
        raise no_backbone(bundle.id, Address.parse(address).shown)
    backbone = VideoBackbone.open(bundle, spec)
    frames = frames or VideoOptions()
    if reconnect_s is not None:
        frames = replace(frames, reconnect_s=reconnect_s)
    return open_video(address, backbone, start_s=start_s, idle_s=idle_s, overflow=overflow, fps=fps, options=frames)
