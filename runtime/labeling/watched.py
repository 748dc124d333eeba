"""Whether another program has changed files, and whether it is still writing them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from ..errors import PunctumError

_SETTLE_S, _SETTLE_TIMES = 0.1, 20
Signatures = tuple[tuple[int, ...] | None, ...]


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
        return tuple(_signature(path) for path in self._files)

    def note(self, seen: Signatures | None = None) -> None:
        """Note that the files are known as they were, or are now."""
        self._seen = self.now() if seen is None else seen

    def changed(self) -> bool:
        """Whether they have changed since `note`."""
        return self.now() != self._seen

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
        raise PunctumError(
            "write-failed",
            f"Another program is writing to {self._folder}",
            required="files that stay as they are for a moment",
            next_step="wait until it has ended",
        )


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
