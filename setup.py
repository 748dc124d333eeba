"""What pyproject.toml cannot state: the commit in the package, and a description whose links work elsewhere.

The address of the public repository is `repository` in the table [tool.punctum] of pyproject.toml, or the environment
variable PUNCTUM_PROJECT_URL, which has priority. Without an address, the description contains no links to files of the
repository and no pictures, and the metadata has no project URLs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
REVISION = Path("runtime", "cli", "_revision.py")
# Inline pictures and links of Markdown; fenced code stays as it is.
PICTURE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.M | re.S)
ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)


def project_url() -> str:
    """The address of the repository without a final slash, or "". Raises SystemExit for something else than http(s)."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"].get("punctum", {})
    url = (os.environ.get("PUNCTUM_PROJECT_URL") or table.get("repository", "")).strip().rstrip("/")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
        raise SystemExit(f"setup.py: the project URL is {url!r}; an address with https:// is needed")
    return url


def project_urls(url: str) -> dict[str, str]:
    """The links beside the description on a package index."""
    if not url:
        return {}
    files = f"{url}/blob/HEAD"
    return {
        "Homepage": url,
        "Documentation": f"{files}/docs/index.md",
        "Changelog": f"{files}/CHANGELOG.md",
        "Issues": f"{url}/issues",
    }


def description(text: str, url: str, tag: str) -> str:
    """README.md for a package index: links to the files of `tag`; without a URL, plain text and no pictures."""

    def picture(found: re.Match[str]) -> str:
        if ABSOLUTE.match(found["target"]):
            return found[0]
        return f"![{found['text']}]({url}/raw/{tag}/{found['target']})" if url else ""

    def link(found: re.Match[str]) -> str:
        if ABSOLUTE.match(found["target"]) or found["target"].startswith("#"):
            return found[0]
        return f"[{found['text']}]({url}/blob/{tag}/{found['target']})" if url else found["text"]

    parts = FENCE.split(text)
    for at in range(0, len(parts), 2):
        parts[at] = LINK.sub(link, PICTURE.sub(picture, parts[at]))
    return "".join(parts)


def revision_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("punctum_revision", ROOT / REVISION)
    if spec is None or spec.loader is None:
        raise SystemExit(f"setup.py: {REVISION} is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record_revision(folder: Path) -> None:
    """Write the commit beside `_revision.py` in `folder`: that of the checkout, or the one the source was made from."""
    module = revision_module()
    recorded = ROOT / REVISION.with_name(module.RECORD)
    commit = module.commit(ROOT) or (recorded.read_text(encoding="ascii") if recorded.is_file() else "")
    if commit and folder.is_dir():
        (folder / module.RECORD).write_text(commit.strip() + "\n", encoding="ascii")


class BuildWithRevision(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            record_revision(Path(self.build_lib, "punctum", *REVISION.parent.parts))


class SourceWithRevision(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        record_revision(Path(base_dir, *REVISION.parent.parts))


def version() -> str:
    text = (ROOT / "runtime" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    if found is None:
        raise SystemExit("setup.py: runtime/_version.py has no __version__")
    return found[1]


if __name__ == "__main__":
    URL = project_url()
    setup(
        cmdclass={"build_py": BuildWithRevision, "sdist": SourceWithRevision},
        long_description=description((ROOT / "README.md").read_text(encoding="utf-8"), URL, f"v{version()}"),
        long_description_content_type="text/markdown",
        project_urls=project_urls(URL),
    )
