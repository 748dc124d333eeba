"""The kernels on machines where nothing may be written, and what importing them costs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


@pytest.mark.slow
def test_works_without_any_place_for_a_cache(tmp_path):
    pytest.importorskip("numba", reason="kernels are compiled on first use by Numba")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    code = "from punctum import kernels; print(kernels.nms([[0, 1]], [1.0], iou_threshold=0.5))"
    done = run(
        code,
        NUMBA_CACHE_DIR=str(blocked),
        HOME="/proc/none",
        XDG_CACHE_HOME="/proc/none",
        NUMBA_DISABLE_JIT="0",
        PUNCTUM_KERNELS="jit",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0]"


def test_import_compiles_nothing():
    code = (
        "import punctum.kernels as k, sys\n"
        "from punctum.kernels import _suppress\n"
        "print(_suppress._hard.is_jitted, {'torch', 'numba'} & set(sys.modules) or 0)"
    )
    done = run(code)
    assert done.stdout.split() == ["False", "0"], done.stderr
