"""Files about the project that name each other: citation, hooks, changelog, README, documentation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from punctum.runtime import __version__

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```[^\n]*$", re.M | re.S)
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]  # those of docs/ are checked by its generator


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^## {re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_the_citation_is_valid():
    """The required fields of version 1.2.0 of the format; CI has no network to fetch the schema."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    record = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert record["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "license", "references"} <= set(record)
    for reference in record["references"]:
        assert reference["type"] == "conference-paper"
        assert {"title", "authors", "year", "collection-title"} <= set(reference)
        assert all({"family-names", "given-names"} <= set(author) for author in reference["authors"])
    titles = " ".join(reference["title"] for reference in record["references"])
    assert "Realigning Confidence" in titles
    assert "Action Completeness from Points" in titles


def test_the_hooks_need_no_network():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    record = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in record["repos"]] == ["local"]
    hooks = record["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {"ruff", "ruff-format", "locks"} <= {hook["id"] for hook in hooks}


def test_the_address_of_the_repository_is_stated_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "urls" in project["project"]["dynamic"]
    assert "repository" in project["tool"]["punctum"]


def test_the_readme_is_short_and_its_picture_small():
    text = re.sub(r"<!--.*?-->", "", (ROOT / "README.md").read_text(), flags=re.S)
    assert len(text.split()) <= 950
    for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        assert (ROOT / target).stat().st_size < 400_000


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        path = target.split("#")[0]
        if path and not re.match(r"[a-z][a-z0-9+.-]*:", path):
            assert (page.parent / path).exists(), target
