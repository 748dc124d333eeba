"""A file of feature rows, read to its end or, with `follow`, as it grows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..text.display import as_utf8, counted, were
from .items import BLOCK_ROWS, POLL_S, Begin, Chunk, Item, Position, ReadRetry, count_in, missing
from .npy import RAW_SUFFIXES, RowLayout, npy_layout, raw_layout
from .source_file import SourceFile


class RowFile:
    """`.npy` (float, [T, dim]) or raw float32 rows (.f32, .raw, .bin). Position: {"row": rows read}.

    Args:
        path: The file.
        dim: Dimension of the features.
        start_s: Media time of the first snippet in seconds.
        follow: Whether to wait for more rows at the end. The length in a `.npy` header is then ignored; all complete
            rows in the file count. A file that has its final size before it is filled (a memory map) is not supported.
        idle_s: With `follow`, the stream ends after this many seconds without new rows. None: never.
    """

    replayable = True

    def __init__(
        self, path: Path, *, dim: int, start_s: float = 0.0, follow: bool = False, idle_s: float | None = None
    ) -> None:
        self.path, self.name = path, str(path)
        self._dim, self._start_s, self._follow, self._idle_s = dim, start_s, follow, idle_s
        self._file = SourceFile(path)
        self._retry = ReadRetry(str(path))

    @property
    def trouble(self) -> str:
        """Why the file currently cannot be read; empty if it can."""
        return self._retry.trouble

    def open(self) -> None:
        if not self.path.is_file():
            raise missing(f"{self.path} is not a file", "a file of features")
        self._file.open()

    def close(self) -> None:
        self._file.close()

    def items(self, position: Position | None = None) -> Iterator[Item]:
        file = self._file.open()
        row = 0 if position is None else count_in(position, "row")
        yield Begin(as_utf8(self.path.stem), self._start_s)
        layout: RowLayout | None = raw_layout(self._dim) if self.path.suffix in RAW_SUFFIXES else None
        quiet = time.monotonic()
        while True:
            began = time.perf_counter()
            rows = None
            try:
                if layout is None:
                    layout = npy_layout(file, self.path, dim=self._dim)
                size = os.fstat(file.fileno()).st_size
                have = row if layout is None else self._have(layout, size, row)
                if layout is not None and have > row:
                    rows = layout.read(file, row, min(have - row, BLOCK_ROWS))
            except OSError as error:
                self._retry.wait(error)
                yield None
                continue
            self._retry.success()
            if rows is not None and len(rows):
                where = f"snippets {row} to {row + len(rows) - 1} of {self.path}"
                row += len(rows)
                yield Chunk(rows, None, where, {"row": row}, time.perf_counter() - began)
                quiet = time.monotonic()
                continue
            if not self._follow or (self._idle_s is not None and time.monotonic() - quiet >= self._idle_s):
                break
            time.sleep(POLL_S)
            yield None
        self._check_end(layout, size, row)

    def _have(self, layout: RowLayout, size: int, row: int) -> int:
        have = layout.rows_in(size)
        if have < row:
            raise InputError(
                "file-shrank",
                f"{self.path} has {counted(have, 'snippet')} now, but {row} {were(row)} already read",
                required="a file that only grows",
                next_step="write a new recording to a new file",
            )
        if not self._follow and layout.declared is not None:
            have = min(have, layout.declared)
        return have

    def _check_end(self, layout: RowLayout | None, size: int, row: int) -> None:
        if layout is None:
            cut = f"ends inside its header, after {counted(size, 'byte')}"
        elif (size - layout.offset) % layout.row_bytes and (self._follow or layout.declared is None):
            cut = f"ends inside snippet {row}, at byte {size}"
        elif not self._follow and layout.declared is not None and row < layout.declared:
            cut = f"ends after {row} of the {layout.declared} snippets declared in its header"
        else:
            return
        raise InputError(
            "file-cut",
            f"{self.path} {cut}",
            required="complete snippets",
            next_step="check why the writer stopped; all complete snippets were used",
        )
