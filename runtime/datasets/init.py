"""A dataset.json and a list of training videos for a folder of videos and clicks, to be edited by hand."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from ..errors import InputError
from ..files.atomic import atomic_write
from ..text.display import as_utf8, counted, shown, some
from ..text.name_index import NameIndex
from ..text.names import clean_name
from ..video.files import videos_below
from .class_names import check_class_names
from .labeled import is_plain, labeled_videos, plain_classes, plain_videos, read_labeling, video_folder
from .layouts import find_points
from .splits import listed
from .tables import read_points

_log = logging.getLogger(__name__)


def init_dataset(folder: Path, *, points: str = "points.csv") -> list[Path]:
    """Write dataset.json and train.txt as `Dataset.open` reads the folder without them. Returns the files written.

    A train.txt that exists is kept. Clicks that count frames need a frame rate, which only the user knows: "fps" is
    then in dataset.json with the value 0, which every command refuses until it is corrected.

    Raises:
        InputError: There is a dataset.json, or there are no videos or no clicks of these videos.
    """
    if not folder.is_dir():
        raise InputError(
            "dataset-missing", f"{folder} is not a folder", required="a folder of videos", next_step="check the path"
        )
    if (folder / "dataset.json").exists():
        raise InputError(
            "output-exists",
            f"{folder / 'dataset.json'} already exists",
            required="a folder without one",
            next_step="edit it, or remove it",
        )
    if not is_plain(folder):
        raise InputError(
            "video-folder-empty",
            f"{folder} contains no videos{videos_below(folder)}, or it contains features",
            required="a folder of videos",
            next_step="check the path; for features, write dataset.json by hand (docs/reference/file-formats.md)",
        )
    points_file = find_points(folder, points)
    facts: dict[str, object] = {"name": as_utf8(folder.resolve().name)}
    if points_file.is_file() and any(not row.seconds for row in read_points(points_file)):
        classes = sorted({clean_name(row.label) for row in read_points(points_file)})
        check_class_names(classes, points_file)
        facts |= {"classes": classes, "fps": 0}
    else:
        facts["classes"] = list(plain_classes(folder, points_file))
    if video_folder(folder) != "videos":
        facts["video_folder"] = video_folder(folder)
    written = []
    if not (folder / "train.txt").exists():
        tests = NameIndex(listed(folder, "test.txt", "test"), media=True)
        names = labeled_videos(folder, points_file)[0]
        known = {as_utf8(path.stem) for path in plain_videos(folder)} | set(read_labeling(folder).nothing)
        lines = [name for name in names if name in known and tests.find(name) is None]
        index = NameIndex(lines, media=True)
        if not any(index.find(row.video) for row in read_points(points_file)):
            others = ", ".join(shown(repr(name), 60) for name in names[:3])
            raise InputError(
                "train-list",
                f"No video of {folder} is left for train.txt: {points_file.name} has clicks of "
                + (f"{others}, which {folder} does not have, or test.txt lists" if names else "no video"),
                required="clicks of videos in the folder",
                next_step="correct the column video_id, or add the videos",
            )
        absent = [name for name in names if name not in known and tests.find(name) is None]
        if absent:
            named = ", ".join(shown(repr(name), 60) for name in absent[:3]) + (", ..." if len(absent) > 3 else "")
            videos = [row.video for row in read_points(points_file)]
            clicks = sum(1 for video in videos if (index.find(video) or tests.find(video)) is None)
            _log.warning(
                "%s has %s of videos that are not in %s (%s): they are not used",
                points_file.name,
                counted(clicks, "click"),
                folder,
                named,
            )
        without = [video for video in sorted(known) if index.find(video) is None and tests.find(video) is None]
        if without:
            _log.warning(
                "train.txt leaves out %s without a click (%s): add those in which none of the actions happens; "
                "training learns from them what is no action",
                counted(len(without), "video"),
                some(without, 3),
            )
        atomic_write(folder / "train.txt", "".join(f"{line}\n" for line in lines))
        written.append(folder / "train.txt")
    atomic_write(folder / "dataset.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return [folder / "dataset.json", *written]
