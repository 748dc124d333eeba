"""Names of modules and functions in the concept pages and the glossary exist."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted([*(DOCS / "concepts").glob("*.md"), *(DOCS / "how-to").glob("*.md"), DOCS / "glossary.md"])
_NAME = re.compile(
    r"`(punctum\.(?:kernels|runtime|training|export)(?:\.[A-Za-z_]\w*)*)`(?: \(((?:`[\w.]+`(?:, )?)+)\))?"
)


def names(page: Path) -> list[tuple[str, str]]:
    """(module, dotted name in it or ""): `module` alone, or `module` followed by (`name`, ...)."""
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    found = []
    for module, members in _NAME.findall(text):
        found.append((module, ""))
        found += [(module, member) for member in re.findall(r"`([\w.]+)`", members)]
    return found


def resolve(dotted: str) -> object:
    """A module, or a name in one."""
    parts = dotted.split(".")
    for count in range(len(parts), 1, -1):
        module = ".".join(parts[:count])
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            continue
        if spec is not None:
            value: object = importlib.import_module(module)
            for part in parts[count:]:
                value = getattr(value, part)
            return value
    raise AttributeError(dotted)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_names_on_a_page_exist(page):
    missing = []
    for module, member in names(page):
        if module.startswith("punctum.training"):
            pytest.importorskip("torch")
        try:
            resolve(f"{module}.{member}" if member else module)
        except AttributeError:
            missing.append(f"{module} {member}".strip())
    assert not missing


def test_a_journey_has_five_steps():
    sections = re.split(r"^## ", (DOCS / "concepts" / "journeys.md").read_text(encoding="utf-8"), flags=re.M)[1:]
    assert len(sections) == 4
    for section in sections:
        assert re.findall(r"^(\d)\. ", section, re.M) == list("12345"), section.splitlines()[0]
        assert "punctum." in section
