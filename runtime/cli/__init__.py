"""The `punctum` command: errors become one message and an exit code, never a traceback."""

from __future__ import annotations

import sys
import warnings

from . import _process


def main() -> None:
    """Entry point of the console script."""
    with _process.quiet_interrupts():
        _process.prepare_streams()
        from . import _app  # noqa: F401 - what every command imports
    warnings.showwarning = _process.show_warning
    code = _process.finish_streams(invoke(sys.argv[1:]))
    _process.ignore_interrupts_of_the_end()
    sys.exit(code)


def invoke(arguments: list[str]) -> int:
    """Run one command line and return its exit code: 0, 1 (failure), 2 (bad input), 130 (interrupted)."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        _process.interrupted()
        return _process.INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe went away; nothing is wrong here
        from .._outputs import discard_standard_output

        discard_standard_output()
        return 0
    except Exception as error:  # noqa: BLE001 - the last handler: no input may end in a traceback
        return _process.unexpected(error)


def _run(arguments: list[str]) -> int:
    import typer

    from ..errors import PunctumError
    from ._app import build

    # typer carries its own copy of click since 0.26 and used the separate package before: reach the base by name.
    bases = typer.BadParameter.__mro__
    usage_error: type[Exception] = next(k for k in bases if k.__name__ == "ClickException")  # type: ignore[assignment]
    try:
        result = build().main(arguments, prog_name="punctum", standalone_mode=False)
        return int(result) if isinstance(result, int) else 0
    except PunctumError as error:
        if _process.was_interrupted(error):
            _process.interrupted()
            return _process.INTERRUPTED
        _process.complain(error.code, str(error))
        return error.exit_code
    except typer.Exit as error:
        return int(error.exit_code)
    except typer.Abort:
        _process.interrupted()
        return _process.INTERRUPTED
    except usage_error as error:
        error.show()  # type: ignore[attr-defined]
        return 2
