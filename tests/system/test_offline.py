"""Commands at work send nothing and leave nothing behind: traced system calls of runs on files."""

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
from punctum.runtime.synthetic.sensors import make_sequence

pytestmark = pytest.mark.slow

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
strace = shutil.which("strace")
traced = pytest.mark.skipif(strace is None, reason="strace is not installed")
DEMO = str(resources.files("punctum.runtime") / "assets" / "demo")
_WRITES = re.compile(r"\b(?:openat|open|creat|mkdir|mkdirat|rename|renameat2?|link|symlink)\((.*)")


def environment(home: Path) -> dict[str, str]:
    """That of a user who has set nothing: neither CI nor a variable of ONNX Runtime."""
    kept = ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def features(tmp_path) -> Path:
    np.save(tmp_path / "x.npy", make_sequence(3, seconds=20).features)
    return tmp_path / "x.npy"


def trace(tmp_path: Path, *arguments: str, **extra: str) -> tuple[list[str], list[Path], Path]:
    """Lines of a traced command that touch the network, files that it wrote, and its home."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    log = tmp_path / "trace"
    calls = "connect,sendto,sendmsg,sendmmsg,socket,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link"
    done = subprocess.run(
        [strace, "-f", "-qq", "-s", "400", "-e", f"trace={calls}", "-o", str(log), sys.executable, "-c",
         "import sys; from punctum.runtime.cli import invoke; sys.exit(invoke(sys.argv[1:]))", *arguments],
        env=environment(home) | extra, capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path,
    )  # fmt: skip
    if "ptrace" in done.stderr and not log.stat().st_size:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    lines = log.read_text(errors="replace").splitlines()
    network = [line for line in lines if "AF_INET" in line]
    written = []
    for line in lines:
        call = _WRITES.search(line)
        if call is None or re.search(r"= -1 E", line) or ("open" in line and not re.search(r"O_(WRONLY|RDWR)", line)):
            continue
        written += [Path(tmp_path, name) for name in re.findall(r'"([^"]*)"', call[1])]
    return network, written, home


def kernels_cache(path: Path) -> bool:
    """Where Numba keeps compiled kernels: beside them, or in its own cache."""
    return "__pycache__" in path.parts or "numba" in path.parts


@traced
@pytest.mark.parametrize(
    "command",
    [
        ("run", DEMO, "x.npy", "--out", "out/events.jsonl"),
        ("run", DEMO, "x.npy", "--stream", "--max-delay", "1", "--out", "out/live.jsonl"),
        ("doctor", DEMO),
        ("bench", DEMO, "--seconds", "1", "--rounds", "1"),
    ],
    ids=lambda command: " ".join(command[:1] + command[3:4]),
)
def test_no_network_and_nothing_written_outside_the_cache(tmp_path, features, command):
    (tmp_path / "out").mkdir()
    network, written, home = trace(tmp_path, *command)
    assert not network
    assert not [p for p in home.rglob("*") if p.is_file() and not kernels_cache(p)]
    allowed = (tmp_path / "out", Path("/dev"), Path("/proc"))
    strays = [p for p in written if not kernels_cache(p) and not any(p.is_relative_to(a) for a in allowed)]
    # Names that Python's own temporary and shared-memory modules try out, and remove again.
    assert not [p for p in strays if p.exists()], strays


@traced
def test_workers_of_an_archive_stay_quiet(tmp_path, features):
    pytest.importorskip("pyarrow", reason="scoring archives needs pyarrow")
    network, _, home = trace(tmp_path, "score", DEMO, "x.npy", "--out", "out", "--workers", "2")
    assert not network
    assert not [p for p in home.rglob("*") if p.is_file() and not kernels_cache(p)]


def run_python(code: str, **extra: str) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | extra, capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout.strip()


OPEN = f"""
import os
from punctum.runtime import Bundle, Localizer
assert "onnxruntime" not in __import__("sys").modules
Localizer(Bundle.load({DEMO!r}))
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.mark.parametrize(
    ("given", "kept"), [(None, "1"), ("", "1"), ("yes", "1"), ("1", "1"), ("0", "0"), ("False", "False")]
)
def test_who_wants_telemetry_says_so(tmp_path, given, kept):
    """Values that ONNX Runtime does not understand, and takes for consent, are none here."""
    extra = {"HOME": str(tmp_path), "CI": "1"} | ({} if given is None else {"ORT_DISABLE_TELEMETRY": given})
    assert run_python(OPEN, **extra) == kept


def test_doctor_says_whether_telemetry_is_on(tmp_path):
    from punctum.runtime.doctor import examine
    from punctum.runtime.machine.host import Host

    def told(**environ: str):
        host = Host.at(tmp_path, site=tuple(sys.path), environ=environ)
        found = examine(host=host)
        notes = [f.text for f in found.findings if "ORT_DISABLE_TELEMETRY" in f.text]
        return found.sections["ONNX Runtime"]["telemetry"], notes

    assert told()[0].startswith("off") and not told()[1]
    assert told(ORT_DISABLE_TELEMETRY="0")[0].startswith("on") and told(ORT_DISABLE_TELEMETRY="0")[1]
