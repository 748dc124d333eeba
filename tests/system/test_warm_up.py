"""`punctum warm-up`, and what the command line says while kernels are compiled."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from punctum import kernels
from punctum.runtime.cli import _compiling, invoke


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; from pathlib import Path\n"
        "from punctum.kernels import _form, _warmup\n"
        "_warmup.ROLES['eval'] = ('runs_runs', 'overlap_iou_matrix')\n"
        "if _form.form().name == 'jit':\n"
        "    from punctum.kernels import _cache\n"
        "    _cache.HERE = Path('/proc/none')\n"
        "from punctum.runtime.cli import main; main()"
    )
    clean = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=300,
        env=clean | {"NUMBA_DISABLE_JIT": "0"} | environment,
    )


@pytest.mark.slow
def test_into_a_folder_and_from_it(tmp_path):
    pytest.importorskip("numba", reason="kernels are compiled on first use by Numba")
    folder = tmp_path / "image"
    usual = {"PUNCTUM_KERNELS": "jit", "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": ""}
    done = command("warm-up", "--role", "eval", "--into", str(folder), **usual)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"2 kernels for eval ready in {folder}\n"
    assert done.stderr.splitlines()[0] == "compiling kernels for this machine"
    assert re.fullmatch(r"kernels compiled in \d+ s; they are kept for later runs", done.stderr.splitlines()[1])
    done = command("warm-up", "--role", "eval", **usual, NUMBA_CACHE_DIR=str(folder))
    assert (done.stdout, done.stderr) == ("2 kernels for eval ready\n", "")
    assert not (tmp_path / "home").exists()


def test_folders_that_cannot_be_used_are_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert invoke(["warm-up", "--into", str(folder)]) == 2
        error = capsys.readouterr().err
        assert "--into" in error
        assert "out`" not in error


def test_nothing_to_do_where_the_kernels_are_compiled(capsys, tmp_path):
    try:
        kernels.use("compiled")
    except kernels.KernelsUnavailableError as error:
        pytest.skip(str(error))
    try:
        assert invoke(["warm-up", "--into", str(tmp_path / "image")]) == 0
        assert f"there is nothing to do; {tmp_path / 'image'} stays as it is" in capsys.readouterr().out
        assert list((tmp_path / "image").iterdir()) == []  # scripts may copy it
        assert invoke(["warm-up"]) == 0
        assert capsys.readouterr().out.endswith("there is nothing to do\n")
    finally:
        kernels.use("")


def test_words_that_do_not_fit(capsys, tmp_path):
    assert invoke(["warm-up", "--role", "play"]) == 2
    assert "[role]: --role 'play' is unknown. Allowed: run, train, eval, demo." in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert invoke(["warm-up", "--into", str(tmp_path / "file")]) == 2
    assert "exists and is not a folder" in capsys.readouterr().err


def test_kernels_that_cannot_run_are_one_error():
    done = subprocess.run(
        [sys.executable, "-c", "from punctum.runtime.cli import main; main()", "warm-up"],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PUNCTUM_KERNELS": "fast"},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error [kernels-unavailable]: PUNCTUM_KERNELS is 'fast'. Required: ")


@pytest.mark.parametrize(
    ("kept", "end"),
    [
        (True, ["kernels compiled in 0 s; they are kept for later runs"]),
        (False, ["kernels compiled in 0 s", "note: no folder can keep the kernels"]),
    ],
)
def test_notices_are_given_once(kept, end, capsys):
    """A kernel that is compiled later on, by itself, is not told again; other handlers get nothing."""
    log = logging.getLogger(_compiling.LOGGER)
    with _compiling.compile_notices():
        for name, number in (("a", 1), ("b", 2), ("", 2), ("c", 1), ("", 1)):
            log.info("compiling", extra={"kernel": name, "number": number, "total": 2, "kept": kept})
    log.info("compiling", extra={"kernel": "d", "number": 1, "total": 1})
    lines = [line.partition(", so")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["compiling kernels for this machine", *end]
    assert not log.handlers
    assert log.propagate


def test_doctor_tells_the_form(capsys):
    assert invoke(["doctor", "--json"]) in (0, 1)
    section = json.loads(capsys.readouterr().out)["sections"]["Kernels"]
    form = kernels.form()
    assert section["reason"] == form.reason
    assert ("CPU level" in section) == (form.name == "compiled")
    assert ("cached kernels" in section) == (form.name == "jit")


def test_a_folder_that_cannot_be_written_is_refused_before_compiling(monkeypatch, capsys):
    if not Path("/proc/self").is_dir():
        pytest.skip("needs a folder that even root cannot write")
    monkeypatch.setattr(kernels, "form", lambda: kernels.KernelForm("jit", "of this test"))
    monkeypatch.setattr(kernels, "warm_up", lambda *_, **__: pytest.fail("it compiled"))
    assert invoke(["warm-up", "--into", "/proc/nowhere"]) == 2
    assert "[write-failed]" in capsys.readouterr().err
