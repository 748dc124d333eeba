"""Read files of a bundle from a folder or a zip: only the requested ones, and never more bytes than allowed."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

from ..errors import InputError
from ..text.display import shown
from .errors import changed_file, missing_file, too_large, unreadable
from .limits import ENTRIES

_ENCRYPTED = 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class BundleFiles(Protocol):
    """The files of a bundle."""

    def read(self, name: str, limit: int) -> bytes:
        """One file of at most `limit` bytes.

        Raises:
            InputError: The file is missing, larger, or not a regular file.
        """
        ...


class FolderFiles:
    """Files below one folder. Links that lead out of it are rejected."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def read(self, name: str, limit: int) -> bytes:
        try:
            path = (self._folder / name).resolve()
            if not path.is_relative_to(self._folder):
                raise InputError(
                    "bundle-path",
                    f"{shown(name)} is a link to outside the bundle",
                    required="files inside the folder",
                    next_step="export the bundle again",
                )
            if not path.is_file():  # a device or a pipe would be read without end
                raise missing_file(str(self._folder), name)
            with path.open("rb") as stream:
                data = stream.read(limit + 1)
        except OSError as error:
            raise unreadable(
                f"Cannot read {shown(name)} in {self._folder} ({error.strerror or error})",
                next_step="check the permissions, or copy the bundle again",
            ) from None
        if len(data) > limit:
            raise _too_long(str(self._folder), name, limit)
        return data


class ZipFiles:
    """Members of a zip. Nothing is unpacked to disk, and only the requested members are read."""

    def __init__(self, archive: zipfile.ZipFile, source: str, limit: int) -> None:
        self._archive, self._source = archive, source
        members = archive.infolist()
        if len(members) > ENTRIES:
            raise too_large(f"{source} has {len(members):,} members", f"at most {ENTRIES:,}", "export it again")
        if sum(info.file_size for info in members) > limit:
            raise too_large(f"{source} unpacks to more than {limit:,} bytes", "at most 2 GiB", "use a folder")
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            if info.filename in self._members:
                raise unreadable(
                    f"{source} contains {shown(info.filename)} twice", next_step="export or zip the bundle again"
                )
            self._members[info.filename] = info

    def read(self, name: str, limit: int) -> bytes:
        info = self._members.get(name)
        if info is None:
            raise missing_file(self._source, name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        problem = ""
        if info.flag_bits & _ENCRYPTED:
            problem = "is encrypted"
        elif info.compress_type not in _METHODS:
            problem = f"is compressed by method {info.compress_type}"
        elif info.is_dir() or kind not in (0, stat.S_IFREG):
            problem = "is not a regular file"
        if problem:
            raise unreadable(
                f"{shown(name)} in {self._source} {problem}",
                required="regular files, stored or deflated, without a password",
                next_step="zip the bundle folder again, or use the folder",
            )
        if info.file_size > limit:
            raise _too_long(self._source, name, limit)
        try:
            with self._archive.open(info) as stream:
                data = stream.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError) as error:
            raise unreadable(
                f"{shown(name)} in {self._source} is damaged ({shown(error)})", next_step="copy the zip again"
            ) from None
        if len(data) > limit:  # more than the directory of the zip states
            raise _too_long(self._source, name, limit)
        return data


def _too_long(source: str, name: str, limit: int) -> InputError:
    return changed_file(f"{shown(name)} in {source} has more than {limit:,} bytes")
