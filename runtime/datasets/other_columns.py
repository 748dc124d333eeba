"""The columns of a table that punctum does not read, kept when it writes the table again."""

from __future__ import annotations

from collections.abc import Iterable

from ..text.delimited import Row, Table, column_key

UNNAMED = "unnamed"
_AGAIN = "\x1f"  # between a name and its number, for columns of one name


def other_columns(table: Table, read: Iterable[int | None], own: Iterable[str] = ()) -> dict[str, int]:
    """Names of the other columns, each with its index.

    Args:
        table: The table.
        read: Indices of the columns that are read.
        own: Names of the columns that are written, which no other column may have.
    """
    taken, reserved = set(read), set(own)
    found: dict[str, int] = {}
    for index, written in enumerate(table.header):
        if index in taken:
            continue
        name = column_key(written) or written.strip() or UNNAMED
        name = f"{name}_2" if name in reserved else name
        key, number = name, 2
        while key in found:
            key, number = f"{name}{_AGAIN}{number}", number + 1
        found[key] = index
    return found


def cells_of(row: Row, columns: dict[str, int]) -> dict[str, str]:
    """The cells of a row in these columns."""
    return {name: row.cell(index) for name, index in columns.items()}


def header_of(names: Iterable[str]) -> list[str]:
    """The header of columns that `other_columns` named."""
    return [name.partition(_AGAIN)[0] for name in names]
