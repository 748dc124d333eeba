"""Checks of what every new bundle is given: its name, its version, and the folder it is written to."""

from __future__ import annotations

import re
from pathlib import Path

from punctum.runtime import InputError
from punctum.runtime.bundle.limits import NAME_CHARACTERS
from punctum.runtime.bundle.writer import is_bundle_folder
from punctum.runtime.files.atomic import destination
from punctum.runtime.text.display import shown


def check_bundle_name(name: str, version: str) -> None:
    """Raises InputError for a name or a version that cannot be part of a bundle id."""
    for parameter, value in (("name", name), ("version", version)):
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
            raise InputError(
                "bundle-name",
                f"`{parameter}` is {shown(repr(value), 80)}",
                "letters, digits, dots, dashes and underscores, beginning with a letter or a digit",
                f"choose another `{parameter}`",
            )


def name_of_dataset(name: object) -> str:
    """The name of a bundle after its data set: what a bundle id cannot have is a dash; "bundle" if nothing is left."""
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", str(name)).strip("._-")
    return text[:NAME_CHARACTERS] or "bundle"


def check_new_folder(out: str | Path, *, replace: bool) -> None:
    """Raises InputError for a path that exists, unless it is an empty folder or a bundle that may be replaced."""
    path, _ = destination(out)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not replace:
        raise InputError(
            "output-exists", f"{out} exists already", "a new folder", "choose another `out`, or set `replace`"
        )
    if not path.is_dir() or not is_bundle_folder(path):
        raise InputError(
            "output-exists",
            f"{out} exists and is not a bundle: `replace` discards bundles only",
            "a new folder, or a bundle",
            "choose another `out`, or remove it yourself",
        )
