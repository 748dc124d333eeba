"""Files of clips and pictures: their deletion, and those that no row of the database names.

A kill between a file and its row leaves such a file, and so does a database that was lost. Nobody can ask for it, and
without a look at the folder it would stay for ever.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# The names that the service gives to its files, and to drafts of them; others are not touched.
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NAME = re.compile(r"[0-9a-f]{24}\.(mp4|webm|mkv|jpg)")
_DRAFT = re.compile(r"\.[0-9a-f]{24}\.(mp4|webm|mkv|jpg)\.[0-9a-f]{8}")
YOUNG_S = 3600.0  # a file may wait so long for its row, and a draft for its end


class OutsideError(Exception):
    """A file is not below the folder of clips and pictures."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A file that no row names. draft: it was never completed."""

    camera: str
    path: Path
    bytes: int
    unix: float
    draft: bool


class MediaFiles:
    """The folder of clips and pictures. Only files below it are deleted.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))

    def delete(self, path: Path) -> int:
        """Delete a file, and the folders that are empty then. Returns the bytes that it took; 0 if it was gone.

        Raises:
            OutsideError: It is not below the folder.
            OSError: It cannot be deleted, and is still there.
        """
        if not Path(os.path.realpath(path)).is_relative_to(self.folder):
            raise OutsideError
        try:
            size = path.lstat().st_size
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return 0
        try:
            for folder in path.parents:
                if folder == self.folder or not folder.is_relative_to(self.folder) or any(folder.iterdir()):
                    break
                folder.rmdir()
        except OSError:
            pass  # a file was added in the meantime; an empty folder takes no space
        return size

    def unknown(self, names: Callable[[str], set[str]], now: float) -> list[Unknown]:
        """Files that no row names, the oldest first.

        Args:
            names: Names of the files of a camera that rows name. They are compared without their folders, so that a
                state folder that was moved loses nothing.
            now: Unix time. Files of the last hour are left out.

        Raises:
            OSError: The folder cannot be read.
        """
        found: list[Unknown] = []
        for camera in _folders(self.folder):
            files = [one for one in _files(camera) if one.unix < now - YOUNG_S]
            if files:  # rows are read after files, so a row added in between is found
                known = names(camera.name)
                found += [one for one in files if one.path.name not in known]
        return sorted(found, key=lambda one: (one.unix, one.path))


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _files(camera: Path) -> Iterator[Unknown]:
    for day in _folders(camera):
        if not _DAY.fullmatch(day.name):
            continue
        with os.scandir(day) as entries:
            for entry in entries:
                draft = _DRAFT.fullmatch(entry.name) is not None
                if not (draft or _NAME.fullmatch(entry.name)) or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Unknown(camera.name, Path(entry.path), facts.st_size, facts.st_mtime, draft)
