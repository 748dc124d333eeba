"""The files of a video in a data set folder: its features or the video itself, by any spelling of its name."""

from __future__ import annotations

import glob
import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..features.features import load_features
from ..text.name_index import NameIndex
from ..text.numbers import shown

FEATURE_ENDINGS = (".npy", ".npz")
_NO_NAMES = NameIndex((), media=True)
_LONGEST_NAME = 250  # bytes; file systems take 255, and an ending is added


def feature_files(features_dir: Path, video: str) -> tuple[Path, ...]:
    """The feature file of a video, or its RGB and flow files. If there is none, the expected path.

    A .npy file takes precedence over a .npz file. The file name may differ from the name of the video by Unicode
    normalization, surrounding spaces or the extension of a media file.
    """
    plain_name(video)
    bases = (features_dir, features_dir / "train", features_dir / "test")
    for base in bases:
        if file := _one_file(base, video):
            return (file,)
        pair = (_one_file(base / "rgb", video), _one_file(base / "flow", video))
        if any(pair):
            expected = (base / "rgb" / f"{video}.npy", base / "flow" / f"{video}.npy")
            return tuple(path or other for path, other in zip(pair, expected, strict=True))
    return (features_dir / f"{video}.npy",)


def _one_file(folder: Path, video: str) -> Path | None:
    for ending in FEATURE_ENDINGS:
        if (path := folder / f"{video}{ending}").is_file():
            return path
    stems, index = _stems(folder)
    name = index.find(video)
    return None if name is None else folder / stems[name]


def _stems(folder: Path) -> tuple[dict[str, str], NameIndex]:
    """The feature files of a folder (name without extension -> file name), and an index of these names."""
    try:
        return _listed_stems(str(folder), folder.stat().st_mtime_ns)
    except OSError:
        return {}, _NO_NAMES


@lru_cache(maxsize=16)
def _listed_stems(folder: str, _changed: int) -> tuple[dict[str, str], NameIndex]:
    """As `_stems`, cached until the folder changes: it is needed for each video whose name is not exact."""
    found: dict[str, str] = {}
    for ending in reversed(FEATURE_ENDINGS):
        names = (path.name for path in Path(folder).iterdir())
        found |= {name.removesuffix(ending): name for name in names if name.endswith(ending)}
    return found, NameIndex(found, media=True)


def why_missing(features_dir: Path, video: str) -> tuple[str, str]:
    """For a video without features: what exists instead, and what to do."""
    for base in (features_dir, features_dir / "train", features_dir / "test"):
        others = sorted(p.name for p in base.glob(f"{glob.escape(video)}.*")) if base.is_dir() else []
        if others:
            return f"there is {others[0]}", "save an array of shape [T, D] as .npy with numpy.save"
        if alike := _stems(base)[1].alike(video):
            names = " and ".join(f"{name!r}" for name in alike[:2])
            return f"there is {names}", "use the same spelling in the lists and in the folder"
    return "", "check the path"


def plain_name(video: str) -> None:
    """Raise InputError for a name that leads out of its folder, or that no file can have."""
    if not usable_name(video):
        raise InputError(
            "video-id",
            f"The video id {shown(video)} cannot be a file name",
            required="a plain file name",
            next_step="rename the video in the lists",
        )


def usable_name(name: str) -> bool:
    """Whether a file or folder can have this name."""
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        return False
    return Path(name).name == name and name not in ("", ".", "..") and "\0" not in name and length <= _LONGEST_NAME


def check_name(parameter: str, value: str) -> None:
    """Raise InputError for a path below the data set that no file can have."""
    if not value or not all(usable_name(part) or part in (".", "..", "/") for part in Path(value).parts):
        raise InputError(
            "path",
            f"`{parameter}` is {shown(value)}, which is no path",
            required="the name of a file or folder",
            next_step=f"correct `{parameter}`",
        )


def find_video(videos_dir: Path, video: str) -> Path:
    """The file of a video, by its file name or its name without extension.

    Raises:
        InputError: There is no such file, or there are several that differ by their extension.
    """
    plain_name(video)
    from ..video.files import SUFFIXES

    if (videos_dir / video).is_file():
        return videos_dir / video
    try:
        files = [path.name for path in videos_dir.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError:
        files = []
    stems = {name: Path(name).stem for name in files}
    found = [name for name in files if stems[name] == video]
    if not found:
        match = NameIndex(stems.values(), media=True).find(video)
        found = [name for name in files if stems[name] == match]
    if len(found) == 1:
        return videos_dir / found[0]
    if found:
        raise InputError(
            "video-ambiguous",
            f"{videos_dir} contains {' and '.join(sorted(found)[:3])}, so the video {video!r} is ambiguous",
            required="one file of that name",
            next_step="write the complete file name in the lists, or remove one of the files",
        )
    alike = [name for name in files if stems[name].casefold() == video.casefold()]
    raise InputError(
        "video-missing",
        f"{videos_dir} has no video {video!r}" + (f", only {alike[0]!r}" if alike else ""),
        required=f"a file {video} with one of the extensions {', '.join(sorted(SUFFIXES))}",
        next_step="add the file; or delete its clicks, and its line in the lists if there are any",
    )


def header_dim(paths: tuple[Path, ...]) -> int:
    """Feature dimension from the file headers; 0 if it cannot be read."""
    try:
        shapes = [
            load_features(path, stride_s=1.0).data.shape
            if path.suffix == ".npz"
            else np.load(path, mmap_mode="r", allow_pickle=False).shape
            for path in paths
        ]
        return sum(int(shape[1]) for shape in shapes)
    except Exception:  # noqa: BLE001 - NumPy raises various errors for damaged headers
        return 0
