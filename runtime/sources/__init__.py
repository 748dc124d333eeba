"""Where features come from: files, folders, standard input, sockets. `open_source` picks by the form of the address."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError
from ._items import Bad, Begin, Chunk, Item, Source
from .folder import ChunkFolder
from .framed import FramedFile, Listener, StandardInput
from .framing import MAGIC
from .tail import RowFile

__all__ = ["Bad", "Begin", "Chunk", "Item", "Source", "open_source"]

_TCP = re.compile(r"tcp://(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:/]*)):(?P<port>\d{1,5})/?$")


def open_source(
    address: str,
    *,
    dim: int,
    stride_s: float,
    start_s: float = 0.0,
    follow: bool = False,
    idle_s: float | None = None,
    reconnect_s: float = 0.0,
) -> Source:
    """The source behind an address, opened: "-", "tcp://host:port", "unix:///path", a folder, or a file.

    A file that begins with the magic of the framing is read as framed, others as rows (`.npy`, or raw float32 by
    their ending). start_s: media time of the first snippet where the source does not say it. Raises InputError.
    """
    for name, value in (("idle_s", idle_s), ("reconnect_s", reconnect_s)):
        if value is not None and not 0 <= value < float("inf"):
            raise InputError("source-option", f"{name}={value}", "0 or more seconds", f"set {name}")
    source = _find(
        address,
        dim=dim,
        stride_s=stride_s,
        start_s=start_s,
        follow=follow,
        idle_s=idle_s,
        reconnect_s=reconnect_s,
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
) -> Source:
    if address == "-":
        return StandardInput(dim=dim, stride_s=stride_s, idle_s=idle_s)
    if match := _TCP.match(address):
        host = match["six"] or match["host"] or "127.0.0.1"
        if int(match["port"]) > 65535:
            raise InputError("source-address", f"port {match['port']}", "0 to 65535", "correct the address")
        return Listener((host, int(match["port"])), dim=dim, stride_s=stride_s, idle_s=idle_s, reconnect_s=reconnect_s)
    if address.startswith("unix://") and len(address) > 7:
        path = Path(address[7:])
        return Listener(path, dim=dim, stride_s=stride_s, idle_s=idle_s, reconnect_s=reconnect_s)
    if "://" in address:
        raise InputError(
            "source-address",
            f"source {address!r}",
            "-, tcp://host:port, unix:///path, a folder, a .npy, raw or framed file",
            "correct the address",
        )
    path = Path(address)
    if path.is_dir():
        return ChunkFolder(path, dim=dim, stride_s=stride_s, start_s=start_s, follow=follow, idle_s=idle_s)
    if _is_framed(path):
        return FramedFile(path, dim=dim, stride_s=stride_s, follow=follow, idle_s=idle_s)
    return RowFile(path, dim=dim, start_s=start_s, follow=follow, idle_s=idle_s)


def _is_framed(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False  # the reader of rows will say what is wrong
