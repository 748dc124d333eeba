"""The two forms of the kernels: the same results bit for bit, and which of them runs where."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from punctum import kernels
from punctum.kernels import _cpu, _draw, _form, _jit

from tests.helpers.exhaustive import examples

CALLS = Path(__file__).with_name("every_kernel.py")


def run(code: str, *, without_numba: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python. without_numba: importing it fails there."""
    before = "import sys; sys.modules['numba'] = None\n" if without_numba else ""
    clean = {k: v for k, v in os.environ.items() if k not in ("PUNCTUM_KERNELS", "NUMBA_CACHE_DIR")}
    return subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, text=True, timeout=300, env=clean | environment
    )


@pytest.fixture
def both():
    """Both forms are there; afterwards the usual one runs."""
    if _form.obstacle():
        pytest.skip(_form.obstacle())
    pytest.importorskip("numba", reason="the form that is compiled on first use needs Numba")
    yield
    kernels.use("")


@pytest.fixture
def again():
    """Decide anew which form runs, in the test and after it."""

    def forget():
        _form.obstacle.cache_clear()
        _form._chosen = None
        for kernel in _jit.KERNELS.values():
            kernel.choose_again()

    forget()
    yield
    forget()


def same(first, second) -> bool:
    """Equal to the last bit, type and shape."""
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    a, b = np.asarray(first), np.asarray(second)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.slow
@settings(max_examples=examples(25, 60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30), most=st.sampled_from([3, 40, 600]))
def test_bit_for_bit(both, seed, most):
    from tests.kernels.every_kernel import results

    kernels.use("jit")
    expected = results(seed, most)
    kernels.use("compiled")
    found = results(seed, most)
    assert [name for name in expected if not same(expected[name], found[name])] == []


@pytest.mark.slow
def test_every_kernel_is_in_the_comparison():
    """Also: one compilation a kernel, whatever the public functions are called with."""
    pytest.importorskip("numba", reason="the form that is compiled on first use needs Numba")
    from tests.kernels.every_kernel import results

    kernels.use("jit")
    try:
        results(0, 40)
        left = [kernel.name for kernel in _jit.exported() if not kernel.is_jitted]
        assert left == []
        assert [kernel.name for kernel in _jit.exported() if len(kernel.jitted.signatures) != 1] == []
    finally:
        kernels.use("")


def test_nothing_is_compiled_and_numba_is_not_imported(tmp_path):
    if _form.obstacle():
        pytest.skip(_form.obstacle())
    code = (
        f"import sys; sys.path.insert(0, {str(CALLS.parent)!r})\n"
        "from every_kernel import results\n"
        "from punctum import kernels\n"
        "assert kernels.form().name == 'compiled', kernels.form()\n"
        "kernels.warm_up()\n"
        "print(len(results(0, 40)))\n"
        "assert not [m for m in sys.modules if m.startswith(('numba.', 'llvmlite'))]"
    )
    done = run(code, without_numba=True, HOME=str(tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("kernel_form")
def test_the_lock_of_the_interpreter_is_released():
    rng = np.random.default_rng(0)
    start = np.sort(rng.uniform(0, 1000, 6000))
    segments, scores = np.stack([start, start + 100], 1), rng.random(6000)
    kernels.soft_nms(segments[:10], scores[:10])
    ticks, running = 0, threading.Event()

    def work():
        running.set()
        kernels.soft_nms(segments, scores)
        running.clear()

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    while running.is_set():
        ticks += 1
    thread.join()
    assert ticks > 100


@pytest.mark.usefixtures("kernel_form")
def test_arrays_that_may_not_be_written_and_ones_that_are_not_aligned():
    segments, scores = np.array([[0.0, 2.0], [0.1, 2.1], [5.0, 6.0]]), np.array([0.9, 0.8, 0.7])
    expected = kernels.nms(segments, scores, iou_threshold=0.5)
    segments.flags.writeable = scores.flags.writeable = False
    assert same(kernels.nms(segments, scores, iou_threshold=0.5), expected)
    odd = np.frombuffer(b"\0" + segments.tobytes(), np.uint8)[1:].view(np.float64).reshape(3, 2)
    assert not odd.flags.aligned
    assert same(kernels.nms(odd, scores, iou_threshold=0.5), expected)
    assert same(kernels.nms(np.asfortranarray(segments), scores, iou_threshold=0.5), expected)
    assert same(kernels.nms(segments.astype(">f8"), scores, iou_threshold=0.5), expected)


def test_the_variable_decides():
    code = "from punctum import kernels; print(kernels.form().name, '|', kernels.form().reason)"
    if importlib.util.find_spec("numba") is not None:
        done = run(code, PUNCTUM_KERNELS="jit")
        assert done.stdout.startswith("jit | PUNCTUM_KERNELS is set"), done.stderr
    if not _form.obstacle():
        done = run(code, PUNCTUM_KERNELS="compiled")
        assert done.stdout.startswith("compiled | PUNCTUM_KERNELS is set"), done.stderr
    done = run("from punctum import kernels; kernels.nms([[0, 1]], [1.0], iou_threshold=0.5)", PUNCTUM_KERNELS="fast")
    assert done.returncode
    assert 'PUNCTUM_KERNELS is \'fast\'. Required: "compiled", "jit" or nothing.' in done.stderr


def test_forms_of_other_names_are_refused():
    with pytest.raises(kernels.KernelInputError, match="compiled, jit"):
        kernels.use("fast")
    with pytest.raises(kernels.KernelInputError, match="run, train, eval, demo"):
        kernels.warm_up("play")


def installation(folder: Path, monkeypatch, **changes) -> None:
    """A record of compiled kernels in an empty folder, and as if Numba were not installed."""
    record = {"level": "generic", "machine": _cpu.machine(), "sources": "", "sha256": ""} | changes
    (folder / _form.RECORD).write_text(json.dumps(record))
    monkeypatch.setattr(_form, "HERE", folder)
    monkeypatch.setattr(_form.importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("changes", "flags", "why"),
    [
        ({"level": "x86-64-v3"}, {"avx", "fma"}, "need a CPU of the level x86-64-v3, and this one lacks .*avx2"),
        ({"machine": "riscv64"}, set(), "are for riscv64, and this machine is"),
        ({"level": "x86-64-v9"}, set(), "are for CPUs of the level x86-64-v9, and only .* are known"),
        ({"sources": "0123"}, set(), "were made from other sources"),
    ],
)
def test_kernels_that_do_not_fit_are_named(tmp_path, monkeypatch, again, changes, flags, why):
    """Without Numba it is an error, with it the reason why Numba compiles them."""
    installation(tmp_path, monkeypatch, **changes)
    monkeypatch.setattr(_cpu, "_flags", lambda: frozenset(flags))
    monkeypatch.delenv(_form.VARIABLE, raising=False)
    monkeypatch.setattr(_form, "sources", lambda: "")
    with pytest.raises(kernels.KernelsUnavailableError, match=f"{why}.* Numba, .* is not installed. Required: Numba"):
        kernels.form()
    monkeypatch.setattr(_form.importlib.util, "find_spec", lambda name: "numba")
    assert kernels.form().name == "jit"
    monkeypatch.setenv(_form.VARIABLE, "compiled")
    _form._chosen = None
    with pytest.raises(kernels.KernelsUnavailableError, match="asked for"):
        kernels.form()


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"level": [], "machine": {}, "sources": 1, "sha256": null}',
        '{"level": "generic", "machine": "x86_64", "sources": ""}',
        '{"level": "generic"}',
        "[" * 100_000,
        "\x00",
    ],
)
def test_a_damaged_record_is_a_reason_and_no_crash(tmp_path, monkeypatch, again, record):
    installation(tmp_path, monkeypatch)
    (tmp_path / _form.RECORD).write_text(record)
    assert "is damaged" in _form.obstacle()


