"""Instruction sets: what a level of the x86-64 psABI asks for, and what this CPU has.

Linux leaves out of /proc/cpuinfo what the operating system has not switched on. Elsewhere NumPy is asked, which names
fewer of them.
"""

from __future__ import annotations

import importlib
import platform
from pathlib import Path

_V2 = ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")
_V3 = (*_V2, "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe")
LEVELS = {"x86-64-v2": _V2, "x86-64-v3": _V3, "generic": ()}
"""Level, as LLVM names it, to the flags that Linux shows for it. "generic": what every CPU of an architecture has."""

_NUMPY = {"pni": "SSE3", "ssse3": "SSSE3", "sse4_1": "SSE41", "sse4_2": "SSE42", "popcnt": "POPCNT", "avx": "AVX"}
_NUMPY |= {"avx2": "AVX2", "f16c": "F16C", "fma": "FMA3"}


def machine() -> str:
    """Architecture of this process: "x86_64", "aarch64"."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def lacking(level: str) -> list[str]:
    """Flags of a level that this CPU does not have."""
    wanted = LEVELS[level]
    flags = _flags() if wanted else frozenset()
    return [flag for flag in wanted if flag not in flags]


def _flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    numpy = importlib.import_module("numpy._core._multiarray_umath")
    has: dict[str, bool] = getattr(numpy, "__cpu_features__", {})
    unknown = set(_V3) - set(_NUMPY)  # no CPU with AVX2 and FMA is without them
    return frozenset(unknown | {flag for flag, name in _NUMPY.items() if has.get(name)})
