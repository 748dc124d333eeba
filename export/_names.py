"""Checks of what every new bundle is given: its name, its version, and the folder it is written to."""

from __future__ import annotations

import re
from pathlib import Path

from punctum.runtime import InputError
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


def check_new_folder(out: str | Path, *, replace: bool) -> None:
    """Raises InputError for a path that exists, unless it is an empty folder or may be replaced."""
    path = Path(out)
    if path.exists() and not replace and (not path.is_dir() or any(path.iterdir())):
        raise InputError(
            "output-exists", f"{path} exists already", "a new folder", "choose another `out`, or set `replace`"
        )
