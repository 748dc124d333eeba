"""Shared libraries: whether what a provider needs really loads, and where missing ones come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .elf import needed
from .world import World

DRIVER = "libcuda.so.1"
_SYSTEM = re.compile(r"(lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|util)|ld-linux.*)\.so(\.\d+)*")


@dataclass(frozen=True, slots=True)
class Library:
    """One library that is needed. error: why it does not load; "" where it does. place: file, "" for the loader's."""

    name: str
    error: str
    place: str = ""

    @property
    def loads(self) -> bool:
        return not self.error


def needs_of(world: World, file: Path, *, later: tuple[str, ...] = ()) -> list[Library]:
    """What a library links to, but for the system's own, each tried. later: names that it loads while it runs."""
    names = [name for name in needed(file) if not _SYSTEM.fullmatch(name)]
    return [try_library(world, name) for name in (*names, *(n for n in later if n not in names))]


def try_library(world: World, name: str) -> Library:
    """Load a library by name, as ONNX Runtime does: from NVIDIA's wheels first, then where the loader looks."""
    for folder in world.site:
        for file in sorted(Path(folder).glob(f"nvidia/*/lib/{name}")):
            error = world.load(str(file))
            if not error:
                return Library(name, "", str(file))
    return Library(name, world.load(name))


def remedy(name: str, *, jetson: bool = False) -> str:
    """Where a library of NVIDIA's comes from."""
    if name == DRIVER:
        if jetson:
            return "JetPack's driver (in a container: run it with --runtime nvidia)"
        return "install the NVIDIA driver (in a container: run it with --gpus all)"
    if name.startswith(("libnvinfer", "libnvonnxparser")):
        major = name.rsplit(".", 1)[-1]
        return f"install TensorRT {major}" if major.isdigit() else "install TensorRT"
    if jetson:
        return "install JetPack's CUDA packages (apt install nvidia-jetpack)"
    return "pip install 'onnxruntime-gpu[cuda,cudnn]', or CUDA and cuDNN from your system on LD_LIBRARY_PATH"
