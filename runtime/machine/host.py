"""The machine that is examined: this one, or a folder laid out like one (a mounted image, a test fixture)."""

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
class Host:
    """A machine to examine.

    Attributes:
        root: The folder below which its files are.
        site: Folders with installed distributions, in import order.
        environ: Environment variables.
        load: Tries to load a shared library by name or path. Returns why that fails, or "" if the library loads.
        local: This is the machine that runs the examination, so that devices can be tried.
        affinity: Cores that the process may use.
        python: Version of Python.
    """

    root: Path
    site: tuple[str, ...]
    environ: Mapping[str, str]
    load: Callable[[str], str]
    local: bool
    affinity: int
    python: str = field(default_factory=lambda: sys.version.split()[0])

    @classmethod
    def here(cls) -> Host:
        """This machine and this Python."""
        return cls(Path("/"), tuple(sys.path), os.environ, dlopen, local=True, affinity=affinity_cores())

    @classmethod
    def at(cls, root: Path, *, site: tuple[str, ...] = (), environ: Mapping[str, str] | None = None) -> Host:
        """A folder laid out like a machine. A library "loads" if its file exists and begins with the ELF signature."""
        folders = [root / folder for folder in LIBRARY_FOLDERS]
        variables = {} if environ is None else environ
        folders += [root / part.lstrip("/") for part in variables.get("LD_LIBRARY_PATH", "").split(":") if part]

        def load(name: str) -> str:
            paths = [Path(name)] if "/" in name else [folder / name for folder in folders]
            file = next((path for path in paths if path.is_file()), None)
            if file is None:
                return f"{name}: cannot open shared object file: No such file or directory"
            return "" if file.read_bytes()[:4] == b"\x7fELF" else f"{name}: invalid ELF header"

        return cls(root, site, variables, load, local=False, affinity=1)

    def path(self, name: str) -> Path:
        """An absolute path on the machine, below `root`."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str:
        """Content of a small text file; "" where it does not exist or cannot be read."""
        try:
            return self.path(name).read_bytes()[: 1 << 20].decode("utf-8", "replace").replace("\0", "").strip()
        except OSError:
            return ""

    def libraries(self, pattern: str) -> list[Path]:
        """Files that match a pattern in the usual library folders and those of LD_LIBRARY_PATH; links count once."""
        folders = [self.path(folder) for folder in LIBRARY_FOLDERS]
        folders += [self.path(part) for part in self.environ.get("LD_LIBRARY_PATH", "").split(":") if part]
        files: dict[Path, Path] = {}
        for folder in folders:
            try:
                for file in sorted(folder.glob(pattern)):
                    files.setdefault(file.resolve(), file)
            except OSError:
                continue
        return list(files.values())


def dlopen(name: str) -> str:
    """Load a shared library as the engine would. Returns "" or the loader's message. The library stays loaded."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error)
    return ""
