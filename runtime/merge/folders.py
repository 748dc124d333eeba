"""The folders that are merged, and the one that is written: what they are called, and which cannot be taken."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..text.display import as_utf8, printable

_ELSEWHERE = re.compile(r'[\\/:*?"<>|]')  # in no name of a file that other systems read


def named_folders(folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """Each folder with a name of its own, in the order of the names, whatever the order in which they are given.

    A folder is called as its path ends. Folders of one name get that of the folder above as well, and a number where
    that is not enough.

    Args:
        folders: Paths of the folders.

    Raises:
        InputError: There is none, one is missing or cannot be read, or one is given twice.
    """
    if not folders:
        raise InputError(
            "merge-folders",
            "No folder is given",
            required="at least one folder of videos",
            next_step="name the folders",
        )
    seen: dict[Path, Path] = {}
    for folder in folders:
        _check(folder)
        real = Path(os.path.realpath(folder))
        if (first := seen.get(real)) is not None:
            raise InputError(
                "merge-folders",
                f"{folder} is given twice" if first == folder else f"{first} and {folder} are the same folder",
                required="each folder once",
                next_step="leave one of the two out",
            )
        seen[real] = folder
    ordered = sorted(seen.items(), key=lambda pair: (_name(pair[1]), as_utf8(str(pair[0]))))
    names = [_name(folder) for _, folder in ordered]
    again = _repeated(names)
    for k, (_, folder) in enumerate(ordered):
        if names[k].casefold() in again:
            names[k] = f"{_name(Path(os.path.abspath(folder)).parent)}-{names[k]}"  # noqa: PTH100 - keeps links
    return sorted(zip(_numbered(names), (folder for _, folder in ordered), strict=True), key=lambda pair: pair[0])


def refuse_nested(out: Path, folders: Sequence[Path]) -> None:
    """Raise InputError where `out` lies in a folder that is read."""
    place = Path(os.path.realpath(out))
    for folder in folders:
        if Path(os.path.realpath(folder)) in place.parents:
            raise InputError(
                "output-is-input",
                f"`out` {out} lies in the input {folder}",
                "a folder beside the inputs",
                "set `out` to another folder",
            )


def file_part(text: str) -> str:
    """Text as a part of a file name on any system."""
    return _ELSEWHERE.sub("_", printable(text)).strip(" .") or "_"


def _check(folder: Path) -> None:
    try:
        found = folder.is_dir()
    except (OSError, ValueError):  # a name with a null byte, or one that is too long
        found = False
    if not found:
        what = "is a loop of symbolic links, or leads to nothing" if folder.is_symlink() else "is not a folder"
        raise InputError(
            "dataset-missing", f"{folder} {what}", required="a folder of videos", next_step="check the path"
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError("video-permission", f"{folder} cannot be read", next_step="change its permissions")


def _name(folder: Path) -> str:
    return printable(Path(os.path.abspath(folder)).name) or "root"  # noqa: PTH100 - the name of a link is the user's


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name, count in Counter(name.casefold() for name in names).items() if count > 1}


def _numbered(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name, 2
        while free.casefold() in taken:
            free, number = f"{name}-{number}", number + 1
        taken.add(free.casefold())
        found.append(free)
    return found
