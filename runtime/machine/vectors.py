"""Which vector instructions the processor has: speed of the engine depends on them, above all that of int8."""

from __future__ import annotations

from pathlib import Path

_KNOWN = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 with VNNI",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX2 with VNNI",
    "avx2": "AVX2",
    "avx": "AVX",
    "sve": "SVE",
    "asimddp": "NEON with dot products",
    "asimd": "NEON",
}  # flag of Linux -> name; the first that a processor has is shown


def vector_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The widest vector instructions of the processor; empty if unknown."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags = set(value.split())
            return next((name for flag, name in _KNOWN.items() if flag in flags), "")
    return ""
