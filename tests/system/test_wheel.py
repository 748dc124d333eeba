"""What a wheel and a source distribution hold, file by file, and what they declare."""

from __future__ import annotations

import email.message
import email.parser
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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


# Beside the packages, in a source distribution only.
SOURCE_ONLY = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "SECURITY.md", "MANIFEST.in", "README.md", "setup.py"}
SOURCE_ONLY |= {"LICENSE", "pyproject.toml", "setup.cfg", "PKG-INFO"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISION = "runtime/cli/_revision.txt"


def build(source: Path, kind: str, out: Path, **variables: str) -> Path:
    """setuptools as a build front end calls it, without installing it again from anywhere."""
    code = "import setuptools.build_meta as b, sys; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"
    environment = {k: v for k, v in os.environ.items() if k != "PUNCTUM_PROJECT_URL"} | variables
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # tests look at the folder afterwards
    done = subprocess.run(
        [sys.executable, "-c", code, kind, str(out)],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return file


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the checkout, so that nothing that lies in it (an old build folder, caches) gets in."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path_factory.mktemp("source")
    for name in [*tracked(), *(SOURCE_ONLY - {"setup.cfg", "PKG-INFO"})]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    (copy / ".git").mkdir()
    (copy / ".git" / "HEAD").write_text(f"{COMMIT}\n")
    cache = copy / "runtime" / "__pycache__" / "session.cpython-311.pyc"  # must not get in
    cache.parent.mkdir()
    cache.write_bytes(b"x")
    return copy


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(source, "wheel", tmp_path_factory.mktemp("dist")))


@pytest.fixture(scope="module")
def unpacked(source, tmp_path_factory) -> Path:
    """The source distribution, unpacked."""
    with tarfile.open(build(source, "sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        folder = tmp_path_factory.mktemp("unpacked")
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


def metadata_of(wheel: zipfile.ZipFile) -> email.message.Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.parser.Parser().parsestr(wheel.read(name).decode())


def test_every_file_of_the_floors_and_no_other(wheel):
    names = set(wheel.namelist())
    info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
    expected = {f"punctum/{name}" for name in [*tracked(), REVISION] if not LEFT_OUT.match(name)}
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
        "punctum/runtime/assets/motion/backbone.json",
        "punctum/runtime/assets/motion/backbone.onnx",
        "punctum/runtime/assets/motion.safetensors",
        "punctum/runtime/report/page/report.css",
        "punctum/runtime/web/theme.css",
        "punctum/runtime/web/elements.js",
        "punctum/runtime/labeling/page/index.html",
        "punctum/runtime/labeling/page/main.js",
    } <= names
    assert "punctum/__init__.py" not in names  # a namespace package
    unwanted = re.compile(r"__pycache__|\.pyc$|/tests?/|conftest|\.so$|\.nb[ic]$|~$|\.orig$|^build/")
    assert not [name for name in names if unwanted.search(name)]


def test_the_wheel_has_one_top_level_package_with_four_parts(wheel):
    parts = {tuple(name.split("/")[:2]) for name in wheel.namelist() if ".dist-info/" not in name}
    assert parts == {("punctum", floor) for floor in FLOORS}
    assert all(f"punctum/{floor}/py.typed" in wheel.namelist() for floor in FLOORS)
    assert not [name for name in wheel.namelist() if "make_default_bundle" in name or "make_demo_bundle" in name]


def test_the_source_distribution_holds_what_the_wheel_is_made_from(unpacked, tmp_path):
    files = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    files = {name for name in files if not name.startswith("punctum.egg-info/")}
    assert files == {name for name in tracked() if not LEFT_OUT.match(name)} | SOURCE_ONLY | {REVISION}
    again = zipfile.ZipFile(build(unpacked, "wheel", tmp_path))
    assert again.read(f"punctum/{REVISION}").decode().strip() == COMMIT


def test_no_paths_of_a_machine_are_in_a_distribution(wheel, unpacked):
    pattern = re.compile(rb"/(?:tmp|work|root|home)/[a-z]")
    binary = (".onnx", ".safetensors")
    texts = {name: wheel.read(name) for name in wheel.namelist() if not name.endswith(binary)}
    for path in unpacked.rglob("*"):
        if path.is_file() and path.suffix not in binary:
            texts[str(path.relative_to(unpacked))] = path.read_bytes()
    assert not [name for name, text in texts.items() if pattern.search(text)]


def test_the_wheel_knows_its_commit(wheel, tmp_path):
    assert wheel.read(f"punctum/{REVISION}").decode().strip() == COMMIT
    wheel.extractall(tmp_path)
    read = runpy.run_path(str(tmp_path / "punctum" / "runtime" / "cli" / "_revision.py"))["revision"]
    assert read() == COMMIT[:12]


def test_the_description_has_no_relative_links(wheel, source, tmp_path):
    """Without an address of the repository: plain text. With one: links to the files of the released version."""
    relative = re.compile(r"\]\((?![a-z]+:|#)[^)]+\)")
    about = metadata_of(wheel)
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_all("Project-URL") is None
    assert "make demo" in about.get_payload()
    assert not relative.findall(about.get_payload())
    linked = build(source, "wheel", tmp_path, PUNCTUM_PROJECT_URL="https://git.example/team/punctum/")
    about = metadata_of(zipfile.ZipFile(linked))
    assert "Homepage, https://git.example/team/punctum" in about.get_all("Project-URL")
    text = about.get_payload()
    assert not relative.findall(text)
    targets = re.findall(r"\(https://git\.example/team/punctum/(?:blob|raw)/v[0-9.]+/([^)#]+)", text)
    assert any(target.endswith((".webp", ".png", ".gif")) for target in targets)
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_addresses_of_the_project_are_checked(monkeypatch):
    setup = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")
    monkeypatch.setenv("PUNCTUM_PROJECT_URL", "git.example/team")
    with pytest.raises(SystemExit, match="https"):
        setup["project_url"]()
    text = "[a](b.md) [c](https://d) [e](#f) ![g](h.png)\n```\n[i](j)\n```\n[![k](l.png)](m.md)"
    assert setup["description"](text, "", "v1") == "a [c](https://d) [e](#f) \n```\n[i](j)\n```\n[](m.md)"


def test_the_wheel_is_small_and_pure(wheel):
    (about,) = [name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL")]
    assert "Root-Is-Purelib: true" in wheel.read(about).decode()
    assert sum(info.compress_size for info in wheel.infolist()) < 6 << 20


def test_a_wheel_with_compiled_kernels_leaves_numba_to_the_extra(source, tmp_path):
    """Its metadata alone: .ci/compiled builds such wheels. The pure wheel requires Numba."""
    code = "import setuptools.build_meta as b, sys; b.prepare_metadata_for_build_wheel(sys.argv[1]); "
    code += "print(b.get_requires_for_build_wheel(), file=sys.stderr)"
    for switch, wanted in (
        ("1", ['numba>=0.61; extra == "jit"']),
        ("0", ["numba>=0.61", 'numba>=0.61; extra == "jit"']),
    ):
        folder = tmp_path / switch
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            cwd=source,
            env=os.environ | {"PUNCTUM_COMPILE_KERNELS": switch},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert ("numba==" in done.stderr.splitlines()[-1]) == (switch == "1")
        (file,) = folder.glob("*.dist-info/METADATA")
        about = email.parser.Parser().parsestr(file.read_text())
        assert [r for r in about.get_all("Requires-Dist") if r.startswith("numba")] == wanted


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
    own = re.compile(r"punctum\[([a-z0-9,-]+)\]")  # an extra that is made of others
    assert all(
        set(found[1].split(",")) <= set(extras) for rows in extras.values() for r in rows if (found := own.match(r))
    )
    assert not {"cuda", "tensorrt-rtx", "dev"} & set(own.match(extras["all"][0])[1].split(","))
    extras = {name: [r for r in rows if not own.match(r)] for name, rows in extras.items()}
    for requirement in project["dependencies"] + [r for rows in extras.values() for r in rows]:
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?>=\d+(\.\d+)*", requirement), requirement
    for name in ("onnxruntime", "torch", "safetensors", "pyarrow", "fsspec"):
        bounds = {r for rows in extras.values() for r in rows if re.match(rf"{name}>=", r)}
        assert len(bounds) == 1, bounds
