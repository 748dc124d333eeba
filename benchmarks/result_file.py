"""The option --json FILE of the scripts in this folder: one form of results, which `punctum bench --compare` reads."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from punctum.runtime.bench import Row, result_of, row_of, write_result
from punctum.runtime.cli._revision import revision

__all__ = ["Row", "add_json", "row_of", "save"]


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json FILE."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON to this file")


def command() -> str:
    """The command line, with this script as it is called in the repository, and without the file of the result."""
    script, *arguments = sys.argv
    if "--json" in arguments:
        at = arguments.index("--json")
        arguments = arguments[:at] + arguments[at + 2 :]
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *(_relative(text) for text in arguments)])


def _relative(text: str) -> str:
    """An absolute path without the folders of this machine."""
    return "/".join(Path(text).parts[-2:]) if Path(text).is_absolute() else text


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
