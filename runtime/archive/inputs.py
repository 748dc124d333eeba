"""From what the user names to items: files, folders, globs, list files, data set folders, remote addresses.

Names of items, which results carry: below a folder or the fixed part of a glob, the path from there; in a list file,
the line as written when it is relative (relative to the list); for anything named alone, the file name. With `root`
every name is the path below it. Two items of one name are an error, never silently one.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..sources.open import is_video_input
from ..text.display import as_utf8
from ..video.files import SUFFIXES
from ._items import Item, Kind, is_recording
from ._remote import find_remote, is_remote, shown

LIST_SUFFIXES = (".txt", ".lst", ".list")


def find_items(
    inputs: Sequence[str], *, kind: str = "auto", split: str | None = None, root: str | None = None
) -> list[Item]:
    """All items, sorted by name, each once. A listed path that does not exist is an item too: it fails by itself.

    Raises InputError for an input that names nothing, and for two items of one name.
    """
    found: dict[tuple[str, ...], Item] = {}
    for given in inputs:
        count = 0
        for item in _expand(given, kind=kind, split=split):
            count += 1
            name = as_utf8(_below(root, item) if root else item.name)
            found.setdefault(item.paths, item if name == item.name else replace(item, name=name))
        if not count:
            raise InputError(
                "inputs-empty",
                f"{shown(given)} holds no .npy file and no video",
                "files, folders, globs, list files (.txt), data set folders, or addresses that fsspec reads",
                "check the path, and --kind",
            )
    items = sorted(found.values(), key=lambda item: item.name)
    _check_names(items)
    return items


def _check_names(items: list[Item]) -> None:
    seen: dict[str, Item] = {}
    for item in items:
        other = seen.setdefault(item.stream, item)
        if other is not item:
            raise InputError(
                "item-name-twice",
                f"{shown(other.paths[0])} and {shown(item.paths[0])} would both be called {item.stream!r}",
                "recordings with names of their own",
                _way_out(other, item),
            )


def _way_out(one: Item, other: Item) -> str:
    """What helps against two items of one name."""
    if one.kind != other.kind:
        return "a video beside its features: give the folder, with --kind features or --kind video"
    if PurePosixPath(one.paths[0]).parent == PurePosixPath(other.paths[0]).parent:
        return "they differ by their endings alone: rename one of them, or score it into another --out"
    return "give the folder above both, or name it with --root"


def _below(root: str, item: Item) -> str:
    base = Path(root).absolute()
    path = Path(item.paths[0]).absolute()
    if item.remote or not path.is_relative_to(base):
        raise InputError(
            "root", f"{shown(item.paths[0])} does not lie below {root}", f"files below {root}", "set --root"
        )
    return path.relative_to(base).as_posix()


def _expand(given: str, *, kind: str, split: str | None) -> Iterator[Item]:
    if is_remote(given):
        yield from _wanted(find_remote(given), kind)
        return
    path = Path(given)
    if path.is_dir():
        if (path / "dataset.json").is_file() or split is not None:
            yield from _dataset(path, split=split, kind=kind)
        else:
            yield from _wanted(list(_walk(path, path)), kind)
        return
    if path.exists():
        if path.suffix.lower() in LIST_SUFFIXES:
            yield from _listed(path)
        else:
            yield _file(path, path.name)
        return
    if glob.has_magic(given):
        base = _fixed_part(path)
        names = sorted(glob.glob(given, recursive=True))  # noqa: PTH207 - patterns that begin at the root too
        matches = [Path(name) for name in names]
        yield from (_file(p, p.relative_to(base).as_posix()) for p in matches if p.is_file() and is_recording(p.name))
        return
    raise InputError(
        "input-missing",
        f"{given} does not exist",
        "files, folders, globs, list files (.txt), data set folders, or addresses that fsspec reads",
        "check the path",
    )


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return "features"
    return "video" if suffix in SUFFIXES or is_video_input(str(path)) else "features"


def _file(path: Path, name: str, kind: Kind | None = None) -> Item:
    try:
        found = path.stat()
    except OSError:  # the worker says what is wrong with it
        return Item(name, (str(path),), kind or _kind(path), 0, "")
    return Item(name, (str(path),), kind or _kind(path), found.st_size, stamp_of(found))


def stamp_of(found: os.stat_result) -> str:
    """What changes when a local file is written."""
    return f"{found.st_size}:{found.st_mtime_ns}"


def _walk(folder: Path, base: Path) -> Iterator[Item]:
    """Features and videos below a folder; hidden files and folders, and links to folders, are left out."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            "input-unreadable",
            f"the folder {folder} ({error.strerror or 'unreadable'})",
            "folders that this user may read",
            "change its mode, or name the folders beside it",
        ) from None
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), base)
        elif is_recording(entry.name):
            path = Path(entry.path)
            kind: Kind = "features" if entry.name.lower().endswith(".npy") else "video"
            yield _file(path, path.relative_to(base).as_posix(), kind)


def _wanted(items: list[Item], kind: str) -> list[Item]:
    if kind == "all":
        return items
    if kind == "auto":
        kind = "features" if any(item.kind == "features" for item in items) else "video"
    return [item for item in items if item.kind == kind]


def _fixed_part(pattern: Path) -> Path:
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts) if parts else Path()


def _listed(path: Path) -> Iterator[Item]:
    """One path or address a line; empty lines and lines that begin with # are skipped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("list-unreadable", f"{path} ({error})", "UTF-8 text, one path a line", "check it") from None
    for line in text.splitlines():
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if is_remote(entry):
            yield from find_remote(entry)
            continue
        place = path.parent / entry
        name = Path(entry).name if Path(entry).is_absolute() else os.path.normpath(entry).replace(os.sep, "/")
        yield _file(place, Path(name).name if name.startswith("..") else name)


def _dataset(folder: Path, *, split: str | None, kind: str) -> Iterator[Item]:
    """The recordings of a data set: those of its lists, or without lists every file of its features."""
    from ..datasets.recordings import open_recordings

    lists = {} if split is None else {"split": split}
    data = open_recordings(folder, **lists)
    names = list(dict.fromkeys([*data.train, *data.test]))
    if (kind == "video" and data.videos_dir is not None) or data.only_videos:
        videos = data.videos_dir or folder
        if not names:
            yield from _wanted(list(_walk(videos, videos)), "video")
        for name in names:
            try:
                path = data.video_file(name)
            except InputError:
                path = videos / f"{name}.mp4"
            yield _file(path, path.name, "video")
        return
    if not names:
        for item in _wanted(list(_walk(data.features_dir, data.features_dir)), "features"):
            yield replace(item, stride_s=data.stride_s)
    for name in names:
        files = [_file(path, f"{name}.npy", "features") for path in data.feature_files(name)]
        yield Item(
            f"{name}.npy",
            tuple(file.paths[0] for file in files),
            "features",
            sum(file.size for file in files),
            "+".join(file.stamp for file in files) if all(file.stamp for file in files) else "",
            data.stride_s,
        )