def test_a_damaged_extension_is_not_loaded(tmp_path, monkeypatch, again):
    """The process would end with a bus error or a segmentation fault, or the kernels would compute something else."""
    whole = bytes(range(256)) * 64
    loaded: list[str] = []
    installation(tmp_path, monkeypatch, sha256=hashlib.sha256(whole).hexdigest())
    monkeypatch.setattr(_form, "sources", lambda: "")
    monkeypatch.setattr(_form.importlib, "import_module", loaded.append)
    file = tmp_path / f"{_form.EXTENSION}{EXTENSION_SUFFIXES[0]}"
    assert _form.obstacle() == "the file of the compiled kernels is missing"
    for data in (b"", whole[:-100], bytes(len(whole)), whole[:8000] + b"\xff" + whole[8001:], b"hello\n"):
        file.write_bytes(data)
        _form.obstacle.cache_clear()
        assert _form.obstacle() == "the file of the compiled kernels is damaged, or was changed after it was made"
    assert loaded == []
    file.write_bytes(whole)
    _form.obstacle.cache_clear()
    assert _form.obstacle().startswith("the compiled kernels lack ")
    assert loaded == ["punctum.kernels._compiled"]


def test_without_compiled_kernels_and_numba(tmp_path, monkeypatch, again):
    monkeypatch.setattr(_form, "HERE", tmp_path)
    monkeypatch.delenv(_form.VARIABLE, raising=False)
    monkeypatch.setattr(_form.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(kernels.KernelsUnavailableError, match=r"no compiled kernels, and Numba.* pip install 'punctum"):
        kernels.nms([[0, 1]], [1.0], iou_threshold=0.5)


def test_flags_of_this_cpu(tmp_path):
    assert _cpu.lacking("generic") == []
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor : 0\nflags\t\t: fpu avx2 fma\n")
    assert {"avx2", "fma"} <= _cpu._flags(listed)
    assert "avx2" in _cpu._flags(tmp_path / "absent") or _cpu.lacking("x86-64-v3")


def test_the_drawing_kernels_belong_to_the_demo():
    assert {name for name in kernels.ROLES["demo"] if name.startswith("draw_")} == {
        kernel.name for kernel in _jit.exported() if kernel.function.__module__ == _draw.__name__
    }
    assert {name for names in kernels.ROLES.values() for name in names} <= set(_jit.KERNELS)


def test_no_instruction_is_beyond_the_level():
    """The compiled form is tuned for a CPU with more instructions than the level has."""
    if _form.obstacle() or json.loads((_form.HERE / _form.RECORD).read_text())["level"] != "x86-64-v3":
        pytest.skip("no compiled kernels of the level x86-64-v3")
    tool = shutil.which("objdump")
    if tool is None:
        pytest.skip("objdump is not installed")
    (module,) = _form.HERE.glob("_compiled*.so")
    text = subprocess.run([tool, "-d", str(module)], capture_output=True, text=True, check=True).stdout
    registers = r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])\b|%k[0-7]\b"
    names = r"\t(extrq|insertq|movnts[sd]|v?aes\w+|v?pclmul\w+|sha\w*\d\w*|ad[co]x)\b"
    assert "%ymm" in text
    assert [line for line in text.splitlines() if re.search(f"{registers}|{names}", line)][:3] == []
