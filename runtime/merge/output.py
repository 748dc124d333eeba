"""The folder of a merged data set: written as a whole or not at all, and replaced only as it was written."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..datasets.background import FILE as BACKGROUND
from ..datasets.background import WITHHELD, write_background
from ..datasets.dataset import Dataset
from ..datasets.groups import FILE as GROUPS
from ..datasets.labeled import RECORD, TRUTH
from ..errors import InputError, PunctumError
from ..files.atomic import atomic_folder, atomic_write, destination, sha256_file, sync_folder
from ..files.outputs import check_folder
from ..labeling.clicks import write_clicks
from ..labeling.lock import WORK, not_labeled
from ..text.display import as_utf8
from .drafts import locked, remove_abandoned
from .folders import refuse_nested
from .merged import Merged

MADE, SCHEMA, VIDEOS = "merged.json", "punctum.merged/1", "videos"
Watch = Callable[[Sequence[str]], Iterable[str]]
_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_output(out: Path, folders: Sequence[Path], *, replace: bool) -> Path:
    """Check where a merged data set goes, before anything is read.

    Args:
        out: The folder to write.
        folders: The folders that are merged.
        replace: Whether an earlier result of this command may be replaced.

    Returns:
        The folder, or its target if it is a symbolic link.

    Raises:
        InputError: It is, contains or lies in an input, or holds something else than an unchanged earlier result.
    """
    place = check_folder(out, folders, whole=True)
    refuse_nested(place, folders)
    target, _ = destination(place)
    if not target.exists() or not any(target.iterdir()):
        return place
    if not replace:
        raise InputError(
            "output-exists",
            f"`out` {out} already exists",
            required="a new or empty folder",
            next_step="choose another `out`, or set `replace` to make it again",
        )
    if why := _changed(target):
        raise InputError(
            "output-exists",
            f"`out` {out} cannot be replaced: {why}",
            required="a folder that this command wrote and nobody has changed",
            next_step="choose another `out`; a changed folder can be an input beside the others",
        )
    return place


def write_merged(
    merged: Merged, out: Path, *, replace: bool = False, copy: bool = False, watch: Watch | None = None
) -> int:
    """Write a merged data set. A process that is killed leaves the old folder or the new one, never a part of it.

    Args:
        merged: The data set.
        out: The folder, as `check_output` returns it.
        replace: Whether an earlier result is replaced.
        copy: Copy all videos; otherwise they are linked where the file system can do that.
        watch: Wraps the list of new names, for a progress bar.

    Returns:
        Number of videos that were copied.

    Raises:
        InputError: `out` may not be replaced.
        PunctumError: A file cannot be read or written.
    """
    target, _ = destination(out)
    with not_labeled(target) if target.is_dir() else contextlib.nullcontext():
        if replace and target.is_dir():
            check_output(out, [source.folder for source in merged.sources], replace=True)
        remove_abandoned(target)
        copies: set[str] = set()

        def linked(path: Path) -> bool:
            return path.parent.name == VIDEOS and path.name not in copies

        with atomic_folder(out, replace=replace, linked=linked) as draft, locked(draft):
            texts = dict(_texts(merged, as_utf8(target.name)))
            (draft / VIDEOS).mkdir()
            names = list(merged.videos)
            for name in names if watch is None else watch(names):
                file = merged.videos[name].file
                if _bring(file, draft / VIDEOS / f"{name}{file.suffix}", copy=copy):
                    copies.add(f"{name}{file.suffix}")
            for table, text in texts.items():
                atomic_write(draft / table, text)
            atomic_write(draft / MADE, _json(_record(merged, texts, draft / VIDEOS)))
            _check(draft, out)
            sync_folder(draft / VIDEOS)
            sync_folder(draft)
    return len(copies)


def _texts(merged: Merged, name: str) -> Iterator[tuple[str, str]]:
    """Name and content of each table."""
    yield "points.csv", write_clicks(merged.clicks)
    if merged.spans:
        yield BACKGROUND, write_background(merged.spans)
    if merged.withheld:
        yield WITHHELD, write_background(merged.withheld)
    yield RECORD, _json(merged.record.to_record())
    if merged.groups:
        yield GROUPS, _table([("video_id", "group"), *merged.groups.items()])
    if merged.classes:
        yield "dataset.json", _json({"name": name, "classes": list(merged.classes)})
    if merged.train is not None:
        yield "train.txt", "".join(f"{video}\n" for video in merged.train)
    if merged.test:
        yield "test.txt", "".join(f"{video}\n" for video in merged.test)
    if merged.truth:
        yield TRUTH, _json({"database": merged.truth})


def _record(merged: Merged, texts: dict[str, str], videos: Path) -> dict[str, Any]:
    """What was merged, and what tells later whether the folder is as it was written."""
    return {
        "schema": SCHEMA,
        "folders": {source.name: as_utf8(os.path.realpath(source.folder)) for source in merged.sources},
        "files": {file: hashlib.sha256(text.encode()).hexdigest() for file, text in texts.items()},
        "videos": {
            f"{name}{video.file.suffix}": {
                "folder": merged.owner[name].name,
                "file": video.file.name,
                "bytes": (videos / f"{name}{video.file.suffix}").stat().st_size,
            }
            for name, video in merged.videos.items()
        },
    }


def _changed(target: Path) -> str:
    """Why a folder is no unchanged result of this command; empty if it is one."""
    try:
        record = json.loads((target / MADE).read_text("utf-8"))
        if record["schema"] != SCHEMA:
            return f"{MADE} has the schema {record['schema']!r}"
        digests = dict(record["files"])
        sizes = {f"{VIDEOS}/{name}": entry["bytes"] for name, entry in record["videos"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "`punctum data merge` did not make it"
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        if name in (MADE, VIDEOS, WORK) or name.startswith(f"{WORK}/"):  # WORK: what can be made again
            continue
        if name in digests:
            if not path.is_file() or sha256_file(path) != digests[name]:
                return f"{as_utf8(name)} was changed after it was written"
        elif not path.is_file() or sizes.get(name) != path.stat().st_size:
            return f"it contains {as_utf8(name)}, which this command did not write"
    return ""


def _check(draft: Path, out: Path) -> None:
    """Read the data set as training does, before it appears. Raises InputError."""
    try:
        data = Dataset.open(draft, need_features=False)
        for read in (data.points, data.background, data.partly):
            read()
    except InputError as error:
        raise error.with_given(error.given.replace(str(draft), str(out))) from None


def _bring(file: Path, target: Path, *, copy: bool) -> bool:
    """Link a video, or copy it where that cannot be done. Returns whether it was copied. Raises PunctumError."""
    source = os.path.realpath(file)
    if not copy:
        # No link: another file system, one without links, or a file of another user.
        with contextlib.suppress(OSError):
            os.link(source, target)
            return False
    try:
        shutil.copyfile(source, target)
        shutil.copystat(source, target)
    except OSError as error:
        if error.errno in _FULL:  # said by `atomic_folder`
            raise
        raise PunctumError(
            "write-failed",
            f"Cannot copy {file} to {target.parent} ({error.strerror or error})",
            required="a video that can be read, and a folder that this user may write to",
            next_step="check the permissions of both",
        ) from None
    return True


def _json(record: Any) -> str:
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
