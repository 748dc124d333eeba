"""Where features come from: files, folders, standard input, sockets, and video where the bundle has a backbone.

`open_source` picks by the form of the address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ._items import Bad, Begin, Chunk, Item, Source, check_start
from ._media import find_videos, is_address, is_video, passed_over
from .folder import ChunkFolder
from .framed import FramedFile, StandardInput
from .framing import MAGIC, TOKEN_MAGIC
from .listener import Listener
from .tail import RowFile

if TYPE_CHECKING:
    from ..backends import EngineOptions
    from ..bundle import Bundle
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
    device: str = "cpu",
    threads: int = 1,
    precision: str = "fp32",
    options: EngineOptions | None = None,
) -> Source:
    """The source behind an address, opened: "-", "tcp://host:port", "unix:///path", a folder, or a file; with a bundle
    that holds a backbone also a video file, rtsp://, http(s):// or camera:/dev/video0.

    A file that begins with the magic of the framing is read as framed, a video as video, others as rows (`.npy`, or
    raw float32 by their ending). dim, stride_s: of the features; by default the bundle's.
    start_s: media time of the first snippet where the source does not say it. overflow: what to do when video outpaces
    processing, see `VideoSource`. token: what senders to a socket have to present. frames: options of a video's frames;
    reconnect_s and overflow win over those in it. fps: the rate of a video that carries no time stamps; refused for all
    else. device, threads, precision, options: for the
    backbone. An option without effect on the source is refused. Raises InputError.
    """
    check_start(start_s)
    for name, value in (("idle_s", idle_s), ("reconnect_s", reconnect_s)):
        if value is not None and not 0 <= value < float("inf"):
            raise InputError("source-option", f"{name}={value}", "0 or more seconds", f"set {name}")
    given = {
        "--start-s": start_s != 0.0,
        "--follow": follow,
        "--idle-s": idle_s is not None,
        "--reconnect-s": reconnect_s is not None,
        "--overflow": overflow is not None,
        "--rtsp-transport": frames is not None and frames.transport != "tcp",
        "--allow-host": frames is not None and bool(frames.allow_hosts),
    }
    refuse_options(address, [name for name, there in given.items() if there])
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
            device=device,
            threads=threads,
            precision=precision,
            options=options,
        )
    if fps is not None:
        raise InputError(
            "video-rate",
            f"--fps {fps:g} for {address}, which is not a video",
            "a video without time stamps",
            "leave out --fps",
        )
    if bundle is not None:
        dim = bundle.manifest.features.dim if dim is None else dim
        stride_s = bundle.manifest.features.stride_s if stride_s is None else stride_s
    if dim is None or stride_s is None:
        raise InputError(
            "source-option",
            "neither a bundle nor dim and stride_s",
            "one of them",
            "pass bundle=, or dim= and stride_s=",
        )
    source = _find(
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


def _find(
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
            raise InputError("source-address", f"port {match['port']}", "0 to 65535", "correct the address")
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
            f"source {address!r}",
            "-, tcp://host:port, unix:///path, a folder, a .npy, raw or framed file; as video a file, rtsp://, "
            "http(s)://, camera:/dev/video0",
            "correct the address",
        )
    path = Path(address)
    if path.is_dir():
        if not any(path.glob("*.npy")) and find_videos(path):
            raise InputError(
                "source-folder", f"{path}, a folder of videos, as a stream", "one video", "leave out --stream"
            )
        return ChunkFolder(path, dim=dim, stride_s=stride_s, start_s=start_s, follow=follow, idle_s=idle_s)
    if _is_framed(path):
        return FramedFile(path, dim=dim, stride_s=stride_s, follow=follow, idle_s=idle_s)
    return RowFile(path, dim=dim, start_s=start_s, follow=follow, idle_s=idle_s)


def is_video_input(address: str) -> bool:
    """Whether an address names a video: a file by its content or ending, a URL or a camera."""
    return is_address(address) or (address != "-" and "://" not in address and is_video(Path(address)))


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
    device: str = "cpu",
    threads: int = 1,
    precision: str = "fp32",
    options: EngineOptions | None = None,
) -> VideoSource:
    """A video through the backbone of a bundle, opened. Raises InputError where the bundle has none."""
    from ..video import VideoOptions
    from ..video.backbone import VideoBackbone, no_backbone
    from ..video.redact import Address
    from .video import open_video

    if bundle is None or bundle.manifest.backbone is None:
        raise no_backbone("without a name" if bundle is None else bundle.id, Address.parse(address).shown)
    backbone = VideoBackbone.open(bundle, device=device, threads=threads, precision=precision, options=options)
    frames = frames or VideoOptions()
    if reconnect_s is not None:
        frames = replace(frames, reconnect_s=reconnect_s)
    return open_video(address, backbone, start_s=start_s, idle_s=idle_s, overflow=overflow, fps=fps, options=frames)


_FILES = {"--idle-s": "waits only with --follow"}
_CAMERAS = {"--follow": "never ends by itself", "--allow-host": "is opened by FFmpeg without that check"}
_HTTP = {"--follow": "is read to its end"}
_SENDERS = {
    "--start-s": "says itself when it begins",
    "--follow": "ends when its sender says so",
}
_FEATURES = {
    "--overflow": "waits for whoever reads it",
    "--rtsp-transport": "is no RTSP stream",
    "--allow-host": "follows no redirects",
}
_NOT_LOST = {"--reconnect-s": "cannot be lost and come back"}


def refuse_options(address: str, given: Sequence[str]) -> None:
    """Raise InputError for the first option, of those given, that has no effect with this source."""
    what, without = _without(address, "--follow" in given)
    for option in given:
        if option in without:
            raise InputError(
                "option-unfit",
                f"{option} has no effect with {what}, which {without[option]}",
                "options that act on this source",
                f"leave out {option}",
            )


def _without(address: str, follow: bool) -> tuple[str, dict[str, str]]:
    """(what kind of source an address is, the options without effect on it, and why)."""
    if is_video_input(address):
        scheme = address.partition(":")[0].lower() if is_address(address) else "file"
        if scheme in ("rtsp", "rtsps"):
            return "an RTSP stream", _CAMERAS
        if scheme in ("http", "https"):
            return "video over HTTP", _HTTP | {"--rtsp-transport": "is no RTSP stream"}
        if scheme == "camera":
            return "a camera", _CAMERAS | {"--rtsp-transport": "is no RTSP stream"}
        reasons = {"--follow": "is read to its end", "--idle-s": "is read to its end"}
        unfit = {option: why for option, why in _FEATURES.items() if option != "--overflow"}
        return "a video file", unfit | _NOT_LOST | reasons
    if address == "-":
        return "standard input", _FEATURES | _NOT_LOST | _SENDERS
    if "://" in address:
        return "a socket", _FEATURES | _SENDERS
    waits = {} if follow else _FILES
    if _is_framed(Path(address)):
        return "a framed file", _FEATURES | _NOT_LOST | waits | {"--start-s": _SENDERS["--start-s"]}
    return "a file or folder of features", _FEATURES | _NOT_LOST | waits


def _is_framed(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in (MAGIC, TOKEN_MAGIC)
    except OSError:
        return False  # the reader of rows will say what is wrong
