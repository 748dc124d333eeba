"""Remote items through fsspec: s3://, gs://, http(s)://, sftp://, zip://inner::outer and others.

Credentials come from the configuration files and the environment of fsspec. They are never written to results.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..credentials.redact import clean
from ..errors import InputError, MissingDependencyError
from ._items import Item, is_recording

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:://|::)")
_LIVE = ("rtsp://", "rtsps://", "camera:", "tcp://", "unix://")
_BLOCK = 1 << 20


def is_remote(text: str) -> bool:
    """Whether this is an address and not a path. Raises InputError for live streams."""
    if text.lower().startswith(_LIVE):
        raise InputError(
            "needs-stream",
            f"{shown(text)} is a live stream",
            required="recordings",
            next_step="use `punctum run BUNDLE ADDRESS --stream`",
        )
    return _ADDRESS.match(text) is not None


def shown(address: str) -> str:
    """An address, or a text that contains addresses, without secrets: for messages and results."""
    return "::".join(clean(link) for link in address.split("::"))  # fsspec chains addresses


def _open(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingDependencyError("fsspec", "archive", f"reading {shown(address)}") from None
    try:
        opened: tuple[Any, str] = url_to_fs(address)
        return opened
    except ImportError as error:
        scheme = address.split(":")[0]
        raise MissingDependencyError(_package_of(error), "archive", f"reading {scheme}:// addresses") from None
    except Exception as error:  # noqa: BLE001 - each file system has its own errors
        raise _unreadable(address, error) from None


def _package_of(error: ImportError) -> str:
    match = re.search(r'(?:[Ii]nstall|require) "?([\w\[\]-]+)', str(error))
    return match[1] if match else str(error)[:80]


def _unreadable(address: str, error: Exception) -> InputError:
    why = shown(str(error))[:200] or type(error).__name__
    return InputError(
        "remote-unreadable",
        f"{shown(address)} cannot be read ({type(error).__name__}: {why})",
        required="an address that fsspec can read, and credentials in its configuration or environment",
        next_step="check address and credentials, then run again with `retry_failed`",
    )


def find_remote(address: str) -> list[Item]:
    """A file, all recordings below a folder, or the matches of a pattern. Raises InputError."""
    system, path = _open(address)
    chain = address.split("::", 1)[1] if "::" in address else ""
    try:
        if any(c in path for c in "*?["):
            fixed = path.split("*")[0].split("?")[0].split("[")[0]
            base, listing = fixed.rpartition("/")[0], system.glob(path, detail=True)
        elif system.isdir(path):
            base, listing = path, system.find(path, detail=True)
        else:
            base, listing = path.rpartition("/")[0], {path: system.info(path)}
    except Exception as error:  # noqa: BLE001 - each file system has its own errors
        raise _unreadable(address, error) from None
    items = []
    for name, info in sorted(listing.items()):
        if info.get("type") == "directory" or not is_recording(name.split("?")[0]):
            continue
        full = f"{address.split('://', 1)[0]}://{name}::{chain}" if chain else system.unstrip_protocol(name)
        below = PurePosixPath(name.split("?")[0]).as_posix().removeprefix(base.rstrip("/") + "/").lstrip("/")
        size = int(info.get("size") or 0)
        stamps = [
            str(info[k]) for k in ("etag", "ETag", "md5Hash", "checksum", "mtime", "LastModified", "CRC") if k in info
        ]
        features = name.split("?")[0].lower().endswith(".npy")
        items.append(
            Item(below, (full,), "features" if features else "video", size, ":".join([str(size), *stamps]), remote=True)
        )
    return items


def fetch(address: str, into: IO[bytes]) -> str:
    """Copy a remote file in blocks. Returns its SHA-256. Raises InputError."""
    system, path = _open(address)
    digest = hashlib.sha256()
    try:
        with system.open(path, "rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                into.write(block)
        into.flush()
    except Exception as error:  # noqa: BLE001 - each file system has its own errors
        raise _unreadable(address, error) from None
    return digest.hexdigest()


def suffix_of(address: str) -> str:
    """The extension of the file of an address."""
    return Path(address.split("::")[0].split("?")[0]).suffix
