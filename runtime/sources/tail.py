"""A file of feature rows, read to its end or, with `follow`, as it grows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError
from ..text.display import as_utf8, counted, were
from .items import BLOCK_ROWS, POLL_S, Begin, Chunk, Item, Patience
from .npy import RAW_SUFFIXES, RowLayout, npy_layout, raw_layout


class RowFile:
    """`.npy` (float, [T, dim]) or raw float32 rows (.f32, .raw, .bin). Position: {"row": rows taken}.

    follow: wait for more at the end; the length in the header of a `.npy` is then ignored, what counts are whole rows
    in the file. A file of its final size that is filled later (a memory map) cannot be told from a full one.
    idle_s: with follow, the stream has ended when nothing came for that many seconds; None: never.
    """

    replayable = True

    def __init__(
        self, path: Path, *, dim: int, start_s: float = 0.0, follow: bool = False, idle_s: float | None = None
    ) -> None:
        self.path, self.name = path, str(path)
        self._dim, self._start_s, self._follow, self._idle_s = dim, start_s, follow, idle_s
        self._file: BinaryIO | None = None
        self._patience = Patience(str(path))

    @property
    def trouble(self) -> str:
        """Why the file cannot be read for now; empty: it can."""
        return self._patience.trouble

    def open(self) -> None:
        if not self.path.is_file():
            raise InputError("features-missing", f"{self.path} is not a file", "a file of features", "check the path")
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise InputError(
                "features-unreadable", f"cannot read {self.path} ({error})", "a readable file", "check its permissions"
            ) from None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def items(self, position: dict[str, Any] | None = None) -> Iterator[Item]:
        if self._file is None:
            self.open()
        file = self._file
        if file is None:
            return
        row = 0 if position is None else int(position["row"])
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
                self._patience.wait(error)
                yield None
                continue
            self._patience.well()
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
                f"{self.path} has {counted(have, 'snippet')} now, {row} {were(row)} read already",
                "a file that only grows",
                "write a new recording to a new file",
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
            cut = f"ends after {row} of the {layout.declared} snippets that its header promises"
        else:
            return
        raise InputError(
            "file-cut",
            f"{self.path} {cut}",
            "whole snippets",
            "check why the writer stopped; all snippets before were used",
        )
