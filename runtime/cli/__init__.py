"""The `punctum` command. Errors become one message and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Entry point of the console script.

    An interrupt during the imports may surface as any exception, so Ctrl-C ends the process at once until they are
    done, and again after the command. If the process was started with interrupts ignored, as shells do for background
    jobs, they stay ignored.
    """
    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handled:
        signal.signal(signal.SIGINT, lambda number, frame: _end())
    import warnings

    from . import _app, _process  # noqa: F401 - needed by every command

    _process.prepare_streams()
    warnings.showwarning = _process.show_warning
    sys.unraisablehook = _process.unraisable
    try:
        if handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _process.finish_streams(invoke(sys.argv[1:]))
    except KeyboardInterrupt:
        code = _process.interrupted()
    if handled:
        signal.signal(signal.SIGINT, lambda number, frame: _end())
    sys.exit(code)


def _end() -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(130)


def invoke(arguments: list[str]) -> int:
    """Run one command line and return its exit code: 0, 1 (failure), 2 (bad input), 3 (source lost), 130
    (interrupted)."""
    from ..text.warning_lines import warning_lines
    from . import _process
    from ._compiling import compile_notices
    from ._parameters import forget_options, in_options

    forget_options()
    try:
        with warning_lines(in_options), compile_notices():
            return _run(arguments)
    except KeyboardInterrupt:
        return _process.interrupted()
    except BrokenPipeError:  # the reader of a pipe has gone, which is no error
        from ..files.outputs import discard_standard_output

        discard_standard_output()
        return 0
    except Exception as error:  # noqa: BLE001 - the last handler: no input may end in a traceback
        return _process.unexpected(error)


def _run(arguments: list[str]) -> int:
    import typer

    from ..errors import PunctumError
    from ..text.display import printable
    from . import _process
    from ._app import build
    from ._parameters import in_options

    # typer carries its own copy of click since 0.26 and used the separate package before: reach the base by name.
    bases = typer.BadParameter.__mro__
    usage_error = next(k for k in bases if k.__name__ == "ClickException" and issubclass(k, Exception))
    try:
        result = build(arguments).main(arguments, prog_name="punctum", standalone_mode=False)
        if result == _process.INTERRUPTED:  # how newer versions of typer report an interrupt
            return _process.interrupted()
        return int(result) if isinstance(result, int) else 0
    except PunctumError as error:
        if _process.was_interrupted(error):
            return _process.interrupted()
        _process.complain(error.code, in_options(str(error)))
        return error.exit_code
    except typer.Exit as error:
        return int(error.exit_code)
    except typer.Abort:
        return _process.interrupted()
    except usage_error as error:
        message = str(getattr(error, "message", ""))
        error.message = "\n".join(printable(line) for line in message.splitlines())  # type: ignore[attr-defined]
        error.show()  # type: ignore[attr-defined]  # of click, whose type is found by name above
        return 2
