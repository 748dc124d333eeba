"""Tell the user while Numba compiles kernels: a bar on a terminal, two lines elsewhere. Silent if none is compiled.

The kernels report to a logger, so that a command that needs none does not import them.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

from .progress import ProgressBar
from .terminal import console, say

LOGGER = "punctum.kernels.compilation"


class CompileNotice(logging.Handler):
    """Shows the records of LOGGER. Kernels that are compiled one by one, later on, are told once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._bar: ProgressBar | None = None
        self._began, self._shown, self._told = 0.0, 0, False

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a terminal that went away must not end a run."""
        fields: Any = record
        with contextlib.suppress(OSError, ValueError):
            if not fields.kernel:
                self._end(kept=fields.kept)
            elif not self._began:
                self._begin(fields.number - 1, fields.total)
            elif self._bar is not None:
                self._bar.advance(fields.number - 1 - self._shown)
                self._shown = fields.number - 1

    def _begin(self, done: int, total: int) -> None:
        self._began, self._shown = time.monotonic(), done
        if console(stderr=True).is_terminal:
            self._bar = ProgressBar("compiling kernels", total, done=done, unit="kernels")
        elif not self._told:
            say("compiling kernels for this machine")

    def _end(self, *, kept: bool) -> None:
        spent, self._began = time.monotonic() - self._began, 0.0
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif not self._told:
            say(f"kernels compiled in {spent:.0f} s" + ("; they are kept for later runs" if kept else ""))
        if not kept and not self._told:
            say("note: no folder can keep the kernels, so every start compiles them again; see `punctum doctor`")
        self._told = True


@contextlib.contextmanager
def compile_notices() -> Iterator[None]:
    """Within the block, compilations are told on standard error, and reach no other handler."""
    logger, handler = logging.getLogger(LOGGER), CompileNotice()
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
