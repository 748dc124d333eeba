"""Shared libraries: whether those that a provider needs load, and how to install missing ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .elf import needed
from .host import Host

DRIVER = "libcuda.so.1"
_SYSTEM = re.compile(r"(lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|util)|ld-linux.*)\.so(\.\d+)*")


@dataclass(frozen=True, slots=True)
class Library:
    """One required library.

    Attributes:
        name: Its name.
        error: Why it does not load; "" if it loads.
        place: Its file; "" if the loader found it.
    """

    name: str
    error: str
    place: str = ""

    @property
    def loads(self) -> bool:
        return not self.error


def needs_of(host: Host, file: Path, *, later: tuple[str, ...] = ()) -> list[Library]:
    """Try to load every library that a library links to, except those of the system.

    Args:
        host: The machine.
        file: The library.
        later: Names of further libraries that it loads at run time.
    """
    names = [name for name in needed(file) if not _SYSTEM.fullmatch(name)]
    return [try_library(host, name) for name in (*names, *(n for n in later if n not in names))]


def try_library(host: Host, name: str) -> Library:
    """Load a library by name, as ONNX Runtime does: from NVIDIA's wheels first, then where the loader looks."""
    for folder in host.site:
        for file in sorted(Path(folder).glob(f"nvidia/*/lib/{name}")):
            error = host.load(str(file))
            if not error:
                return Library(name, "", str(file))
    return Library(name, host.load(name))


def remedy(name: str, *, jetson: bool = False) -> str:
    """How to install a library of NVIDIA."""
    if name == DRIVER:
        if jetson:
            return "install JetPack's driver (for a container: run it with --runtime nvidia)"
        return "install the NVIDIA driver (for a container: run it with --gpus all)"
    if name.startswith(("libnvinfer", "libnvonnxparser")):
        major = name.rsplit(".", 1)[-1]
        return f"install TensorRT {major}" if major.isdigit() else "install TensorRT"
    if jetson:
        return "install JetPack's CUDA packages (apt install nvidia-jetpack)"
    return "pip install 'onnxruntime-gpu[cuda,cudnn]', or CUDA and cuDNN from your system on LD_LIBRARY_PATH"
