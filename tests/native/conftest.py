"""The shared library, built once by CMake for all tests that use it. PUNCTUM_LIBRARY names an existing one instead."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def library_path() -> Path:
    if os.environ.get("PUNCTUM_LIBRARY"):
        return Path(os.environ["PUNCTUM_LIBRARY"])
    if not shutil.which("cmake"):
        pytest.skip("libpunctum is not built: no cmake")
    if not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("libpunctum is not built: no C++ compiler")
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "ci.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["--preset", "ci"], ["--build", "--preset", "ci", "--target", "punctum_shared"]):
            done = subprocess.run(["cmake", *command], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return ROOT / "build" / "ci" / "kernels" / "native" / "libpunctum.so"


@pytest.fixture(scope="session")
def library(library_path):
    from tests.native.binding import Library

    return Library(library_path)
