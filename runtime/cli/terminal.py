"""Output of commands. Text from files is escaped, and a terminal that was closed does not end a run."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from ..files.outputs import to_standard_output
from ..text.display import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def say(text: str) -> None:
    """Print one line on standard error. Never raises, so that messages do not end a run."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(text), file=sys.stderr, flush=True)


def echo(text: str) -> None:
    """Print one line on standard output. Raises BrokenPipeError, PunctumError."""
    to_standard_output(_encoded(printable(text) + "\n"))


def echo_json(record: object) -> None:
    """Print a record as one line of JSON, in ASCII, on standard output."""
    to_standard_output(json.dumps(record) + "\n")


def cell(text: object, style: str = "") -> Text:
    """Text from a file for a table; markup and escape sequences in it have no effect."""
    from rich.text import Text

    return Text(printable(str(text)), style)


def console(*, stderr: bool = False, **options: Any) -> Console:
    """A console for tables and progress bars, without automatic highlighting."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, **options)


def _encoded(text: str) -> bytes:
    """Text in the encoding of the terminal; other characters are escaped."""
    return text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "backslashreplace")
