"""The form that Numba compiles on first use.

A kernel with declared types is compiled for them and for no others, so there is one compilation a kernel. The logger
`punctum.kernels.compilation` gets a record (INFO) when one begins, with the fields `kernel`, `number` and `total`, and
one with an empty `kernel` after the last, whose field `kept` says whether later processes find all of them in a cache.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

import numba
from numba.core import sigutils, types, typing
from numba.core.compiler_lock import global_compiler_lock

from ._jit import Kernel

OPTIONS = {"nogil": True, "error_model": "numpy"}
_log = logging.getLogger("punctum.kernels.compilation")


class _Progress:
    """What is being made ready. Guarded by Numba's lock of its compiler."""

    depth = 0
    number, total = 1, 1
    began: float | None = None


def make_ready(kernels: Sequence[Kernel]) -> None:
    """Compile kernels, or load them from the cache."""
    waiting = [kernel for kernel in kernels if not kernel.is_jitted]
    with global_compiler_lock:
        try:
            _Progress.total = len(waiting)
            for _Progress.number, kernel in enumerate(waiting, 1):
                _ = kernel.jitted
            _finish()
        finally:
            _Progress.number, _Progress.total = 1, 1


def signature_of(kernel: Kernel) -> Any:
    """The declared types as Numba's signature; arrays that the kernel does not write to may be read-only."""
    arguments, result = sigutils.normalize_signature(kernel.types)
    names = kernel.function.__code__.co_varnames
    given = [
        kind.copy(readonly=True) if isinstance(kind, types.Array) and names[at] not in kernel.writes else kind
        for at, kind in enumerate(arguments)
    ]
    return typing.signature(result, *given)


def compile_kernel(kernel: Kernel) -> None:
    """Set `kernel.jitted` to a dispatcher: complete for declared types; for a helper it compiles what callers need."""
    with global_compiler_lock:
        if kernel.is_jitted:  # by another thread
            return
        kernel.jitted = _dispatcher(kernel)


def _dispatcher(kernel: Kernel) -> Any:
    dispatcher = numba.njit(**OPTIONS)(kernel.function)
    if not kernel.types or not hasattr(dispatcher, "compile"):  # the latter with NUMBA_DISABLE_JIT
        return dispatcher
    _attach_cache(dispatcher, kernel)
    _Progress.depth += 1
    try:
        dispatcher.compile(signature_of(kernel))
    finally:
        _Progress.depth -= 1
    dispatcher.disable_compile()
    if _Progress.depth == 0 and _Progress.total == 1:
        _finish()
    return dispatcher


def _attach_cache(dispatcher: Any, kernel: Kernel) -> None:
    try:
        from ._cache import attach
    except ImportError:  # a version of Numba whose cache is made differently
        with contextlib.suppress(RuntimeError):  # no folder for it
            dispatcher.enable_caching()
        return
    attach(dispatcher, kernel, lambda: _begin(kernel))


def _all_kept() -> bool:
    try:
        from ._cache import unsaved
    except ImportError:  # see _attach_cache
        return True
    return not unsaved()


def _begin(kernel: Kernel) -> None:
    """Its compilation begins. Those within another one are not told."""
    if _Progress.depth == 1:
        _Progress.began = time.monotonic() if _Progress.began is None else _Progress.began
        fields = {"kernel": kernel.name, "number": _Progress.number, "total": _Progress.total}
        _log.info("compiling kernel %(kernel)s (%(number)d of %(total)d)", fields, extra=fields)


def _finish() -> None:
    if _Progress.began is not None:
        seconds, _Progress.began = time.monotonic() - _Progress.began, None
        fields = {"kernel": "", "number": _Progress.total, "total": _Progress.total, "kept": _all_kept()}
        _log.info("kernels compiled in %.1f s", seconds, extra=fields)
