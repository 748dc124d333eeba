"""The process around a command: its standard streams, and the last handler of errors."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

TRACEBACK = "PUNCTUM_TRACEBACK"
INTERRUPTED = 130
_AGAIN_S = 0.05
_ADVICE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, since the system has too many open files",
    errno.ENOMEM: "process less at a time, or add memory",
}


class ClosedOutput(io.TextIOBase):
    """Replaces a standard output that was closed. Discards all text, and counts it."""

    was_closed = True
    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self) -> None:
        self.lost = 0

    def write(self, text: str) -> int:
        self.lost += len(text)
        return len(text)


def prepare_streams() -> None:
    """Make the standard streams writable, whatever the process was started with.

    The next file to be opened would get the number of a closed descriptor, and messages would be written to it, so each
    becomes /dev/null. Characters outside the encoding of a terminal are escaped instead of ending the run.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # the lowest free number is this one
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    if sys.stdout is None:
        sys.stdout = ClosedOutput()  # type: ignore[assignment]  # has what is used of a stream
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def finish_streams(code: int) -> int:
    """Flush standard output, report losses, and return the exit code. code: that of the command."""
    from ..files.outputs import discard_standard_output

    if isinstance(sys.stdout, ClosedOutput):
        if sys.stdout.lost and code == 0:
            complain("stdout-closed", "standard output is closed, so the output of the command is lost.")
            return 1
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_standard_output()
    except (OSError, ValueError) as error:
        discard_standard_output()
        if code == 0:
            complain("write-failed", f"cannot write to standard output ({error}). Next: free space, or set --out.")
            return 1
    return code


def complain(code: str, message: str) -> None:
    """Print an error as one line on standard error, colored on a terminal. Control characters are escaped."""
    from ..text.display import printable

    word = "error"
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
            word = "\x1b[31merror\x1b[0m"
        sys.stderr.write(f"{word} [{printable(code)}]: {printable(message)}\n")
        sys.stderr.flush()


def unexpected(error: BaseException) -> int:
    """The last handler: print one line about an unexpected error, and return the exit code."""
    from ..text.display import plain

    if was_interrupted(error):
        return interrupted()
    if os.environ.get(TRACEBACK, "0") not in ("", "0"):
        from ..text.display import printable

        with contextlib.suppress(OSError, ValueError):
            for line in "".join(traceback.format_exception(error)).splitlines():
                print(printable(line), file=sys.stderr)
    name, text = type(error).__name__, plain(error)[:1000]
    kernels: Any = sys.modules.get("punctum.kernels")
    if kernels is not None and isinstance(error, kernels.KernelsUnavailableError):
        complain("kernels-unavailable", text)
        return 2
    if isinstance(error, MemoryError):
        detail = text and f" ({text})"
        complain("out-of-memory", f"there is not enough memory{detail}. Next: process less at a time, or add memory.")
    elif isinstance(error, RecursionError):
        complain("too-deep", f"the input is nested too deeply ({text}). Next: check the input.")
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        complain("name-too-long", f"{text}. Allowed: names of up to 255 bytes. Next: choose a shorter name.")
        return 2
    elif isinstance(error, OSError):
        complain("system", f"{text or name}. Next: {_ADVICE.get(error.errno or 0, 'check the path and the device')}.")
    else:
        complain(
            "bug",
            f"{name}: {text}. This is a bug in punctum. Next: run the command again with {TRACEBACK}=1 in the "
            "environment, and report what it prints.",
        )
    return 1


def was_interrupted(error: BaseException) -> bool:
    """Whether an interrupt caused an error: during an import it may surface as any other exception."""
    if any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error)):
        return True
    # pydantic's core keeps only the text of what it was interrupted by.
    return type(error).__name__ == "SchemaError" and "KeyboardInterrupt" in str(error)


def interrupted() -> int:
    """Print that the command was interrupted, and return the exit code."""
    with contextlib.suppress(OSError, ValueError):
        print("interrupted", file=sys.stderr, flush=True)
    return INTERRUPTED


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def unraisable(fault: sys.UnraisableHookArgs) -> None:
    """Handle exceptions that Python cannot raise where they happen. An interrupt during cleanup, for example after an
    import, would be printed and ignored, so it is delivered again."""
    if isinstance(fault.exc_value, KeyboardInterrupt):
        threading.Thread(target=_interrupt_again, daemon=True).start()
    else:
        sys.__unraisablehook__(fault)


def _interrupt_again() -> None:
    time.sleep(_AGAIN_S)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # which also ends a wait of that thread


def show_warning(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
    """Print Python warnings as one line, without the path of the code that issued them."""
    from ..text.display import plain

    with contextlib.suppress(OSError, ValueError):
        print(f"warning: {plain(message)}", file=sys.stderr, flush=True)
