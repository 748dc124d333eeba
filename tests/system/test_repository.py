"""What must never be in the repository, and what a wheel must hold."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.splitlines()]


def test_no_paths_of_a_machine():
    pattern = re.compile(r"/(?:tmp|work|root|home)/[a-z]")
    found = []
    for path in tracked():
        if path.suffix in {".onnx", ".png", ".npy", ".npz", ".safetensors"} or not path.is_file():
            continue
        if path == Path(__file__):
            continue
        found += [
            f"{path.relative_to(ROOT)}: {line}"
            for line in path.read_text(errors="replace").splitlines()
            if pattern.search(line)
        ]
    assert not found


def test_only_own_files_are_binary():
    """Weights, goldens, pictures and seeds of the fuzzer; anything else was added by mistake."""
    own = ("runtime/assets/", "tests/golden/data/", "docs/images/", "kernels/native/fuzz/corpus/", "tests/data/")
    binary = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.is_file() and b"\0" in path.read_bytes()[:8192] and not str(path.relative_to(ROOT)).startswith(own)
    ]
    assert not binary
    assert not [str(path.relative_to(ROOT)) for path in tracked() if path.is_file() and path.stat().st_size > 2 << 20]


def test_the_readme_names_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text


def test_modules_stay_small():
    long = {
        str(p.relative_to(ROOT)): n
        for p in tracked()
        if p.suffix == ".py" and p.is_file() and (n := len(p.read_text().splitlines())) > 450
    }
    assert not long


def test_import_contracts_hold():
    """`.importlinter`: imports go down the floors and layers only, lazy ones included, and there are no circles."""
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
