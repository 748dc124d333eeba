"""Fixtures shared by all tests. Real data and golden vectors live outside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Shared machines stall at times, and a kernel's first call compiles: a deadline an example would test the machine.
settings.register_profile("punctum", deadline=None)
settings.load_profile("punctum")
# Tests that import ONNX Runtime by themselves send no telemetry either.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with `data/` and `golden/`: PUNCTUM_SHARED, or `shared` beside the checkout."""
    folder = Path(os.environ.get("PUNCTUM_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (set PUNCTUM_SHARED to the folder that holds data/ and golden/)")
    return folder


@pytest.fixture(scope="session")
def golden_dir(shared_dir: Path) -> Path:
    folder = shared_dir / "golden"
    if not folder.is_dir():
        pytest.skip(f"no golden vectors at {folder}")
    return folder
