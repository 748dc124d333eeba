"""The kernels for GPUs, without one: in Numba's simulator, as machine code, and on a machine that has none."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from punctum import kernels

from tests.helpers.exhaustive import EXHAUSTIVE

pytest.importorskip("numba", reason="the kernels for GPUs are compiled by Numba")
HERE = Path(__file__).parent


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=900, env={**os.environ, **environment}
    )


@pytest.mark.slow
def test_equal_to_the_cpu_kernels_in_the_simulator():
    done = python(
        "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE / "cuda_cases.py"), NUMBA_ENABLE_CUDASIM="1"
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) passed", done.stdout)
    assert found, done.stdout
    assert int(found[1]) > 30, done.stdout


@pytest.fixture(scope="module")
def assembly() -> dict[str, dict[str, str]]:
    done = python(str(HERE / "cuda_ptx.py"), NUMBA_ENABLE_CUDASIM="0")
    if done.returncode == 3:
        pytest.skip(f"no NVVM to compile with: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_every_kernel_compiles_for_every_capability(assembly):
    assert {name[:5] for name in assembly} == ({"sm_87", "sm_89", "sm_90"} if EXHAUSTIVE else {"sm_87", "sm_90"})
    for target, found in assembly.items():
        assert len(found) == 8
        for name, text in found.items():
            assert f".target {target[:5]}" in text, name
            assert re.search(r"\.visible \.entry", text), name


@pytest.mark.slow
def test_no_rounding_is_saved_where_decisions_fall(assembly):
    """A fused multiply-add rounds once where the CPU rounds twice; then equal scores would differ in their last bit."""
    for found in assembly.values():
        for name in ("adapt", "pick", "weigh"):
            assert not re.search(r"\bfma\.", found[name]), name
            assert not re.search(r"\.(approx|ftz)\b", found[name]), name


@pytest.mark.slow
def test_the_assembler_takes_them_without_spills(assembly, tmp_path):
    if not shutil.which("ptxas"):
        pytest.skip("no ptxas")
    for target, found in assembly.items():
        for name in ("adapt", "pick", "fuse"):
            (tmp_path / "kernel.ptx").write_text(found[name])
            done = subprocess.run(
                ["ptxas", "-v", f"-arch={target[:5]}", "kernel.ptx", "-o", "kernel.cubin"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            report = done.stdout + done.stderr
            assert done.returncode == 0, report
            assert not re.search(r"[1-9]\d* bytes spill", report), report
            memory = [int(size) for size in re.findall(r"(\d+) bytes smem", report)]
            assert all(size <= 48 * 1024 for size in memory), report


def test_importing_the_kernels_loads_no_cuda():
    code = (
        "import sys, punctum.kernels, punctum.kernels.cuda as gpu\n"
        "assert not gpu.on_device([1]) and not gpu.on_device(None)\n"
        "print(sorted(m for m in sys.modules if m.startswith(('numba.cuda', 'numba_cuda'))))"
    )
    done = python("-c", code)
    assert done.stdout.strip() == "[]", done.stderr


class Somewhere:
    """An array on a device that this machine does not have."""

    def __init__(self, *shape: int):
        self.__cuda_array_interface__ = {"shape": shape, "typestr": "<f8", "data": (1 << 32, False), "version": 3}


def test_without_a_driver_the_error_says_what_to_do():
    from numba import cuda

    if cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(kernels.KernelInputError, match=r"which Numba cannot reach .* numba-cuda"):
        kernels.adapt_groups(Somewhere(3, 2), Somewhere(3), [0, 3])
    with pytest.raises(kernels.KernelInputError, match="which Numba cannot reach"):
        kernels.suppress_groups(Somewhere(3, 2), Somewhere(3), [0, 3])
    with pytest.raises(kernels.KernelInputError, match="which Numba cannot reach"):
        kernels.fuse_confidence(Somewhere(3, 2), Somewhere(3), Somewhere(3))


def test_misuse_is_named_on_a_machine_without_a_driver_too():
    with pytest.raises(kernels.KernelInputError, match="scores has shape"):
        kernels.adapt_groups(Somewhere(3, 2), Somewhere(2), [0, 3])
    with pytest.raises(kernels.KernelInputError, match="not a partition"):
        kernels.suppress_groups(Somewhere(3, 2), Somewhere(3), [0, 2])


@pytest.mark.gpu
def test_equal_to_the_cpu_kernels_on_a_gpu():
    from numba import cuda

    if not cuda.is_available():
        pytest.skip("no CUDA device")
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "cuda_cases.py"), NUMBA_ENABLE_CUDASIM="0")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.gpu
def test_large_groups_on_a_gpu():
    from numba import cuda

    if not cuda.is_available():
        pytest.skip("no CUDA device")
    rng = np.random.default_rng(0)
    sizes = [0, 1, 511, 512, 513, 3000, *rng.integers(0, 600, 500)]
    offsets = np.cumsum([0, *sizes])
    start = np.round(rng.uniform(0, 300, offsets[-1]), 2)
    segments = np.stack([start, start + np.round(rng.lognormal(0.5, 0.8, offsets[-1]), 2)], 1)
    scores = np.round(rng.random(offsets[-1]), 3)
    there = [cuda.to_device(part) for part in (segments, scores, offsets)]
    for mine, expected in zip(
        kernels.suppress_groups(*there, min_score=0.001),
        kernels.suppress_groups(segments, scores, offsets, min_score=0.001),
        strict=True,
    ):
        np.testing.assert_array_equal(mine.copy_to_host(), expected)
    moved = kernels.adapt_groups(*there).copy_to_host()
    np.testing.assert_allclose(moved, kernels.adapt_groups(segments, scores, offsets), atol=1e-9)
