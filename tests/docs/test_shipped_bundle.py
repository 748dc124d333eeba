"""Pages state the id and the digest of the bundle that ships."""

from __future__ import annotations

import re
from pathlib import Path

from punctum.runtime import Bundle

ROOT = Path(__file__).parents[2]


def test_pages_name_the_shipped_bundle():
    bundle = Bundle.load("default")
    pages = {path: path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))}
    for path, text in pages.items():
        assert set(re.findall(r"\bdefault-\d+\.\d+\.\d+-[0-9a-f]{12}\b", text)) <= {bundle.id}, path
    assert f"`{bundle.id}`" in pages[ROOT / "docs/models/default.md"]
    assert f"id           {bundle.id}" in pages[ROOT / "docs/concepts/bundle.md"]
    assert f"sha256       {bundle.sha256}" in pages[ROOT / "docs/concepts/bundle.md"]
