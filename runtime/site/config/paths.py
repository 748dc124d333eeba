"""Checks of paths of a configuration that lead to something that is neither the file nor the folder they have to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ...files.atomic import destination
from ...files.regular import special_kind
from .models import SiteConfig
from .problems import Location, Problem


def unfit_source(where: Location, source: str, path: Path | None) -> Problem | None:
    """What is wrong with a source that is no file, folder or socket. path: None for an address."""
    kind = "" if path is None else special_kind(path)
    if kind:
        step = "give a file or folder"
        if kind == "a device" and path is not None and path.name.startswith("video"):
            step = f"for a camera, write camera:{source}"
        elif kind == "a socket":
            step = f"to listen there, write unix://{path}"
        return Problem(where, f"is {kind}", next_step=step, required="a file, a folder or an address")
    if source.lower().startswith("unix://"):
        place = Path(source[len("unix://") :])
        try:
            taken = place.exists() and not place.is_socket()
        except (OSError, ValueError):
            return None
        if taken:
            given = f"is {place}, which exists and is no socket"
            return Problem(where, given, required="the path of a socket", next_step="choose another path")
    return None


def unfit_output(where: Location, path: Path, *, is_folder: bool) -> Iterator[Problem]:
    """What is wrong with the file or folder of an output. Open descriptors (/dev/stdout) and devices are files, too."""
    try:
        target, descriptor = destination(path)
    except InputError as error:
        yield Problem(where, error.given, error.allowed, error.next_step, error.required)
        return
    except (OSError, ValueError):
        return
    kind = special_kind(target)
    if is_folder:
        yield from _no_folder(where, target)
    elif target.is_dir():
        yield Problem(where, f"is {path}, which is a folder", required="a file", next_step="name a file in it")
    elif descriptor is None and kind and kind != "a device":
        yield Problem(where, f"is {path}, which is {kind}", required="a file", next_step="choose another path")
    else:
        yield from _no_folder(where, target.parent)


def state_check(config: SiteConfig, folder: Path) -> Iterator[Problem]:
    """What is wrong with the state folder."""
    try:
        yield from _no_folder(("state",), folder / Path(config.state).expanduser())
    except (RuntimeError, ValueError):  # ~ of nobody
        return


def _no_folder(where: Location, path: Path) -> Iterator[Problem]:
    """A problem where a path exists and is no folder, or is below something that is none."""
    try:
        found = next((one for one in (path, *path.parents) if one.exists()), None)
        if found is None or found.is_dir():
            return
    except (OSError, ValueError):
        return
    given = f"is {path}, and {'that' if found == path else found} is {special_kind(found) or 'a file'}"
    yield Problem(where, given, required="a folder, which is made if necessary", next_step="choose another path")
