"""What must never be in the repository, and what a wheel must hold."""

from __future__ import annotations

import re
import subprocess
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


def test_imports_go_down_the_floors_only():
    floors = ["kernels", "runtime", "training", "export"]
    wrong = []
    for level, floor in enumerate(floors):
        above = "|".join(floors[level + 1 :])
        if not above:
            continue
        pattern = re.compile(rf"^\s*(?:from|import)\s+punctum\.(?:{above})\b", re.M)
        wrong += [str(p.relative_to(ROOT)) for p in (ROOT / floor).rglob("*.py") if pattern.search(p.read_text())]
    assert not wrong
