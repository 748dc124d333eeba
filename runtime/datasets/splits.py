"""Splits of a data set: the folder of a split, and its lists of videos."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..text.name_index import NameIndex
from .layouts import first_of
from .tables import read_list


def split_folder(folder: Path, split: str | None, need_features: bool) -> Path:
    """The folder of the lists and features. Raises InputError if it, or features that are needed, are missing."""
    base = folder / split if split else folder
    splits = sorted({path.parent.name for path in folder.glob("*/features") if path.is_dir()})
    if not base.is_dir():
        raise InputError(
            "split-missing", f"{base} is not a folder", ", ".join(splits) or "no splits in this folder", "check `split`"
        )
    if (base / "features").is_dir():
        return base
    if splits and not split:
        raise InputError(
            "split-needed", f"{folder} has splits, and `split` is not set", ", ".join(splits), "set `split`"
        )
    if not need_features:
        return base
    if (base / "videos").is_dir():
        raise InputError(
            "features-missing",
            f"{base} contains videos and no features",
            required="features/<video>.npy",
            next_step="train on the videos with `punctum train`, or extract features with `punctum features`",
        )
    raise InputError(
        "features-missing",
        f"{base} has no features folder",
        required="features/<video>.npy",
        next_step="check the path",
    )


def check_distinct(base: Path, name: str, videos: tuple[str, ...]) -> None:
    """Raise InputError for two spellings of one name in a list, because the video would be used twice."""
    if pair := NameIndex(videos, media=True).twice():
        places = (("videos", ""), ("features", ".npy"))
        if any(all((base / place / f"{v}{ending}").is_file() for v in pair) for place, ending in places):
            return
        raise InputError(
            "list-duplicate",
            f"{base / name} lists {pair[0]!r} and {pair[1]!r}, which are the same video",
            required="every video once",
            next_step="remove one of the two lines",
        )


def listed(base: Path, name: str, subset: str) -> list[str]:
    """Videos of a list. Only a list with the default name may be missing."""
    path = base / name
    if name == f"{subset}.txt":
        path = first_of(path, base / f"split_{subset}.txt")
        if not path.exists():
            return []
    elif not path.is_file():
        lists = ", ".join(sorted(p.name for p in base.glob("*.txt")))
        raise InputError(
            "list-missing", f"{path} does not exist", lists or "no lists in this folder", f"check `{subset}_list`"
        )
    return list(dict.fromkeys(read_list(path)))
