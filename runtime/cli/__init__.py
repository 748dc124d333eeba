"""The `punctum` command: errors become one message and an exit code, never a traceback."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the console script."""
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> int:
    """Run one command line and return its exit code: 0, 1 (failure), 2 (bad input), 130 (interrupted)."""
    import typer
    from rich.console import Console

    from ..errors import PunctumError
    from ._app import build

    # typer carries its own copy of click since 0.26 and used the separate package before: reach the base by name.
    bases = typer.BadParameter.__mro__
    usage_error: type[Exception] = next(k for k in bases if k.__name__ == "ClickException")  # type: ignore[assignment]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        result = build()(arguments, standalone_mode=False)
        return int(result) if isinstance(result, int) else 0
    except PunctumError as error:
        console.print(f"[red]error[/red] \\[{error.code}]: ", end="")
        console.print(str(error), markup=False)
        return error.exit_code
    except typer.Exit as error:
        return int(error.exit_code)
    except usage_error as error:
        error.show()  # type: ignore[attr-defined]
        return 2
    except (KeyboardInterrupt, typer.Abort):
        console.print("interrupted")
        return 130
    except BrokenPipeError:  # the reader of a pipe went away; nothing is wrong here
        return 0
