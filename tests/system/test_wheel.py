"""What a wheel holds, file by file: all of the four floors, nothing else. And what it declares."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("kernels", "runtime", "training", "export")
# What is in a floor's folder and not in the wheel: the native library is built with CMake.
LEFT_OUT = re.compile(r"kernels/native/|.*\.md$")
DIST_INFO = {"licenses/LICENSE", "METADATA", "WHEEL", "entry_points.txt", "top_level.txt", "RECORD"}


def tracked() -> list[str]:
    """Files of the checkout that a wheel is made from, as git knows them (added ones too)."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FLOORS],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return sorted({name for name in done.stdout.splitlines() if (ROOT / name).is_file()})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Built from a copy, so that nothing that lies in the checkout (an old build folder, caches) gets in."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path_factory.mktemp("source")
    for name in [*tracked(), "pyproject.toml", "README.md", "LICENSE"]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    cache = copy / "runtime" / "__pycache__" / "session.cpython-311.pyc"  # must not get in
    cache.parent.mkdir()
    cache.write_bytes(b"x")
    # setuptools as the build front end calls it, without installing it again from anywhere.
    code = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-c", code, str(out)], cwd=copy, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = out.glob("*.whl")
    return zipfile.ZipFile(file)


def test_every_file_of_the_floors_and_no_other(wheel):
    names = set(wheel.namelist())
    info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
    expected = {f"punctum/{name}" for name in tracked() if not LEFT_OUT.match(name)}
    assert {n for n in names if n.startswith("punctum/")} == expected
    assert {n.removeprefix(f"{info}/") for n in names if not n.startswith("punctum/")} == DIST_INFO


def test_what_users_are_promised_is_in(wheel):
    names = set(wheel.namelist())
    assert {
        "punctum/kernels/reference/__init__.py",
        "punctum/kernels/reference/twins.py",
        "punctum/kernels/py.typed",
        "punctum/runtime/assets/default/manifest.json",
        "punctum/runtime/assets/default/backbone.onnx",
        "punctum/runtime/report/page/report.css",
    } <= names
    assert "punctum/__init__.py" not in names  # a namespace package
    unwanted = re.compile(r"__pycache__|\.pyc$|/tests?/|conftest|\.so$|\.nb[ic]$|~$|\.orig$|^build/")
    assert not [name for name in names if unwanted.search(name)]


def test_the_wheel_is_small_and_pure(wheel):
    (about,) = [name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL")]
    assert "Root-Is-Purelib: true" in wheel.read(about).decode()
    assert sum(info.compress_size for info in wheel.infolist()) < 6 << 20


def test_twins_of_the_kernels_work_from_the_wheel(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.meta_path[:] = [f for f in sys.meta_path "
        "if 'editable' not in repr(f)]; sys.modules.pop('punctum', None)\n"
        "import punctum.kernels.reference as r\n"
        "assert r.__file__.startswith(sys.argv[1]), r.__file__\n"
        "from punctum.kernels.reference import published_labels, published_post, sequence\n"
        "print(r.nms([[0, 1], [0, 1]], [1.0, 0.5], iou_threshold=0.5))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0]"


def test_every_dependency_has_a_lower_bound_that_a_release_can_have():
    """.ci/matrix installs these very versions. An upper bound needs a reason beside it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for requirement in project["dependencies"] + [r for rows in extras.values() for r in rows]:
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?>=\d+(\.\d+)*", requirement), requirement
    for name in ("onnxruntime", "torch", "safetensors", "pyarrow", "fsspec"):
        bounds = {r for rows in extras.values() for r in rows if re.match(rf"{name}>=", r)}
        assert len(bounds) == 1, bounds
