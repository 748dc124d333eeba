"""The library installed into a directory of its own, for tests that use it as another project would."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "ci"


def run(*command: str | Path, cwd: Path | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is the message if it fails."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done  # type: ignore[no-any-return]


def build(*targets: str) -> Path:
    """Build targets of the preset `ci`, one process at a time; returns their folder."""
    BUILD.parent.mkdir(exist_ok=True)
    with (BUILD.parent / "ci.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("cmake", "--preset", "ci", cwd=ROOT)
        run("cmake", "--build", "--preset", "ci", "--target", *targets, cwd=ROOT)
    return BUILD / "kernels" / "native"


def install(prefix: Path) -> Path:
    build("punctum_shared", "punctum_static")
    run("cmake", "--install", BUILD, "--prefix", prefix)
    return prefix
