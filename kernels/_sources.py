"""The files of the kernels: their sources, and the extension module with its record in the wheels of a platform."""

from __future__ import annotations

import hashlib
from pathlib import Path

EXTENSION, RECORD = "_compiled", "_compiled.json"
HERE = Path(__file__).parent


def sources(folder: Path = HERE) -> str:
    """Digest of the sources of all kernels in a folder; "" where they are not there."""
    files = sorted(folder.glob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest() if files else ""
