"""`punctum label`: a page for labeling videos with one click per action."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .terminal import echo, say


def label(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of videos, or a data set of videos.")],
    annotator: Annotated[
        str | None, typer.Option(help="Name saved with each click. [default: the name of the user]")
    ] = None,
    classes: Annotated[
        str, typer.Option(help="Classes to begin with, separated by commas. More can be added in the page.")
    ] = "",
    points: Annotated[str, typer.Option(help="Points file.")] = "points.csv",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port on this machine; 0: any. [default: always the same for a folder]"),
    ] = None,
    train_after: Annotated[
        int,
        typer.Option(min=0, help="Clicks from which the page trains in the background; 0: only on request."),
    ] = 20,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
) -> None:
    """Label videos with one click per action, in a page on this machine. Ctrl-C ends it; every click is saved at once.

    The clicks are kept in FOLDER/points.csv, which punctum train FOLDER reads. The page uses no other machine. With the
    extra train, it trains in the background and asks about labels that may be wrong or missing.

    Example: punctum label my-videos --classes open,close,knock
    """
    from ..labeling.folder import open_folder
    from ..labeling.serve import need_server, serve
    from ..text.display import counted
    from ..text.names import clean_name

    need_server()
    name = clean_name(_text(_user() if annotator is None else annotator))
    _check_annotator(name)
    opened = open_folder(folder, points=points, classes=[one for one in _text(classes).split(",") if one.strip()])

    def ready(address: str) -> None:
        echo(f"labeling {folder} as {name}: {address}")
        say("Ctrl-C ends it; every click is saved at once")
        if not no_browser:
            _open(address)

    serve(opened, annotator=name, port=port, ready=ready, train_after=train_after)
    clicks, _, _ = opened.store.snapshot()
    if clicks:
        videos = len({click.video for click in clicks})
        out = shlex.quote(f"runs/{folder.resolve().name}")
        table = "" if points == "points.csv" else f" --points {shlex.quote(points)}"
        say(
            f"{counted(len(clicks), 'click')} in {counted(videos, 'video')}. "
            f"Next: punctum train {shlex.quote(str(folder))}{table} --out {out}"
        )


def _text(given: str) -> str:
    """The text of an option, whose UTF-8 an ASCII locale cannot read."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return given.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return given


def _user() -> str:
    import getpass

    try:
        return getpass.getuser() or "me"
    except (OSError, KeyError, ImportError):
        return "me"


def _check_annotator(name: str) -> None:
    from ..errors import InputError
    from ..labeling.fields import MAX_NAME
    from ..text.display import is_plain

    if any("\ud800" <= c <= "\udfff" for c in name):  # bytes that are no UTF-8, or a locale without it
        raise InputError(
            "label-annotator",
            "--annotator is not in UTF-8: this terminal has another encoding",
            required="a name in UTF-8",
            next_step="use a terminal with UTF-8, or letters of ASCII",
        )
    if not name or len(name) > MAX_NAME or not is_plain(name):
        raise InputError(
            "label-annotator",
            "--annotator is no name",
            required=f"1 to {MAX_NAME} characters",
            next_step="correct it",
        )


def _open(address: str) -> None:
    """Show the page. A machine without a browser, or one that only has a text browser, is no error."""
    import threading
    import webbrowser

    def show() -> None:
        try:
            browser = webbrowser.get()
        except webbrowser.Error:
            return
        if not isinstance(browser, webbrowser.GenericBrowser) or isinstance(browser, webbrowser.BackgroundBrowser):
            browser.open(address)

    threading.Thread(target=show, daemon=True).start()
