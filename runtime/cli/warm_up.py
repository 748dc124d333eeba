"""`punctum warm-up`: compile kernels before the first run, for images and for machines that start often."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..files.outputs import check_folder
from ..text.display import counted
from .terminal import echo


def warm_up(
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="What will be done: run (default), train, eval or demo. May be repeated."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(help="Folder for the compiled kernels; later runs find them there with NUMBA_CACHE_DIR."),
    ] = None,
) -> None:
    """Compile the kernels that a role needs, unless they are part of the installation or compiled already.

    Example: punctum warm-up --into /var/cache/punctum
    """
    from punctum import kernels

    roles = role or ["run"]
    for each in roles:
        if each not in kernels.ROLES:
            raise InputError("role", f"--role {each!r} is unknown", ", ".join(kernels.ROLES), "correct --role")
    form = kernels.form()
    if into is not None:
        into = check_folder(into, [], option="`into`")
        _make_writable(into)
    unsaved = kernels.warm_up(*roles, into=into)
    if unsaved:
        raise InputError(
            "write-failed",
            f"{counted(len(unsaved), 'compiled kernel')} could not be saved ({next(iter(unsaved.values()))})",
            required="a writable folder with about 2 MB of free space",
            next_step="free space, or name a folder by --into",
        )
    if form.name == "compiled":
        left = "" if into is None else f"; {into} stays as it is"
        echo(
            f"the kernels of this installation are compiled ahead of time ({form.level}); there is nothing to do{left}"
        )
        return
    names = {name for each in roles for name in kernels.ROLES[each]}
    where = "" if into is None else f" in {into}"
    echo(f"{counted(len(names), 'kernel')} for {', '.join(roles)} ready{where}")


def _make_writable(folder: Path) -> None:
    """Make the folder, also for compiled kernels, since scripts may copy it. Raise InputError if it takes no files:
    compiling takes long, and Numba would save nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            "write-failed",
            f"{folder} cannot be written ({error.strerror or error})",
            required="a writable folder",
            next_step="choose another folder for --into",
        ) from None
