"""From videos and clicks to a bundle: backbone, features, locator and head, export; each stage resumes where it was."""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

from punctum.runtime.datasets.dataset import Dataset, Point
from punctum.runtime.datasets.tables import read_points
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import as_utf8
from punctum.runtime.text.name_index import NameIndex
from punctum.runtime.text.names import clean_name

from .backbone.config import BackboneConfig, load_backbone_config
from .backbone.train import Footage, train_backbone
from .config import TrainConfig
from .data.videos import load_training_set, no_points
from .engine.trainer import train_run
from .models.checkpoint import read_object

BACKBONE, DATA, LOCATOR, BUNDLE = "backbone", "data", "locator", "bundle"


def read_footage(
    folder: Path, *, points: str | None = None, train_list: str = "train.txt", clicked: bool = True
) -> Footage:
    """The videos of a video data set's training list, or of a plain folder, and their clicks.

    points: points file in the data set or anywhere; None: points.csv where there is one. clicked: False leaves the
    clicks out. Raises InputError naming what is missing.
    """
    if (folder / "dataset.json").is_file():
        data = Dataset.open(folder, points=points or "points.csv", train_list=train_list, need_features=False)
        return dataset_footage(data, clicked=clicked and (points is not None or data.points_file.is_file()))
    from punctum.runtime.datasets.extraction import check_names
    from punctum.runtime.video import video_files

    listed = list(video_files(folder))
    check_names(listed)
    files = {path.stem: path for path in listed}
    table = next((p for p in (folder / (points or "points.csv"), Path(points or "points.csv")) if p.is_file()), None)
    if points is not None and table is None:
        raise InputError("points-missing", f"{points} does not exist", "a points file", "check --points")
    if table is None or not clicked or (points is None and table.parent != folder):
        return Footage(as_utf8(folder.name), files)
    return _clicked_folder(folder, files, table)


def dataset_footage(data: Dataset, *, clicked: bool = True) -> Footage:
    """The training videos of a data set. Never asks for its truth or its test list."""
    videos = {video: data.video_file(video) for video in data.train}
    if not videos:
        raise InputError(
            "list-missing", f"data set {data.name} lists no training videos", "a train.txt", "check --train-list"
        )
    return Footage(data.name, videos, data.labels, data.points() if clicked else None)


def _clicked_folder(folder: Path, files: dict[str, Path], table: Path) -> Footage:
    """A plain folder and a table of clicks in seconds; its classes are those that the table names."""
    rows = read_points(table)
    if any(not row.seconds for row in rows):
        raise InputError(
            "points-frames",
            f"{table} gives frame numbers, and {folder} has no dataset.json with the frame rate",
            "a column time_s with seconds, or a dataset.json (name, classes, fps)",
            "add one of the two",
        )
    index = NameIndex(files, media=True)
    if strangers := sorted({row.video for row in rows if index.find(row.video) is None}):
        alike = index.alike(strangers[0])
        raise InputError(
            "video-missing",
            f"{table} names videos that {folder} lacks: {', '.join(strangers[:3])}"
            + (f" (it has {', '.join(alike[:3])})" if alike else ""),
            "file names, with or without their ending",
            "correct the table",
        )
    labels = tuple(sorted({clean_name(row.label) for row in rows}))
    if pair := NameIndex(labels).twice(fold=True):
        raise InputError(
            "label-alike",
            f"{table} names the classes {pair[0]!r} and {pair[1]!r}",
            "one spelling of a class",
            "correct the names, or add a dataset.json that lists the classes",
        )
    clicks: dict[str, set[tuple[float, int]]] = {}
    for row in rows:
        video = index.find(row.video) or row.video
        clicks.setdefault(video, set()).add((row.frame, labels.index(clean_name(row.label))))
    points = {video: [Point(label, time_s) for time_s, label in sorted(found)] for video, found in clicks.items()}
    return Footage(as_utf8(folder.name), files, labels, points)


def backbone_recipe(
    file: Path | None = None,
    *,
    seed: int | None = None,
    minutes: float | None = None,
    epochs: float | None = None,
    size: str | None = None,
) -> BackboneConfig:
    """The recipe file (or the default recipe) with the command line's switches applied. Raises InputError."""
    recipe = BackboneConfig() if file is None else load_backbone_config(file)
    changes: dict[str, Any] = {}
    for name, value in (("seed", seed), ("minutes", minutes), ("epochs", epochs)):
        if value is not None:
            if name != "seed" and not 0 < value < float("inf"):
                raise InputError("option", f"--{name} {value}", "a positive number", f"set --{name}")
            changes[name] = value
    if size is not None:
        found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", size.strip().lower())
        if found is None or not all(16 <= int(n) <= 1024 and int(n) % 8 == 0 for n in found.groups()):
            raise InputError(
                "size",
                f"--size {size!r}",
                "HEIGHTxWIDTH, each a multiple of 8 from 16 to 1024",
                "for example --size 48x64",
            )
        changes |= {"height": int(found[1]), "width": int(found[2])}
    if (minutes is not None or epochs is not None) and recipe.optim.steps is not None:
        changes["optim"] = recipe.optim.model_copy(update={"steps": None})  # which would have the last word
    return recipe.model_copy(update=changes)


