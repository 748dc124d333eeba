"""Links between Markdown files of the repository, and paths of pages named in code, lead to something that is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = re.compile(r"docs/reference/(cli/[\w-]+|c)\.md")
_LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(<?([^)\s>]+)>?\)")
_FENCE = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1 *$", re.M | re.S)
_NAMED = re.compile(r"(?<![\w./-])docs/[\w./-]+\.md\b")


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository; without git, all that are in the folder."""
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\n") if done.returncode == 0 else []
    if not any(names):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub and the site make them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ +(.+?) *$", text, re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).replace("`", "").lower() for head in heads)
    named = set(re.findall(r'id="([^"]+)"|^\(([\w-]+)\)=', text, re.M))
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in plain} | {a or b for a, b in named}


def test_links_lead_somewhere():
    broken = []
    for page in tracked("*.md"):
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in _LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if GENERATED.search(file.as_posix()):
                continue
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken


def test_pages_that_code_names_are_there():
    """The changelog names pages as they were called then."""
    missing = []
    for file in tracked("*.py", "*.md", "*.h", "*.c", "*.cpp", "*.toml", ".ci/*", "Makefile"):
        for name in _NAMED.findall(file.read_text(encoding="utf-8")):
            if (
                not (ROOT / name).exists()
                and not GENERATED.fullmatch(name)
                and file.name not in ("CHANGELOG.md", "test_links.py")
            ):
                missing.append(f"{file.relative_to(ROOT)}: {name}")
    assert not missing
