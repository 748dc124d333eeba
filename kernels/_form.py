"""Which form of the kernels runs: compiled ahead of time, or by Numba on first use.

The wheels for a platform hold the compiled form, one extension module for one level of CPU, and a record of what it was
made from. It is used where it is there, made from these sources, and can run on this CPU. Otherwise Numba compiles the
same functions. The environment variable PUNCTUM_KERNELS decides instead: "compiled" or "jit".
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Any

from ._cpu import LEVELS, lacking, machine
from ._jit import KERNELS, Kernel, exported, provide
from ._sources import EXTENSION, HERE, RECORD, sources
from ._validate import KernelInputError, KernelsUnavailableError

COMPILED, JIT = "compiled", "jit"
VARIABLE = "PUNCTUM_KERNELS"
_FIELDS = ("level", "machine", "sources", "sha256")
_EXTRA = "pip install 'punctum[jit]', or a wheel of punctum for this platform and Python"
_lock = threading.RLock()


@dataclass(frozen=True, slots=True)
class KernelForm:
    """The form of the kernels that runs.

    Attributes:
        name: "compiled" or "jit".
        reason: Why this one, as a part of a sentence.
        level: Level of CPU that the compiled form is made for, as LLVM names it; "" with "jit".
    """

    name: str
    reason: str
    level: str = ""


_chosen: KernelForm | None = None


def form() -> KernelForm:
    """The form of the kernels that runs in this process. Compiles nothing.

    Raises:
        KernelsUnavailableError: no form can run here, or PUNCTUM_KERNELS names one that cannot, or another word.
    """
    global _chosen
    with _lock:
        if _chosen is None:
            wanted = os.environ.get(VARIABLE, "")
            if wanted not in ("", COMPILED, JIT):
                raise KernelsUnavailableError(
                    f"{VARIABLE} is {wanted!r}", f'"{COMPILED}", "{JIT}" or nothing', f"unset {VARIABLE}"
                )
            _chosen = _choose(wanted, f"{VARIABLE} is set" if wanted else "")
        return _chosen


def use(name: str) -> KernelForm:
    """Run this form of the kernels from now on, in the whole process: for tests and comparisons.

    Args:
        name: "compiled" or "jit"; "" for the one that would have been chosen.

    Raises:
        KernelInputError: the name is another one.
        KernelsUnavailableError: this form cannot run here.
    """
    global _chosen
    if name not in ("", COMPILED, JIT):
        raise KernelInputError(f"The form is {name!r}", f"{COMPILED}, {JIT}", "change the name")
    with _lock:
        _chosen = _choose(name, "it was asked for") if name else None
        for kernel in KERNELS.values():
            kernel.choose_again()
        return form()


def implementation(kernel: Kernel) -> Callable[..., Any]:
    """The function that runs for a kernel in the chosen form. With "jit" it is compiled now."""
    if form().name == JIT:
        run: Callable[..., Any] = kernel.jitted
    elif kernel.types:
        run = getattr(importlib.import_module(_name()), kernel.name)
    else:
        run = kernel.function
    return run


@functools.cache
def obstacle() -> str:
    """Why the compiled form cannot run here, as a part of a sentence; "" where it can."""
    try:
        record = json.loads((HERE / RECORD).read_text(encoding="utf-8"))
    except OSError:
        return "this installation has no compiled kernels"
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not all(isinstance(record.get(name), str) for name in _FIELDS):
        return f"the record of the compiled kernels, {RECORD}, is damaged"
    level, of, made_from, sha256 = (record[name] for name in _FIELDS)
    if of != machine():
        return f"the compiled kernels are for {of}, and this machine is {machine()}"
    if level not in LEVELS:
        return f"the compiled kernels are for CPUs of the level {level}, and only {', '.join(LEVELS)} are known"
    if missing := lacking(level):
        return f"the compiled kernels need a CPU of the level {level}, and this one lacks {', '.join(missing)}"
    if made_from != sources():
        return "the compiled kernels were made from other sources"
    if damage := _damage(sha256):
        return damage
    try:
        module = importlib.import_module(_name())
    except ImportError as error:
        return f"the compiled kernels cannot be loaded ({error})"
    lost = next((kernel.name for kernel in exported() if not hasattr(module, kernel.name)), "")
    return lost and f"the compiled kernels lack {lost}"


def _damage(sha256: str) -> str:
    """What is wrong with the file of the extension; "" for nothing. A damaged one could end the process when it is
    loaded or called, or compute something else."""
    files = [HERE / f"{EXTENSION}{suffix}" for suffix in EXTENSION_SUFFIXES]
    file = next((one for one in files if one.is_file()), None)  # the one that would be loaded
    if file is None:
        return "the file of the compiled kernels is missing"
    try:
        data = file.read_bytes()
    except OSError as error:
        return f"the file of the compiled kernels cannot be read ({error.strerror or error})"
    if hashlib.sha256(data).hexdigest() != sha256:
        return "the file of the compiled kernels is damaged, or was changed after it was made"
    return ""


def _name() -> str:
    return f"{__package__}.{EXTENSION}"


def _choose(wanted: str, reason: str) -> KernelForm:
    hindered = "" if wanted == JIT else obstacle()
    if wanted != JIT and not hindered:
        level = json.loads((HERE / RECORD).read_text(encoding="utf-8"))["level"]
        return KernelForm(COMPILED, reason or "they are part of this installation", level)
    if wanted == COMPILED:
        raise KernelsUnavailableError(
            f"The compiled kernels are asked for ({reason}), but {hindered}",
            "a wheel of punctum with kernels for this platform, Python and CPU",
            f"set {VARIABLE}={JIT}, or unset it",
        )
    if importlib.util.find_spec("numba") is None:
        why = hindered or f"the kernels are to be compiled on first use ({reason})"
        raise KernelsUnavailableError(
            f"{why[0].upper()}{why[1:]}, and Numba, which compiles them on first use, is not installed", "Numba", _EXTRA
        )
    return KernelForm(JIT, reason or hindered)


def _compilation(kernel: Kernel) -> None:
    from ._numba import compile_kernel  # Numba is not there where it is not needed

    compile_kernel(kernel)


provide(implementation=implementation, compilation=_compilation)
