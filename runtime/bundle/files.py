"""The files of a bundle, from a folder or a zip: only those that are asked for, and never more bytes than allowed."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

from ..errors import InputError
from ..text.display import shown
from .limits import ENTRIES

_ENCRYPTED = 1
_PACKED_IN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class BundleFiles(Protocol):
    """Where the files of a bundle come from."""

    def read(self, name: str, most: int) -> bytes:
        """One file of at most `most` bytes. Raises InputError where it is missing, larger or not a plain file."""
        ...


class FolderFiles:
    """Files below one folder. A link that leads out of it is refused."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def read(self, name: str, most: int) -> bytes:
        try:
            path = (self._folder / name).resolve()
            if not path.is_relative_to(self._folder):
                raise InputError(
                    "bundle-path",
                    f"{shown(name)} leads outside the bundle",
                    "files inside the folder",
                    "export the bundle again",
                )
            if not path.is_file():  # a device or a pipe is none, and would not end
                raise _missing(str(self._folder), name)
            with path.open("rb") as stream:
                data = stream.read(most + 1)
        except OSError as error:
            raise InputError(
                "bundle-unreadable",
                f"cannot read {shown(name)} in {self._folder} ({error.strerror or error})",
                "files that this user may read",
                "check the permissions, or copy the bundle again",
            ) from None
        if len(data) > most:
            raise _larger(str(self._folder), name, most)
        return data


class ZipFiles:
    """Members of a zip. Nothing is unpacked to disk, and members that nobody asks for are never read."""

    def __init__(self, archive: zipfile.ZipFile, source: str, most: int) -> None:
        self._archive, self._source = archive, source
        members = archive.infolist()
        if len(members) > ENTRIES:
            raise InputError(
                "bundle-too-large", f"{source} has {len(members):,} members", f"at most {ENTRIES:,}", "export it again"
            )
        if sum(info.file_size for info in members) > most:
            raise InputError(
                "bundle-too-large", f"{source} unpacks to more than {most:,} bytes", "at most 2 GiB", "use a folder"
            )
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            if info.filename in self._members:
                raise InputError(
                    "bundle-unreadable",
                    f"{source} holds {shown(info.filename)} twice",
                    "a zip in which every name is there once",
                    "export or zip the bundle again",
                )
            self._members[info.filename] = info

    def read(self, name: str, most: int) -> bytes:
        info = self._members.get(name)
        if info is None:
            raise _missing(self._source, name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        what = ""
        if info.flag_bits & _ENCRYPTED:
            what = "is encrypted"
        elif info.compress_type not in _PACKED_IN:
            what = f"is packed by method {info.compress_type}"
        elif info.is_dir() or kind not in (0, stat.S_IFREG):
            what = "is not a plain file"
        if what:
            raise InputError(
                "bundle-unreadable",
                f"{shown(name)} in {self._source} {what}",
                "plain files, stored or deflated, without a password",
                "zip the bundle folder again, or use the folder",
            )
        if info.file_size > most:
            raise _larger(self._source, name, most)
        try:
            with self._archive.open(info) as stream:
                data = stream.read(most + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError) as error:
            raise InputError(
                "bundle-unreadable",
                f"{shown(name)} in {self._source} is damaged ({shown(error)})",
                "a whole zip",
                "copy it again",
            ) from None
        if len(data) > most:  # the directory of the zip stated less
            raise _larger(self._source, name, most)
        return data


def _missing(source: str, name: str) -> InputError:
    return InputError(
        "bundle-file-missing",
        f"{source} has no {shown(name)}",
        "all files that were exported",
        "copy or export the bundle again",
    )


def _larger(source: str, name: str, most: int) -> InputError:
    return InputError(
        "bundle-file-changed",
        f"{shown(name)} in {source} has more than {most:,} bytes",
        "the files as exported",
        "copy or export the bundle again",
    )
