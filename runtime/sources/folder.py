"""A folder of `.npy` chunks, read in the order of their names as they appear.

A chunk counts as complete once it has its name: write it as `NAME.npy.tmp` (or with any other suffix) in the same
folder, or as a hidden file, and rename it to `NAME.npy`. The order is that of the names, so number them with leading
zeros. A name may contain a media time: in `cam_000017@42.5.npy` the first snippet starts at 42.5 s. An empty file named
`END` ends the stream.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..features.media_clock import MAX_MEDIA_S
from ..text.display import as_utf8
from .items import (
    BLOCK_ROWS,
    POLL_S,
    TRANSIENT,
    Bad,
    Begin,
    Chunk,
    Item,
    Position,
    ReadRetry,
    count_in,
    missing,
    unreadable,
)
from .media import inside
from .npy import npy_layout

_TIME = re.compile(r"@(-?\d+(?:\.\d+)?)\.npy$")
END_NAME = "END"


class ChunkFolder:
    """Chunks in a folder. Position: {"file": name of the current chunk, "row": rows of it read, None = all}.

    A chunk that appears after a later one was read is reported as Bad and skipped.

    Args:
        path: The folder.
        dim: Dimension of the features.
        stride_s: Seconds per snippet.
        start_s: Media time of the first snippet in seconds.
        follow: See `RowFile`.
        idle_s: See `RowFile`.
    """

    replayable = True

    def __init__(
        self,
        path: Path,
        *,
        dim: int,
        stride_s: float,
        start_s: float = 0.0,
        follow: bool = False,
        idle_s: float | None = None,
    ) -> None:
        self.path, self.name = path, str(path)
        self._dim, self._stride_s, self._start_s = dim, stride_s, start_s
        self._follow, self._idle_s = follow, idle_s
        self._retry = ReadRetry(str(path))

    @property
    def trouble(self) -> str:
        """Why the folder currently cannot be read; empty if it can."""
        return self._retry.trouble

    def open(self) -> None:
        if not self.path.is_dir():
            raise missing(f"{self.path} is not a folder", "a folder")
        try:
            empty = not self._names()
        except OSError as error:
            raise unreadable(self.path, error) from None
        if not self._follow and empty:
            raise missing(
                f"{self.path} contains no .npy file",
                "a folder of .npy chunks",
                inside(self.path, one=True) or "check the path, or wait for chunks with `follow=True`",
            )

    def close(self) -> None:
        pass

    def _names(self) -> list[str]:
        return sorted(p.name for p in self.path.iterdir() if p.suffix == ".npy" and not p.name.startswith("."))

    def items(self, position: Position | None = None) -> Iterator[Item]:
        yield Begin(as_utf8(self.path.resolve().name), self._start_s)
        last = "" if position is None else str(position["file"])
        known: set[str] | None = None
        if last and position is not None and position["row"] is not None:
            yield from self._chunks(last, count_in(position, "row"))
        quiet = time.monotonic()
        while True:
            try:
                ended = (self.path / END_NAME).exists()  # checked first, so that no chunk before it is missed
                names = self._names()
            except OSError as error:
                self._retry.wait(error)
                yield None
                continue
            self._retry.success()
            if known is None:
                known = {name for name in names if name <= last} if last else set()
            fresh = [name for name in names if name not in known]
            for name in fresh:
                known.add(name)
                if name <= last:
                    late = InputError(
                        "chunk-late",
                        f"{name} appeared after {last}",
                        required="ascending names",
                        next_step="number the chunks with leading zeros",
                    )
                    yield Bad(late, name, _end_of(last), "late")
                    continue
                last = name
                yield from self._chunks(name, 0)
            if fresh:
                known.intersection_update(names)  # names of deleted files need not be remembered
                quiet = time.monotonic()
                continue
            idle = self._idle_s is not None and time.monotonic() - quiet >= self._idle_s
            if ended or not self._follow or idle:
                return
            time.sleep(POLL_S)
            yield None

    def _chunks(self, name: str, row: int) -> Iterator[Item]:
        path, end = self.path / name, _end_of(name)
        match = _TIME.search(name)
        at = float(match.group(1)) if match else None
        while True:
            try:
                for chunk in self._read(path, row, at):
                    yield chunk
                    row = count_in(chunk.position, "row") if chunk.position["row"] else row
                self._retry.success()
                return
            except InputError as error:
                yield Bad(error, str(path), end)
                return
            except OSError as error:
                if error.errno not in TRANSIENT:
                    yield Bad(unreadable(path, error), str(path), end, "unreadable")
                    return
                self._retry.wait(error)
            yield None

    def _read(self, path: Path, row: int, at: float | None) -> Iterator[Chunk]:
        """Yield the rows of one file from `row` on. Raises InputError, OSError."""
        end, began = _end_of(path.name), time.perf_counter()
        if at is not None and abs(at) > MAX_MEDIA_S:
            raise InputError(
                "chunk-time",
                f"{path} has a start of {at:g} s in its name",
                f"at most {MAX_MEDIA_S:g} s",
                "correct its name",
            )
        if not path.is_file() and path.exists():  # opening a pipe could block forever
            raise InputError("features-unreadable", f"{path} is not a regular file", "a .npy file", "remove it")
        with path.open("rb") as file:
            layout = npy_layout(file, path, dim=self._dim)
            total = -1 if layout is None else layout.declared or 0
            if layout is None or layout.rows_in(path.stat().st_size) < total:
                raise InputError(
                    "features-unreadable",
                    f"{path} is incomplete",
                    required="a complete .npy file",
                    next_step="write it under another name and rename it when it is complete",
                )
            if total == 0:
                yield Chunk(layout.read(file, 0, 0), at, str(path), end)
            while row < total:
                rows = layout.read(file, row, min(total - row, BLOCK_ROWS))
                if not len(rows):
                    raise InputError(
                        "features-unreadable", f"{path} was truncated while it was read", next_step="check the writer"
                    )
                first, row = row, row + len(rows)
                position: Position = end if row >= total else {"file": path.name, "row": row}
                time_of = None if at is None else at + first * self._stride_s
                yield Chunk(rows, time_of, f"{path}, from snippet {first}", position, time.perf_counter() - began)
                began = time.perf_counter()


def _end_of(name: str) -> Position:
    """The position after the last row of a chunk."""
    return {"file": name, "row": None}


def chunk_name(number: int, at: float | None = None) -> str:
    """Return a file name that sorts correctly: six digits and optionally the media time.

    Args:
        number: Index of the chunk.
        at: Media time of its first snippet in seconds.

    Raises:
        InputError: The media time is out of range.
    """
    if at is not None and not abs(at) <= MAX_MEDIA_S:
        raise InputError(
            "chunk-time", f"The media time `at` is {at} s", f"within {MAX_MEDIA_S:g} s of 0", "check the source"
        )
    return f"{number:06d}.npy" if at is None else f"{number:06d}@{at:.6f}.npy"
