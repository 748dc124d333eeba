"""Delimited text from spreadsheets, annotation tools and people."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

from .numbers import Style

_DELIMITERS = "\t;,"
_SEP = re.compile(r'^"?sep=(.)"?[;,\t]*$', re.IGNORECASE)
_DIGITS = re.compile(r"[-+]?\d+$", re.ASCII)


class TableError(ValueError):
    """A table cannot be read. The message says where and why, without the name of the file."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. problem: why it cannot be read; empty if it can."""

    line: int
    cells: tuple[str, ...]
    problem: str = ""

    def cell(self, column: int | None) -> str:
        """Text of a cell without surrounding space; empty if the row is shorter."""
        return self.cells[column].strip() if column is not None and column < len(self.cells) else ""


@dataclass(frozen=True, slots=True)
class Table:
    """header: as written; line: its number; rows: without blank lines."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    delimiter: str = ","
    line: int = 1

    def column(self, *names: str) -> int | None:
        """Index of the first of these columns that exists, by `column_key`. Raises TableError for duplicates."""
        keys = [column_key(name) for name in self.header]
        for name in names:
            if (n := keys.count(column_key(name))) > 1:
                raise TableError(f"line {self.line} has {n} columns called {name}")
            if n:
                return keys.index(column_key(name))
        return None

    def style(self, *columns: int | None) -> Style:
        """How the numbers in these columns are written."""
        return Style.of((row.cell(c) for row in self.rows for c in columns if c is not None), self.delimiter)

    @property
    def written(self) -> str:
        """The header in an error message."""
        return ", ".join(self.header)[:200] or "nothing"


def column_key(name: str) -> str:
    """A header name without case, punctuation and spaces: `Start (s)` becomes `start_s`."""
    return re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name).casefold()).strip("_")


def read_table(text: str, *, header: bool = True) -> Table:
    """Read a table separated by tabs, semicolons or commas.

    The delimiter is detected from the first line or from Excel's `sep=` line. A row with more cells than the header
    gets a `problem`: the usual cause is an unquoted decimal comma, which would shift all later cells.

    Args:
        text: The whole file.
        header: Whether the first line names the columns.

    Raises:
        TableError: The quoting is broken.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    delimiter = ""
    if declared := _SEP.match(lines[first].strip(" \r")):
        delimiter, first = declared[1], first + 1
        first = next((i for i in range(first, len(lines)) if lines[i].strip()), len(lines))
    body = "\n".join(lines[first:])
    if not delimiter:
        delimiter = _delimiter(lines[first] if first < len(lines) else "")
    reader = csv.reader(io.StringIO(body), delimiter=delimiter, strict=True)
    try:
        found = [(reader.line_num + first, tuple(cells)) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise TableError(f"line {reader.line_num + first} is broken ({error})") from None
    if not header:
        return Table((), tuple(Row(line, cells) for line, cells in found), delimiter, first + 1)
    if not found:
        return Table((), (), delimiter, first + 1)
    names = [name.strip() for name in found[0][1]]
    while names and not names[-1]:
        names.pop()
    rows = (Row(line, cells, _too_many(cells, len(names))) for line, cells in found[1:])
    return Table(tuple(names), tuple(rows), delimiter, found[0][0])


def _delimiter(line: str) -> str:
    """The delimiter that gives the most cells; tabs and semicolons before commas."""
    try:
        counts = {sign: len(next(csv.reader([line], delimiter=sign), [])) for sign in _DELIMITERS}
    except csv.Error:
        return ","
    best = max(counts, key=lambda sign: counts[sign])
    return best if counts[best] > 1 else ","


def _too_many(cells: tuple[str, ...], columns: int) -> str:
    extra = [cell for cell in cells[columns:] if cell.strip()]
    split = any(_DIGITS.match(a.strip()) and _DIGITS.match(b.strip()) for a, b in pairwise(cells))
    if not extra and not (len(cells) > columns and split):
        return ""
    reason = " (an unquoted decimal comma?)" if split else ""
    return f"{len(cells)} cells under {columns} columns{reason}"
