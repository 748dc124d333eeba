"""All commands. Those of training and export are found by entry point, so nothing here imports them."""

from __future__ import annotations

import platform
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


def build() -> Any:
    """The whole command line, as a click group."""
    from . import bench, convert, data, demo, doctor, eval, features, report, run, score, warm_up
    from . import build as engines

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

    app.command("run")(run.run)
    app.command("score")(score.score)
    app.command("convert")(convert.convert)
    app.command("features")(features.features)
    app.command("eval")(eval.evaluate)
    app.command("demo")(demo.demo)
    app.command("report")(report.report)
    app.command("doctor")(doctor.doctor)
    app.command("bench")(bench.bench)
    app.command("build")(engines.build)
    app.command("warm-up")(warm_up.warm_up)
    app.add_typer(data.app, name="data", help="Check and generate data sets.")
    for point in metadata.entry_points(group="punctum.commands"):
        app.command(point.name)(point.load())
    command = typer.main.get_command(app)
    _show_brackets(command)
    remember_options(command)
    return command


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
