"""What a Jetson or another ARM machine installs: the dependency sets of pyproject.toml, from wheels alone.

pip resolves for the target, but evaluates markers ("; platform_machine == ...") for the machine that it runs on. So
what it found is checked once more with the target's markers, and what they add is resolved as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
GLIBC = (28, 27, 26, 24, 17)  # the newest that is allowed: of RHEL 8, older than that of JetPack 5, 6 and 7
ROUNDS = 4


def dependencies(extra: str) -> list[str]:
    """Of the base, or of the base and an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    added = [] if extra == "base" else project["optional-dependencies"][extra]
    return [*project["dependencies"], *added]


def markers(python: str) -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "aarch64",
        "platform_python_implementation": "CPython",
        "platform_release": "5.15.148-tegra",
        "platform_system": "Linux",
        "platform_version": "#1 SMP PREEMPT",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }


def pip(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--retries", "1", "--timeout", "10"]
    command += ["--target", str(folder / "target"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def resolve(folder: Path, python: str, requirements: list[str]) -> dict[str, dict]:
    """Name -> item of pip's report. Raises LookupError where something has no wheel for the target."""
    report = folder / "report.json"
    target = ["--python-version", python, "--implementation", "cp"]
    target += [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
    target += [f"--platform=manylinux_2_{minor}_aarch64" for minor in GLIBC] + ["--platform=manylinux2014_aarch64"]
    done = pip(folder, *target, "--report", str(report), *requirements)
    if done.returncode:
        if pip(folder, "--no-deps", "typing-extensions").returncode:
            pytest.skip("no package index answers")
        raise LookupError(done.stderr.strip()[-800:])
    items = json.loads(report.read_text())["install"]
    return {canonicalize_name(item["metadata"]["name"]): item for item in items}


def solve(folder: Path, python: str, asked: list[str]) -> dict[str, dict]:
    """As `resolve`, with what the target's own markers add."""
    wanted = list(asked)
    for _ in range(ROUNDS):
        found = resolve(folder, python, wanted)
        more = lacking(found, asked, python)
        if not more:
            return found
        wanted += more
    raise LookupError(f"the target's markers ask for {', '.join(more)}, which pip did not find")


def lacking(found: dict[str, dict], requirements: list[str], python: str) -> list[str]:
    """Requirements that hold on the target and that nothing in `found` meets; walks from the given ones."""
    environment, missing, seen = markers(python), set(), set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        need, extra = waiting.pop()
        if (str(need), extra) in seen or (need.marker and not need.marker.evaluate({**environment, "extra": extra})):
            continue
        seen.add((str(need), extra))
        item = found.get(canonicalize_name(need.name))
        if item is None or not need.specifier.contains(Version(item["metadata"]["version"]), prereleases=True):
            need.marker = None
            missing.add(str(need))
            continue
        for text in item["metadata"].get("requires_dist", []):
            waiting += [(Requirement(text), wanted) for wanted in ("", *need.extras)]
    return sorted(missing)


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_dependencies_resolve_from_wheels(tmp_path: Path, python: str):
    """All sets at once, since what holds for them together holds for each; one by one only to name the one at fault."""
    sets = {extra: dependencies(extra) for extra in ("base", "cpu", "video")}
    try:
        found = solve(tmp_path, python, sorted({text for texts in sets.values() for text in texts}))
    except LookupError:
        for extra, texts in sets.items():
            try:
                found = solve(tmp_path, python, texts)
            except LookupError as error:
                pytest.fail(f"{extra} on aarch64 with Python {python}: {error}")
        raise
    for texts in sets.values():
        assert {canonicalize_name(Requirement(text).name) for text in texts} <= set(found)
        assert lacking(found, texts, python) == []
    tagged = 0
    for item in found.values():
        name = Path(unquote(urlsplit(item["download_info"]["url"]).path)).name
        *_, tags = parse_wheel_filename(name)
        platforms = {tag.platform for tag in tags}
        assert "any" in platforms or any(platform.endswith("_aarch64") for platform in platforms), name
        tagged += "any" not in platforms
    assert tagged >= 4  # numpy, numba, onnxruntime and av at least are compiled


def test_markers_of_the_target_decide():
    """What pip leaves out here, and an ARM machine needs, is found; what it needs here alone is not asked for."""

    def item(version: str, *requires: str) -> dict:
        return {"metadata": {"version": version, "requires_dist": list(requires)}}

    found = {
        "a": item(
            "1.0",
            'b>=2; platform_machine == "aarch64"',
            'c; platform_machine == "x86_64"',
            'd; extra == "more"',
        ),
        "e": item("3.0", "a"),
    }
    assert lacking(found, ["e"], "3.11") == ["b>=2"]
    assert sorted(lacking(found, ["e", "a[more]"], "3.11")) == ["b>=2", "d"]
    assert lacking({**found, "b": item("1.0")}, ["e"], "3.11") == ["b>=2"]
    assert lacking({**found, "b": item("2.1", 'f; python_version < "3.12"')}, ["e"], "3.12") == []
    assert lacking({**found, "b": item("2.1", 'f; python_version < "3.12"')}, ["e"], "3.11") == ["f"]
