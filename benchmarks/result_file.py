"""The option --json FILE of the scripts in this folder: one form of results, which `punctum bench --compare` reads."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from punctum.runtime.bench import Row, result_of, row_of, write_result
from punctum.runtime.cli._revision import revision

__all__ = ["Row", "add_json", "row_of", "rows_of", "save"]


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json FILE."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON to this file")


UNITS = {"s": "s", "ms": "ms", "us": "µs", "mib": "MiB", "kib": "KiB", "mb": "MB", "bytes": "bytes"}


def rows_of(record: object, name: str = "") -> list[Row]:
    """Every number in nested objects and lists, named by its path; its unit is the end of its name, as in "wall_s"."""
    if isinstance(record, Mapping):
        return [row for key, value in record.items() for row in rows_of(value, f"{name}: {key}" if name else str(key))]
    if isinstance(record, Sequence) and not isinstance(record, str | bytes):
        return [row for k, value in enumerate(record) for row in rows_of(value, f"{name}: {_label(value, k)}")]
    if isinstance(record, bool) or not isinstance(record, int | float) or not math.isfinite(record):
        return []
    return [Row(name, float(record), UNITS.get(name.rpartition("_")[2], ""))]


def _label(value: object, place: int) -> str:
    """What identifies an item of a list: its words, or its place."""
    words = [str(text) for text in value.values() if isinstance(text, str)] if isinstance(value, Mapping) else []
    return f"{place} {' '.join(words)}".strip()


def command() -> str:
    """The command line, with this script as it is called in the repository, and without the file of the result."""
    script, *arguments = sys.argv
    if "--json" in arguments:
        at = arguments.index("--json")
        arguments = arguments[:at] + arguments[at + 2 :]
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *(_relative(text) for text in arguments)])


def _relative(text: str) -> str:
    """An absolute path without the folders of this machine: below the repository, or its last two parts."""
    path = Path(text)
    if not path.is_absolute():
        return text
    root = Path(__file__).resolve().parent.parent
    if path.is_relative_to(root):
        return str(path.relative_to(root))
    return "/".join(path.parts[-2:]) if len(path.parts) > 3 else path.name


def save(
    file: Path | None,
    rows: Sequence[Row],
    *,
    details: Mapping[str, Any] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> None:
    """Write a result, named like the script, where --json was given."""
    if file is not None:
        name = Path(sys.argv[0]).stem
        found = result_of(
            name, rows, command=command(), revision=revision(), details=details or {}, skipped=skipped or {}
        )
        write_result(file, found)
