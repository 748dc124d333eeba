"""Warnings as lines on standard error, for a process that nobody else configures.

The library logs warnings below the logger `punctum` and adds no handler to it: whoever imports punctum decides where
they go, and Python prints them to standard error where nobody decided. The command line and worker processes use this
handler.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

from .display import printable

LOGGER = "punctum"


class WarningLines(logging.Handler):
    """Prints each record as `warning: ...`. Never raises: a terminal that went away must not end a run.

    Args:
        rewrite: Applied to the message before it is escaped.
    """

    def __init__(self, rewrite: Callable[[str], str] | None = None) -> None:
        super().__init__(logging.WARNING)
        self._rewrite = rewrite

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line on the current standard error."""
        with contextlib.suppress(OSError, ValueError):
            text = record.getMessage()
            text = self._rewrite(text) if self._rewrite is not None else text
            print(f"warning: {printable(text)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def warning_lines(rewrite: Callable[[str], str] | None = None) -> Iterator[None]:
    """Within the block, warnings of punctum are lines on standard error, and reach no other handler."""
    logger, handler = logging.getLogger(LOGGER), WarningLines(rewrite)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
