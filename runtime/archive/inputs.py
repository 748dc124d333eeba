"""Items of the inputs: files, folders, globs, list files, data set folders and remote addresses.

Names of items in the results: the path below the folder, or below the fixed part of the glob; in a list file, a
relative line as written (relative to the list); for single files, the file name. With `root`, every name is the path
below it. Two items with the same name are an error.
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
_INPUTS = "files, folders, globs, list files (.txt), data set folders, or addresses that fsspec reads"


def find_items(
    inputs: Sequence[str], *, kind: str = "auto", split: str | None = None, root: str | None = None
) -> list[Item]:
    """All items, sorted by name, each once. A listed path that does not exist is an item too, which will fail.

    Args:
        inputs: Files, folders, globs, list files, data set folders, or addresses that fsspec reads.
        kind: What to use in folders: "auto", "features", "video" or "all".
        split: Split of a data set folder.
        root: Folder to which names are relative.

    Raises:
        InputError: An input contains no recording, or two items have the same name.
    """
    by_paths: dict[tuple[str, ...], Item] = {}
    for text in inputs:
        count = 0
        for item in _expand(text, kind=kind, split=split):
            count += 1
            name = as_utf8(_below(root, item) if root else item.name)
            by_paths.setdefault(item.paths, item if name == item.name else replace(item, name=name))
        if not count:
            raise InputError(
                "inputs-empty",
                f"{shown(text)} contains no .npy file and no video",
                required=_INPUTS,
                next_step="check the path and `kind`",
            )
    items = sorted(by_paths.values(), key=lambda item: item.name)
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
                required="recordings with different names",
                next_step=_advice(other, item),
            )


def _advice(one: Item, other: Item) -> str:
    """What to do about two items with the same name."""
    if one.kind != other.kind:
        return "name the folder, with `kind=features` or `kind=video`: one is a video and the other its features"
    if PurePosixPath(one.paths[0]).parent == PurePosixPath(other.paths[0]).parent:
        return "rename one of them, or score it into another `out`: they differ by their extensions only"
    return "name a folder that contains both, or pass it as `root`"


def _below(root: str, item: Item) -> str:
    base = Path(root).absolute()
    path = Path(item.paths[0]).absolute()
    if item.remote or not path.is_relative_to(base):
        raise InputError(
            "root",
            f"{shown(item.paths[0])} is not below {root}",
            required=f"files below {root}",
            next_step="change `root`",
        )
    return path.relative_to(base).as_posix()


def _expand(text: str, *, kind: str, split: str | None) -> Iterator[Item]:
    if is_remote(text):
        yield from _of_kind(find_remote(text), kind)
        return
    path = Path(text)
    if path.is_dir():
        if (path / "dataset.json").is_file() or split is not None:
            yield from _dataset(path, split=split, kind=kind)
        else:
            yield from _of_kind(list(_walk(path, path)), kind)
        return
    if path.exists():
        if path.suffix.lower() in LIST_SUFFIXES:
            yield from _listed(path)
        else:
            yield _file(path, path.name)
        return
    if glob.has_magic(text):
        base = _fixed_part(path)
        names = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns too
        matches = [Path(name) for name in names]
        yield from (_file(p, p.relative_to(base).as_posix()) for p in matches if p.is_file() and is_recording(p.name))
        return
    raise InputError(
        "input-missing",
        f"{text} does not exist",
        required=_INPUTS,
        next_step="check the path",
    )


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return "features"
    return "video" if suffix in SUFFIXES or is_video_input(str(path)) else "features"


def _file(path: Path, name: str, kind: Kind | None = None) -> Item:
    try:
        status = path.stat()
    except OSError:  # the worker will record the error
        return Item(name, (str(path),), kind or _kind(path), 0, "")
    return Item(name, (str(path),), kind or _kind(path), status.st_size, stamp_of(status))


def stamp_of(status: os.stat_result) -> str:
    """Size and modification time of a local file."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def _walk(folder: Path, base: Path) -> Iterator[Item]:
    """Features and videos below a folder, without hidden files and folders and links to folders."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            "input-unreadable",
            f"The folder {folder} cannot be read ({error.strerror or 'unreadable'})",
            required="folders that this user may read",
            next_step="change its mode, or name the other folders",
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


def _of_kind(items: list[Item], kind: str) -> list[Item]:
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
    """One path or address per line; empty lines and lines that begin with # are skipped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "list-unreadable",
            f"The list {path} cannot be read ({error})",
            required="UTF-8 text with one path per line",
            next_step="check it",
        ) from None
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
    """The recordings of a data set: those of its lists, or without lists all features."""
    from ..datasets.recordings import open_recordings

    lists = {} if split is None else {"split": split}
    data = open_recordings(folder, **lists)
    names = list(dict.fromkeys([*data.train, *data.test]))
    if (kind == "video" and data.videos_dir is not None) or data.only_videos:
        videos = data.videos_dir or folder
        if not names:
            yield from _of_kind(list(_walk(videos, videos)), "video")
        for name in names:
            try:
                path = data.video_file(name)
            except InputError:
                path = videos / f"{name}.mp4"
            yield _file(path, path.name, "video")
        return
    if not names:
        for item in _of_kind(list(_walk(data.features_dir, data.features_dir)), "features"):
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
