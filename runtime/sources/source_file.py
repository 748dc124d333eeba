"""The file that a source reads."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from .items import unreadable


class SourceFile:
    """A file that is opened with its source, or else when the source is first read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> BinaryIO:
        """The open file. Raises InputError."""
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except OSError as error:
                raise unreadable(self._path, error) from None
        return self._file

    def close(self) -> None:
        """Close it, if it is open."""
        if self._file is not None:
            self._file.close()
            self._file = None
