"""Compiles and loads the stub driver."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from punctum.runtime.backends.tensorrt.cuda import Cuda

SOURCE = Path(__file__).parent / "stub_cuda.c"
HEADERS = [Path("/usr/local/cuda/include"), Path("/usr/include")]
COUNTS = ("blocks", "streams", "graphs", "launches", "runs")
SETTINGS = ("fail_in", "devices", "error", "capability", "refuse_capture")


class StubDriver:
    """The stub as a library: counters by name, and settings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.library = ctypes.CDLL(str(path))
        self.library.stub_host.argtypes, self.library.stub_host.restype = [ctypes.c_uint64], ctypes.c_void_p

    def __getattr__(self, name: str) -> int:
        if name not in COUNTS:
            raise AttributeError(name)
        return self.library.stub_count(COUNTS.index(name))

    def set(self, name: str, value: int) -> None:
        self.library.stub_set(SETTINGS.index(name), value)

    def open(self) -> Cuda:
        return Cuda.open(self.path)


def compile_stub(folder: Path) -> Path:
    """The library's file. Skips where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the stub driver")
    target = folder / "libcuda-stub.so"
    header = next((["-DWITH_CUDA_H", f"-I{f}"] for f in HEADERS if (f / "cuda.h").is_file()), [])
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", *header, "-o", str(target), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target
