"""Compilation of kernels by Numba: when it happens, where the results are cached, and what is reported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="kernels are compiled on first use by Numba")

FULL = """
import errno
from punctum.kernels._cache import _CheckedFiles
def save(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")
_CheckedFiles._save_data = save
"""
LISTEN = """
import logging
told = []
class Keep(logging.Handler):
    def emit(self, record):
        told.append((record.kernel, record.number, record.total))
log = logging.getLogger("punctum.kernels.compilation")
log.addHandler(Keep())
log.setLevel("INFO")
from punctum import kernels
"""
RUNS = "print(kernels.find_runs([0.0, 1.0, 1.0, 0.0], [0.5])[0].tolist(), told)"
READ_ONLY = """
import errno
from numba.core.caching import IndexDataCacheFile
def save(*arguments):
    raise OSError(errno.EROFS, "Read-only file system")
IndexDataCacheFile.save = save
"""
COMPILED = "[[0.5, 2.5]] [('runs_runs', 1, 1), ('', 1, 1)]"
LOADED = "[[0.5, 2.5]] []"


def run(code: str, folder, **more: str) -> str:
    """A fresh Python that compiles kernels and finds caches in a folder alone."""
    environment = {"PUNCTUM_KERNELS": "jit", "NUMBA_CACHE_DIR": str(folder), "HOME": str(folder), "XDG_CACHE_HOME": ""}
    beside = "from punctum.kernels import _cache\n_cache.HERE = __import__('pathlib').Path('/proc/none')\n"
    done = subprocess.run(
        [sys.executable, "-c", LISTEN + beside + code],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"NUMBA_DISABLE_JIT": "0"} | environment | more,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A cache with one kernel; an installation finds what was compiled at another path."""
    folder = tmp_path_factory.mktemp("compiled") / "cache"
    assert run(RUNS, folder) == COMPILED
    return folder


@pytest.fixture
def cached(compiled, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(compiled, tmp_path / "cache")


@pytest.mark.slow
def test_a_kernel_is_compiled_once(compiled):
    assert run(RUNS, compiled) == LOADED


@pytest.mark.slow
def test_a_read_only_cache_is_used(compiled, tmp_path):
    assert run(READ_ONLY + RUNS, compiled) == LOADED
    assert run(READ_ONLY + RUNS, tmp_path / "empty") == COMPILED
    # What is read-only is searched first, and what is missing there is kept elsewhere.
    home = shutil.copytree(compiled, tmp_path / "home")
    assert run(RUNS, "/proc/none", HOME="/proc/none", XDG_CACHE_HOME=str(home)) == COMPILED
    user = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": str(tmp_path / "base")}
    assert run(RUNS, tmp_path, **user) == COMPILED
    assert run(RUNS, tmp_path / "absent", XDG_CACHE_HOME=str(tmp_path / "base")) == LOADED


@pytest.mark.slow
def test_warm_up_writes_into_a_folder_although_it_is_cached_elsewhere(compiled, tmp_path):
    code = (
        "kernels._warmup.ROLES['run'] = ('runs_runs', 'overlap_iou_matrix')\n"
        "from pathlib import Path; import sys\n"
        f"kernels.warm_up('run', into=Path({str(tmp_path / 'image')!r}))\n"
        "print(told)"
    )
    assert run(code, compiled) == "[('runs_runs', 1, 2), ('overlap_iou_matrix', 2, 2), ('', 2, 2)]"
    assert run(RUNS, tmp_path / "image") == LOADED
    assert {path.parent.name[:8] for path in (tmp_path / "image").rglob("*.nbi")} == {"punctum-"}


@pytest.mark.slow
def test_another_numba_keeps_its_own_cache(tmp_path):
    hidden = "import sys; sys.modules['punctum.kernels._cache'] = None\n"
    assert run(hidden + RUNS, tmp_path) == LOADED  # compiled, and not told
    assert list(tmp_path.rglob("*.nbi"))


def damage(file, how: str) -> None:
    content = file.read_bytes()
    flipped = bytes([*content[:60], content[60] ^ 1, *content[61:]])
    file.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "other": b"rubbish", "flipped": flipped}[how])


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "how"), [("nbi", "empty"), ("nbi", "cut"), ("nbc", "empty"), ("nbc", "flipped")])
def test_a_damaged_cache_is_compiled_again_and_replaced(cached, suffix, how):
    damage(next(cached.rglob(f"*.{suffix}")), how)
    assert run(RUNS, cached) == COMPILED
    assert run(RUNS, cached) == LOADED


@pytest.mark.slow
def test_the_code_of_another_kernel_is_not_taken(cached):
    """Names of kernels are part of the digest: a file in another's place could compute anything."""
    run("kernels.segment_iou([[0.0, 1.0]], [[0.0, 1.0]])", cached)
    other, own = sorted(cached.rglob("*.nbc"), key=lambda path: "runs" in path.name)
    own.write_bytes(other.read_bytes())
    assert run(RUNS, cached) == COMPILED


@pytest.mark.slow
def test_kernels_that_cannot_be_saved_are_told(tmp_path):
    code = (
        "kernels._warmup.ROLES['run'] = ('runs_runs',)\n"
        "from pathlib import Path\n"
        f"print(kernels.warm_up('run', into=Path({str(tmp_path)!r})))"
    )
    assert run(FULL + code, tmp_path) == f"{{'runs_runs': '{tmp_path}: No space left on device'}}"
    command = (
        "kernels._warmup.ROLES['run'] = ('runs_runs',)\n"
        "from punctum.runtime.cli import invoke\n"
        f"print(invoke(['warm-up', '--into', {str(tmp_path)!r}]))"
    )
    assert run(FULL + command, tmp_path) == "2"
    assert run(command, tmp_path).endswith("0")
