"""The data set around features that were extracted from videos: clicks, certified background, groups and lists."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from punctum.runtime.datasets.background import FILE as BACKGROUND_FILE
from punctum.runtime.datasets.background import BackgroundRow, write_background
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.datasets.groups import FILE as GROUPS
from punctum.runtime.datasets.labeled import RECORD as LABELING_FILE
from punctum.runtime.datasets.labeled import Labeling
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import as_utf8

from .backbone.footage import Footage

if TYPE_CHECKING:
    from punctum.runtime.backbone.backbone import VideoBackbone


def write_features_dataset(footage: Footage, backbone: VideoBackbone, out: Path) -> Dataset:
    """The files of a data set around features that are in `out` already: clicks, certified background, lists.

    Args:
        footage: its training videos and clicks.
        backbone: the backbone of the features.
        out: folder of the new data set, with features/.
    """
    spec = backbone.spec
    facts = {
        "name": footage.name,
        "classes": list(footage.labels),
        "fps": spec.fps,
        "snippet_frames": spec.snippet_frames,
        "feature_dim": backbone.dim,
    }
    stems = {video: as_utf8(path.stem) for video, path in footage.videos.items()}
    rows = ["class,video_id,time_s"]
    for video, points in (footage.points or {}).items():
        if video in stems:
            rows += [_csv_row(footage.labels[p.label], stems[video], f"{p.time_s:.6f}") for p in points]
    atomic_write(out / "points.csv", "\n".join(rows) + "\n")
    spans = [
        BackgroundRow(0, stems[video], start_s, end_s, "" if label is None else footage.labels[label])
        for video, found in footage.background.items()
        if video in stems
        for start_s, end_s, label in found
    ]
    _write_or_remove(out / BACKGROUND_FILE, write_background(spans) if spans else "")
    partly = {stems[video]: {"punctum train": ""} for video in sorted(footage.partly) if video in stems}
    record = json.dumps(Labeling(partly=partly).to_record(), ensure_ascii=False) + "\n" if partly else ""
    _write_or_remove(out / LABELING_FILE, record)
    groups = [_csv_row(stems[video], group) for video, group in footage.groups.items() if video in stems]
    _write_or_remove(out / GROUPS, "\n".join(["video_id,group", *groups]) + "\n" if groups else "")
    atomic_write(out / "train.txt", "\n".join(stems.values()) + "\n")
    atomic_write(out / "dataset.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return Dataset.open(out)


def _write_or_remove(path: Path, text: str) -> None:
    if text:
        atomic_write(path, text)
    else:
        path.unlink(missing_ok=True)


def _csv_row(*cells: str) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(cells)
    return stream.getvalue()
