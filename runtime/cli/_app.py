"""All commands. Those of training and export are found by entry point, so nothing here imports them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import typer

from .._version import __version__
from ._parameters import remember_options
from .terminal import echo


def _version(value: bool) -> None:
    if not value:
        return
    from ._revision import revision

    commit = revision()
    parts = [commit] if commit else []
    parts.append(f"Python {platform.python_version()}")
    for library in ("numpy", "numba", "onnxruntime"):
        try:
            parts.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            parts.append(f"{library} absent")
    echo(f"punctum {__version__} ({', '.join(parts)})")
    raise typer.Exit()


_COMMANDS = (
    "label",
    "serve",
    "run",
    "score",
    "convert",
    "features",
    "eval",
    "rescore",
    "diagnose",
    "demo",
    "report",
    "doctor",
    "bench",
    "build",
    "warm-up",
)

# The order in which somebody needs them. Commands of other packages that are named nowhere here come last.
_PANELS = {
    "From clicks to a bundle": ("label", "data", "convert", "train", "eval", "diagnose", "report", "learning-curve"),
    "Run a bundle": ("run", "serve", "score", "calibrate", "demo"),
    "Backbones and features": ("backbones", "export-backbone", "train-backbone", "features"),
    "Deploy": ("doctor", "bench", "warm-up", "quantize", "build", "export"),
    "Research": ("ablate", "rescore"),
}


def build(arguments: Sequence[str] | None = None) -> Any:
    """The command line, as a click group.

    Args:
        arguments: Those of the program. If they begin with a command, the group has that command only: a process then
            imports and prepares one command instead of all. None: all commands.
    """
    app = typer.Typer(
        name="punctum",
        help="Find every action in long or live video: train on one click per action, export, run, evaluate.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )

    @app.callback()
    def _root(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print versions and exit."
        ),
    ) -> None:
        pass

    first = arguments[0] if arguments else None
    own = first in (*_COMMANDS, "data")
    points = () if own else metadata.entry_points(group="punctum.commands")
    one = own or any(point.name == first for point in points)
    for name in _COMMANDS:
        if not one or name == first:
            app.command(name)(_function(name))
    if not one or first == "data":
        app.add_typer(_data(), name="data", help="Check, begin, merge and generate data sets.")
    for point in points:
        if not one or point.name == first:
            _add(app, point.name, point.load())
    command: Any = typer.main.get_command(app)
    _arrange(command)
    _show_brackets(command)
    remember_options(command)
    return command


def _arrange(command: Any) -> None:
    """Show the commands of the program in panels."""
    found = command.commands
    for panel, names in _PANELS.items():
        for name in names:
            if name in found:
                found[name].rich_help_panel = panel
    order = [name for names in _PANELS.values() for name in names if name in found]
    command.commands = {name: found[name] for name in [*order, *found]}


def _add(app: typer.Typer, name: str, loaded: Any) -> None:
    """Add a command of another package, or a group of them."""
    if isinstance(loaded, typer.Typer):
        app.add_typer(loaded, name=name)
    else:
        app.command(name)(loaded)


def _function(name: str) -> Callable[..., Any]:
    """The function of a command of this package. Only its own module is imported."""
    match name:
        case "label":
            from .label import label

            return label
        case "serve":
            from .serve import serve

            return serve
        case "run":
            from .run import run

            return run
        case "score":
            from .score import score

            return score
        case "convert":
            from .convert import convert

            return convert
        case "features":
            from .features import features

            return features
        case "eval":
            from .eval import evaluate

            return evaluate
        case "rescore":
            from .rescore import rescore

            return rescore
        case "diagnose":
            from .diagnose import diagnose

            return diagnose
        case "demo":
            from .demo import demo

            return demo
        case "report":
            from .report import report

            return report
        case "doctor":
            from .doctor import doctor

            return doctor
        case "bench":
            from .bench import bench

            return bench
        case "build":
            from .build import build

            return build
        case "warm-up":
            from .warm_up import warm_up

            return warm_up
    raise ValueError(name)


def _data() -> typer.Typer:
    """The group `data`."""
    from .data import app

    return app


def _show_brackets(command: Any) -> None:
    """Help texts are read as Rich markup, in which a word in brackets is a style: keep those that are none."""
    command.help = _escaped(command.help)
    for parameter in command.params:
        parameter.help = _escaped(getattr(parameter, "help", None))
    for child in getattr(command, "commands", {}).values():
        _show_brackets(child)


def _escaped(text: str | None) -> str | None:
    from rich.markup import escape

    return None if text is None else escape(text)
