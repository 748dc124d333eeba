"""Checks of what every new bundle is given: its name, its version, and the folder it is written to."""

from __future__ import annotations

import re
from pathlib import Path

from punctum.runtime import InputError


def check_bundle_name(*names: str) -> None:
    """Raises InputError for a name or a version that cannot be part of a bundle id."""
    for value in names:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
            raise InputError(
                "bundle-name", f"name or version {value!r}", "letters, digits, dots, dashes", "set --name and --version"
            )


def check_new_folder(out: str | Path, *, replace: bool) -> None:
    """Raises InputError for a path that exists, unless it is an empty folder or may be replaced."""
    path = Path(out)
    if path.exists() and not replace and (not path.is_dir() or any(path.iterdir())):
        raise InputError("output-exists", f"{path} exists already", "a new folder", "choose another --out or --replace")
