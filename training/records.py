"""JSON records and digests of what training reads and writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from punctum.runtime._version import __version__
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import plain

Record: TypeAlias = dict[str, Any]
"""A JSON object."""


def write_json(path: Path, record: Any) -> None:
    """Write a record; the file is replaced as a whole or not at all."""
    atomic_write(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_object(path: Path) -> Record:
    """Read a JSON object that training wrote.

    Raises:
        InputError: the file cannot be read or does not hold an object.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "run-damaged",
            f"{path} cannot be read ({plain(error)[:300]})",
            required="a JSON object",
            next_step="train again",
        ) from None
    if not isinstance(record, dict):
        raise InputError(
            "run-damaged", f"{path} does not hold a JSON object", required="a JSON object", next_step="train again"
        )
    return record


def digest(parts: Iterable[bytes | memoryview]) -> str:
    """SHA-256 over parts, each preceded by its length, so that moving a byte from one part to the next changes it."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()


def versions() -> dict[str, str]:
    """Versions that a run depends on."""
    import torch

    return {"punctum": __version__, "torch": str(torch.__version__)}
