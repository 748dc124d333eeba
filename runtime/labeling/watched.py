"""Whether another program has changed files, and whether it is still writing them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from ..errors import PunctumError

_SETTLE_S, _SETTLE_TIMES = 0.1, 20
Signature = tuple[int, ...] | None
Signatures = dict[Path, Signature]


class Changed(Exception):
    """Another program has changed a file since it was read."""


class Watched:
    """Files, and what they were when they were read or written last.

    Args:
        folder: The folder that is labeled.
        files: The files.
    """

    def __init__(self, folder: Path, files: Iterable[Path]) -> None:
        self._folder, self._files = folder, tuple(files)
        self._seen: Signatures | None = None

    @property
    def known(self) -> bool:
        """Whether they were read or written before."""
        return self._seen is not None

    def now(self) -> Signatures:
        """What tells one content of the files from another."""
        return {path: _signature(path) for path in self._files}

    def note(self, seen: Signatures) -> None:
        """Note that the files are known as they were."""
        self._seen = seen

    def changed(self) -> bool:
        """Whether they have changed since `note`."""
        return self.now() != self._seen

    def replace(self, path: Path, draft: Path) -> None:
        """To be called directly before `draft` takes the place of a file. Raises Changed if it is another one now."""
        if self._seen is None or _signature(path) != self._seen[path]:
            raise Changed
        self._seen = {**self._seen, path: _signature(draft)}

    def settle(self) -> None:
        """Wait until another program has written all of a file: the beginning of a table is a table, too.

        Raises:
            PunctumError: It goes on writing.
        """
        for _ in range(_SETTLE_TIMES):
            before = self.now()
            time.sleep(_SETTLE_S)
            if self.now() == before:
                return
        raise writing(self._folder)


def writing(folder: Path) -> PunctumError:
    """The error for a folder to which another program goes on writing."""
    return PunctumError(
        "write-failed",
        f"Another program is writing to {folder}",
        required="files that stay as they are for a moment",
        next_step="wait until it has ended",
    )


def _signature(path: Path) -> Signature:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
