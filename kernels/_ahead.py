"""Compile the kernels ahead of time, into one extension module that needs NumPy and no Numba.

    python -m punctum.kernels._ahead FOLDER

Writes the extension and the record of what it was made from into FOLDER. setup.py runs this for the wheels of a
platform. Numba's CC (numba.pycc) makes the extension; it needs a C compiler, and compiles for the interpreter that runs
it. The environment variable PUNCTUM_KERNELS_LEVEL names another level of CPU than that of `LEVEL_OF`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import sys
import sysconfig
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from ._cpu import LEVELS, machine
from ._jit import exported
from ._sources import EXTENSION, RECORD, sources

LEVEL_OF = {"x86_64": "x86-64-v3", "aarch64": "generic"}
"""Architecture to the level of CPU that its wheels are for."""
LEVEL = "PUNCTUM_KERNELS_LEVEL"

# LLVM has no model of the timing of the levels' CPUs: for x86-64-v3 it assumes one of 2011. A CPU of that level that it
# models well, without the instructions that are beyond the level, gives sorting and ABA the speed of the other form.
_BEYOND = (
    "adx aes clflushopt clwb clzero fsgsbase fsrm invpcid mwaitx pclmul pku prfchw rdpid rdpru rdrnd rdseed sha sse4a "
    "vaes vpclmulqdq wbnoinvd xsavec xsaveopt xsaves"
)
TUNED = {"x86-64-v3": ("znver3", ",".join(f"-{name}" for name in _BEYOND.split()))}
"""Level to the name of a CPU for LLVM, and what to leave out of its features."""


def compile_ahead(folder: Path, level: str) -> Path:
    """Compile every kernel with declared types for a level of CPU. Returns the extension.

    Numba has to be imported with NUMBA_CPU_NAME and NUMBA_CPU_FEATURES set to those of the level, since it optimizes
    the kernels that others call before it knows for what they are.
    """
    from numba.core.codegen import AOTCPUCodegen
    from numba.core.registry import cpu_target
    from numba.pycc import CC, compiler

    from ._numba import OPTIONS, signature_of

    for name in ("_draw",):  # imported by no other module here
        importlib.import_module(f"{__package__}.{name}")

    def flags() -> Any:
        made = _flags()
        cpu_target.options.parse_as_flags(made, {"nopython": True, **OPTIONS})
        return made

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extension = CC(EXTENSION, source_module=sys.modules[__package__ or ""])
    extension.output_dir, extension.target_cpu = str(folder), TUNED.get(level, (level, ""))[0]
    for kernel in exported():
        extension.export(kernel.name, signature_of(kernel))(kernel.function)
    features = TUNED.get(level, ("", ""))[1]
    _flags, compiler.Flags = compiler.Flags, flags  # CC has no options for them, nor for the features
    _features, AOTCPUCodegen._customize_tm_features = AOTCPUCodegen._customize_tm_features, lambda self: features
    try:
        extension.compile()
    finally:
        compiler.Flags, AOTCPUCodegen._customize_tm_features = _flags, _features
    return folder / str(extension.output_file)


def write_record(file: Path, level: str) -> None:
    """Write what the extension was made from, and its digest, beside it, once nothing changes it anymore."""
    record: dict[str, Any] = {"level": level, "machine": machine(), "sources": sources()}
    record |= {"numba": metadata.version("numba"), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    record |= {"kernels": [kernel.name for kernel in exported()]}
    (file.parent / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _anonymous(file: Path) -> None:
    """Numba writes the paths of its own sources into messages: replace the folder by a text of the same length."""
    import numba

    if sys.platform.startswith("linux"):
        folder = str(Path(numba.__file__).parents[1]).encode()
        file.write_bytes(file.read_bytes().replace(folder, b"python".rjust(len(folder), b"/")))


def _portable_flags() -> None:
    """Flags of the C compiler and linker without a search path of libraries and without paths in messages."""
    if sys.platform.startswith("linux"):
        compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        os.environ.setdefault("LDSHARED", f"{compiler} -shared -Wl,--strip-all")
        usual = os.environ.get("CFLAGS") or sysconfig.get_config_var("CFLAGS") or ""
        site = importlib.util.find_spec("numba")
        folders = [sys.base_prefix, *([str(Path(site.origin).parents[1])] if site and site.origin else [])]
        os.environ["CFLAGS"] = " ".join([usual, "-DNDEBUG", *(f"-ffile-prefix-map={f}=." for f in folders)])


def main() -> int:
    folder = Path(sys.argv[1])
    level = os.environ.get(LEVEL) or LEVEL_OF.get(machine(), "generic")
    if level not in LEVELS:
        print(f"{LEVEL} is {level!r}. Allowed: {', '.join(LEVELS)}.", file=sys.stderr)
        return 2
    name, features = TUNED.get(level, (level, ""))
    os.environ |= {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    _portable_flags()
    file = compile_ahead(folder, level)
    _anonymous(file)
    write_record(file, level)
    print(f"{file}: {len(exported())} kernels for {level}, {file.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
