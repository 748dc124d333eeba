"""What is examined: this machine, or a folder that stands for one (a mounted image, a fake in a test)."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .cores import affinity_cores

LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu/nvidia",
    "usr/lib/aarch64-linux-gnu/tegra",
    "usr/lib/wsl/lib",
    "usr/lib64",
    "usr/lib",
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/local/cuda/lib64",
    "usr/local/cuda/targets/aarch64-linux/lib",
    "usr/local/lib",
    "opt/tensorrt/lib",
)


@dataclass(frozen=True, slots=True)
class World:
    """root: where files are looked up. site: folders with installed distributions, in the order of imports. load: tries
    to load a shared library by name or path and returns why that fails ("": it loads). live: this is the machine that
    runs, so that things can be tried, not only looked at. affinity: cores that the process may use."""

    root: Path
    site: tuple[str, ...]
    environ: Mapping[str, str]
    load: Callable[[str], str]
    live: bool
    affinity: int
    python: str = field(default_factory=lambda: sys.version.split()[0])

    @classmethod
    def here(cls) -> World:
        """This machine and this Python."""
        return cls(Path("/"), tuple(sys.path), os.environ, dlopen, live=True, affinity=affinity_cores())

    @classmethod
    def at(cls, root: Path, *, site: tuple[str, ...] = (), environ: Mapping[str, str] | None = None) -> World:
        """A folder laid out like a machine. Libraries "load" where their file is there and begins like one."""
        folders = [root / folder for folder in LIBRARY_FOLDERS]
        given = {} if environ is None else environ
        folders += [root / part.lstrip("/") for part in given.get("LD_LIBRARY_PATH", "").split(":") if part]

        def load(name: str) -> str:
            places = [Path(name)] if "/" in name else [folder / name for folder in folders]
            found = next((place for place in places if place.is_file()), None)
            if found is None:
                return f"{name}: cannot open shared object file: No such file or directory"
            return "" if found.read_bytes()[:4] == b"\x7fELF" else f"{name}: invalid ELF header"

        return cls(root, site, given, load, live=False, affinity=1)

    def path(self, name: str) -> Path:
        """An absolute path of the machine, below its root."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str:
        """A small text file; "" where there is none or it cannot be read."""
        try:
            return self.path(name).read_bytes()[: 1 << 20].decode("utf-8", "replace").replace("\0", "").strip()
        except OSError:
            return ""

    def libraries(self, pattern: str) -> list[Path]:
        """Files of a name in the usual library folders and those of LD_LIBRARY_PATH, links followed and named once."""
        folders = [self.path(folder) for folder in LIBRARY_FOLDERS]
        folders += [self.path(part) for part in self.environ.get("LD_LIBRARY_PATH", "").split(":") if part]
        found: dict[Path, Path] = {}
        for folder in folders:
            try:
                for file in sorted(folder.glob(pattern)):
                    found.setdefault(file.resolve(), file)
            except OSError:
                continue
        return list(found.values())


def dlopen(name: str) -> str:
    """Load a shared library as the engine would; "" or the loader's message. What loads stays loaded."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error)
    return ""
