"""The recipe for signatures in docs/how-to/verify-bundles.md, run as it is printed there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.demo import make_sequence

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "verify-bundles.md"
KEYGEN = shutil.which("ssh-keygen")


def commands() -> dict[str, str]:
    """The code blocks by what they are for."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    marks = {"keys": "-t ed25519", "sign": "-Y sign", "verify": "-Y verify", "digest": "sha256sum bundle/manifest.json"}
    return {name: next(block for block in blocks if mark in block) for name, mark in marks.items()}


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-ec", script],
        cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.skipif(KEYGEN is None, reason="ssh-keygen is not installed")
@pytest.mark.skipif(not (Path(sys.executable).parent / "punctum").exists(), reason="punctum is not installed here")
def test_the_recipe(tmp_path):
    demo = str(resources.files("punctum.runtime") / "assets" / "demo")
    shutil.copytree(demo, tmp_path / "bundle")
    np.save(tmp_path / "features.npy", make_sequence(3, seconds=20).features)
    told = commands()
    for name in ("keys", "sign", "verify"):
        done = shell(told[name], tmp_path)
        if name == "sign" and "unknown option" in done.stderr:
            pytest.skip("this ssh-keygen cannot sign (OpenSSH 8.1 can)")
        assert done.returncode == 0, done.stderr
    assert '"phase":"final"' in done.stdout
    manifest = tmp_path / "bundle" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"dataset": "demo"', '"dataset": "other"'))
    done = shell(told["verify"], tmp_path)
    assert done.returncode != 0
    assert "phase" not in done.stdout