def train_videos(
    data: Dataset,
    recipe: TrainConfig,
    backbone: BackboneConfig | Path,
    out: Path,
    *,
    resume: bool = False,
    fresh: bool = False,
    device: str = "cpu",
    quiet: bool = False,
    name: str = "",
    threads: int | None = None,
) -> dict[str, Any]:
    """Everything from a video data set to `out`/bundle. Returns a summary of the stages.

    backbone: recipe of the backbone to learn, or the folder of one that exists. threads: see `train_run`.
    out then holds backbone/, data/ (the features, as an ordinary data set), locator/ (an ordinary run) and bundle/.
    A killed run goes on at the stage, and the step, where it was, with `resume`. Raises InputError as the stages do.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / BACKBONE).is_dir())):
        raise InputError("out-foreign", f"{out} holds other files", "a new folder", "choose another --out")
    held = (out / BACKBONE).is_dir()
    if held and not (resume or fresh):
        raise InputError("run-exists", f"{out} holds a run", "a new folder", "add --resume or --fresh")
    if held and fresh:
        strangers = sorted(path.name for path in out.iterdir() if path.name not in (BUNDLE, LOCATOR, DATA, BACKBONE))
        if strangers:  # somebody's own folder that happens to hold "backbone" and "data", which --fresh would discard
            raise InputError(
                "out-foreign", f"{out} holds {strangers[0]}, which no run makes", "a run folder", "choose another --out"
            )
        for part in (BUNDLE, LOCATOR, DATA, BACKBONE):
            shutil.rmtree(out / part, ignore_errors=True)
    footage = dataset_footage(data)
    if not any((footage.points or {}).get(video) for video in footage.videos):
        raise no_points(data.name, len(footage.videos))
    if isinstance(backbone, Path):
        learned = _adopt(backbone, out / BACKBONE)
    else:
        learned = train_backbone(
            footage, backbone, out / BACKBONE, resume=held and resume, quiet=quiet, threads=threads
        )
    made = make_features(data, footage, out / BACKBONE, out / DATA, quiet=quiet)
    started = (out / LOCATOR / "config.json").is_file()
    training = load_training_set(made, holdout=recipe.holdout, seed=recipe.seed)
    trained = train_run(training, recipe, out / LOCATOR, resume=started, device=device, quiet=quiet, threads=threads)
    manifest = out / BUNDLE / "manifest.json"
    if manifest.is_file() and all(stage.get("resumed") for stage in trained["stages"].values()):
        bundle_id = str(read_object(manifest).get("id", ""))
    else:
        bundle_id = _export(out, name or data.name)
    return {"backbone": learned, "locator": trained, "bundle": bundle_id, "lost": _lost(out / DATA)}


def _lost(data: Path) -> dict[str, str]:
    """Video -> what is missing in its features, in words; only videos of which something is."""
    from punctum.runtime.datasets.extraction import RECORD, lost_of

    videos = json.loads((data / "features" / RECORD).read_text(encoding="utf-8"))["videos"]
    return {video: lost for video, entry in videos.items() if (lost := lost_of(entry))}


def _adopt(source: Path, target: Path) -> dict[str, Any]:
    """A copy of an existing backbone, checked. Raises InputError for a folder that is none, or for another one."""
    from punctum.runtime.backbone.backbone import VideoBackbone

    opened = VideoBackbone.load(source)
    if (target / "backbone.json").is_file() and VideoBackbone.load(target).digest != opened.digest:
        raise InputError(
            "resume-differs", f"{target} is another backbone than {source}", "the same one", "start over with --fresh"
        )
    atomic_write(target / opened.spec.file, (source / opened.spec.file).read_bytes())
    atomic_write(target / "backbone.json", (source / "backbone.json").read_bytes())
    return {"status": "adopted", "source": str(source), "dim": opened.dim, "stride_s": opened.spec.stride_s}


def make_features(data: Dataset, footage: Footage, backbone: Path, out: Path, *, quiet: bool = False) -> Dataset:
    """The features of the training videos as an ordinary data set, by the code that feeds a live run. Resumable."""
    from punctum.runtime.backbone.backbone import VideoBackbone
    from punctum.runtime.cli.progress import track
    from punctum.runtime.datasets.extraction import extract_features

    opened = VideoBackbone.load(backbone)
    spec = opened.spec
    result = extract_features(
        opened,
        list(footage.videos.values()),
        out / "features",
        watch=None if quiet else lambda videos: track(videos, "features"),
    )
    for error in result.errors.values():
        raise error
    facts = {
        "name": data.name,
        "classes": list(data.labels),
        "fps": spec.fps,
        "snippet_frames": spec.snippet_frames,
        "feature_dim": opened.dim,
    }
    rows = ["class,video_id,time_s"]
    for video, points in (footage.points or {}).items():
        if video in footage.videos:
            stem = as_utf8(footage.videos[video].stem)
            rows += [_row(data.labels[p.label], stem, f"{p.time_s:.6f}") for p in points]
    atomic_write(out / "points.csv", "\n".join(rows) + "\n")
    atomic_write(out / "train.txt", "\n".join(as_utf8(path.stem) for path in footage.videos.values()) + "\n")
    atomic_write(out / "dataset.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return Dataset.open(out)


def _row(*cells: str) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(cells)
    return stream.getvalue()


def _export(out: Path, name: str) -> str:
    """The bundle. Exporting is the floor above: found by name, as the command line finds its commands."""
    from .models.checkpoint import load_run

    exporter = importlib.import_module("punctum.export.bundle")
    loaded = importlib.import_module("punctum.export.graphs.backbone").load_exported(str(out / BACKBONE))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "bundle"
    bundle_id, _ = exporter.export_bundle(
        load_run(out / LOCATOR), out / BUNDLE, name=name, backbone=loaded, replace=True
    )
    return str(bundle_id)
