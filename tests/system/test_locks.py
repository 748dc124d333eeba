"""The lock files: complete, with hashes, in step with what they were made from. No network is asked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
PYTHONS = ("3.11", "3.12", "3.13")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(file: Path) -> dict[str, Requirement]:
    """Name -> exact requirement. Fails for anything that is not one with hashes."""
    found = {}
    text = file.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement, *hashes = line.split(" --hash=")
        assert hashes, f"{file.name}: no hash in {line[:60]!r}"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one.strip()) for one in hashes), line[:80]
        exact = Requirement(requirement.strip())
        assert re.fullmatch(r"==[^*]+", str(exact.specifier)), line[:80]
        found[normal(exact.name)] = exact
    return found


def version(requirement: Requirement) -> str:
    return str(requirement.specifier).removeprefix("==")


def stated(file: Path) -> list[Requirement]:
    rows = (line.split("#")[0].strip() for line in file.read_text().splitlines())
    return [Requirement(row) for row in rows if row]


def test_there_are_the_locks_that_make_and_ci_use():
    assert [file.name for file in LOCKS] == ["demo.txt", "docs.txt", "fuzz.txt", "release.txt", "sbom.txt", "tests.txt"]
    used = (ROOT / "Makefile").read_text() + (ROOT / ".ci" / "run").read_text()
    for file in LOCKS:
        assert f"locks/{file.name}" in used


@pytest.mark.parametrize("file", LOCKS, ids=lambda f: f.name)
def test_every_line_is_exact_and_hashed_and_names_no_index(file):
    assert len(locked(file)) >= 1
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", file.read_text())


def test_the_lock_of_the_demo_holds_what_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], "setuptools>=77"]
    wanted += [r for extra in ("cpu", "video", "report") for r in project["optional-dependencies"][extra]]
    found = locked(ROOT / "locks" / "demo.txt")
    for requirement in map(Requirement, wanted):
        have = found[normal(requirement.name)]
        assert requirement.specifier.contains(version(have)), f"{requirement}, locked {have}"


@pytest.mark.parametrize(
    ("source", "lock"),
    [
        ("tests/requirements.txt", "tests"),
        ("docs/requirements.txt", "docs"),
        (".ci/fuzz.in", "fuzz"),
        (".ci/sbom.in", "sbom"),
        (".ci/release.in", "release"),
    ],
)
def test_a_lock_holds_the_versions_of_its_source(source, lock):
    found = locked(ROOT / "locks" / f"{lock}.txt")
    for requirement in stated(ROOT / source):
        if requirement.name == "torch":
            assert "torch" not in found, "builds of one version differ by index, so no hash fits all"
            continue
        have = found[normal(requirement.name)]
        assert str(have.specifier) == str(requirement.specifier), f"{requirement}, locked {have}: run .ci/lock"


def test_demo_and_tests_use_the_same_versions():
    demo, tests = locked(ROOT / "locks" / "demo.txt"), locked(ROOT / "locks" / "tests.txt")
    assert {name: version(r) for name, r in demo.items()} == {name: version(tests[name]) for name in demo}


def test_the_documentation_is_built_with_the_package_as_it_is_tested():
    docs, tests = locked(ROOT / "locks" / "docs.txt"), locked(ROOT / "locks" / "tests.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, project["dependencies"]):
        name = normal(requirement.name)
        assert version(docs[name]) == version(tests[name])


@pytest.mark.parametrize("python", PYTHONS)
def test_the_demo_is_locked_for_every_python(python):
    """No line is for other versions only."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    left_out = [
        name
        for name, requirement in locked(ROOT / "locks" / "demo.txt").items()
        if requirement.marker is not None
        and "sys_platform" not in str(requirement.marker)
        and not requirement.marker.evaluate(environment)
    ]
    assert not left_out


def test_what_torch_needs_is_locked_beside_it():
    pytest.importorskip("torch")
    from importlib import metadata

    found = locked(ROOT / "locks" / "tests.txt")
    for text in metadata.requires("torch") or []:
        requirement = Requirement(text)
        gpu = re.match(r"nvidia|cuda|triton", requirement.name)
        if not gpu and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            have = found[normal(requirement.name)]
            assert requirement.specifier.contains(version(have)), f"{requirement}, locked {have}"
