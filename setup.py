"""What pyproject.toml cannot state: the commit in the package, and a description whose links work elsewhere.

The address of the public repository is `repository` in the table [tool.punctum] of pyproject.toml, or the environment
variable PUNCTUM_PROJECT_URL, which has priority. Without an address, the description contains no links to files of the
repository and no pictures, and the metadata has no project URLs.

With PUNCTUM_COMPILE_KERNELS=1 the wheel is one for this platform and Python: it holds the kernels compiled ahead of
time, and Numba is no requirement but the extra `jit`. See docs/releasing.md.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
REVISION = Path("runtime", "cli", "_revision.py")
# Inline pictures and links of Markdown; fenced code stays as it is.
PICTURE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.M | re.S)
COMPILE = os.environ.get("PUNCTUM_COMPILE_KERNELS", "0") not in ("", "0")
NUMBA = "numba==0.68.1"  # what compiles the kernels of a release
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


class CompileKernels(build_ext):
    """Runs `punctum.kernels._ahead` in a process of its own, on a copy of the kernels that is importable as punctum."""

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as work:
            shutil.copytree(ROOT / "kernels", Path(work, "punctum", "kernels"), ignore=shutil.ignore_patterns("native"))
            # In that folder, so that no path of this machine gets into the extension.
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([work, *sys.path]), "NUMBA_CACHE_DIR": work}
            command = [sys.executable, "-m", "punctum.kernels._ahead", str(target)]
            if subprocess.run(command, cwd=work, env=environment).returncode:
                raise SystemExit("setup.py: the kernels could not be compiled ahead of time")

    def get_outputs(self) -> list[str]:
        record = Path(self.get_ext_fullpath("punctum.kernels._compiled")).with_name("_compiled.json")
        return [*super().get_outputs(), str(record)]


class PlatformDistribution(Distribution):
    """Metadata of a wheel with compiled kernels: Numba is left to the extra."""

    def parse_config_files(self, *arguments: object, **named: object) -> None:
        super().parse_config_files(*arguments, **named)
        self.install_requires = [r for r in self.install_requires if not re.match(r"numba\b", r)]
        self.metadata.install_requires = self.install_requires


def compiled_options() -> dict[str, object]:
    """What `setup` needs for a wheel with compiled kernels; nothing for the pure one."""
    if not COMPILE:
        return {}
    extension = Extension("punctum.kernels._compiled", sources=[])
    return {"ext_modules": [extension], "distclass": PlatformDistribution, "setup_requires": [NUMBA]}


def version() -> str:
    text = (ROOT / "runtime" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    if found is None:
        raise SystemExit("setup.py: runtime/_version.py has no __version__")
    return found[1]


if __name__ == "__main__":
    URL = project_url()
    setup(
        cmdclass={"build_py": BuildWithRevision, "build_ext": CompileKernels, "sdist": SourceWithRevision},
        long_description=description((ROOT / "README.md").read_text(encoding="utf-8"), URL, f"v{version()}"),
        long_description_content_type="text/markdown",
        project_urls=project_urls(URL),
        **compiled_options(),
    )
