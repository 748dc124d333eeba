"""From videos and clicks to a bundle: backbone, features, locator, center scorer, export; resumable at every stage."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Protocol

from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write, remove_drafts
from punctum.runtime.text.display import as_utf8, counted

from .backbone.config import BackboneConfig
from .backbone.exporter import BackboneExporter
from .backbone.footage import Footage, dataset_footage
from .backbone.train import train_backbone
from .config import TrainConfig
from .data.videos import load_training_set, no_points
from .engine.run_folder import foreign_folder, run_exists
from .engine.trainer import train_run
from .models.checkpoint import Run, load_run
from .records import Record, read_object

BACKBONE, DATA, LOCATOR, BUNDLE = "backbone", "data", "locator", "bundle"
"""Folders of a run on videos."""


class Exporter(BackboneExporter, Protocol):
    """What training on videos needs of the exporter, which is passed in: exporting lies above training."""

    def export_bundle(self, run: Run, out: Path, *, name: str, backbone: Path) -> str:
        """Write the bundle of a run and a backbone folder to `out`, replacing an earlier one; returns the bundle id."""
        ...


def train_on_videos(
    data: Dataset,
    recipe: TrainConfig,
    backbone: BackboneConfig | Path,
    out: Path,
    *,
    exporter: Exporter,
    resume: bool = False,
    fresh: bool = False,
    device: str = "cpu",
    quiet: bool = False,
    name: str = "",
    threads: int | None = None,
) -> Record:
    """Train everything from a video data set to `out`/bundle.

    `out` then holds backbone/, data/ (the features, as an ordinary data set), locator/ (an ordinary run) and bundle/.

    Args:
        data: a data set with videos and clicks.
        recipe: of the locator and the center scorer.
        backbone: recipe of the backbone to train, or the folder of an existing one.
        out: the run folder.
        exporter: writes the backbone's graph and the bundle.
        resume: continue an interrupted run at the stage and step where it stopped.
        fresh: discard what the folder holds.
        device: "cpu" or "cuda", for the locator and the center scorer.
        quiet: no progress.
        name: of the bundle; by default that of the data set.
        threads: of torch, see `train_run`.

    Returns:
        A summary of the stages: "backbone", "locator", "bundle" (its id), "lost" (video -> what its features lack).

    Raises:
        InputError: the folder holds something else, or a stage refuses its input.
        TrainingInterrupted: after Ctrl-C; the folder can be resumed.
    """
    resumed = _prepare(out, resume=resume, fresh=fresh)
    footage = dataset_footage(data)
    if not any((footage.points or {}).get(video) for video in footage.videos):
        raise no_points(data.name, len(footage.videos))
    if isinstance(backbone, Path):
        backbone_summary = _copy_backbone(backbone, out / BACKBONE)
    else:
        backbone_summary = train_backbone(
            footage, backbone, out / BACKBONE, exporter=exporter, resume=resumed, quiet=quiet, threads=threads
        )
    features = make_features(data, footage, out / BACKBONE, out / DATA, quiet=quiet)
    started = (out / LOCATOR / "config.json").is_file()
    training = load_training_set(features, holdout=recipe.holdout, seed=recipe.seed)
    summary = train_run(training, recipe, out / LOCATOR, resume=started, device=device, quiet=quiet, threads=threads)
    manifest = out / BUNDLE / "manifest.json"
    if manifest.is_file() and all(stage.get("resumed") for stage in summary["stages"].values()):
        bundle_id = str(read_object(manifest).get("id", ""))
    else:
        bundle_name = re.sub(r"[^A-Za-z0-9._-]+", "-", name or data.name).strip("-._") or "bundle"
        run = load_run(out / LOCATOR)
        bundle_id = exporter.export_bundle(run, out / BUNDLE, name=bundle_name, backbone=out / BACKBONE)
    return {"backbone": backbone_summary, "locator": summary, "bundle": bundle_id, "lost": lost_media(out / DATA)}


def make_features(data: Dataset, footage: Footage, backbone: Path, out: Path, *, quiet: bool = False) -> Dataset:
    """The features of the training videos as an ordinary data set in `out`, extracted as in a live run. Resumable.

    Args:
        data: the data set of the videos.
        footage: its training videos and clicks.
        backbone: the backbone folder.
        out: folder of the new data set.
        quiet: no progress.
    """
    from punctum.runtime.backbone.backbone import VideoBackbone
    from punctum.runtime.cli.progress import say_stage, track
    from punctum.runtime.datasets.extraction import extract_features

    if not quiet:
        say_stage(f"features: {counted(len(footage.videos), 'video')}")
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
            rows += [_csv_row(data.labels[p.label], stem, f"{p.time_s:.6f}") for p in points]
    atomic_write(out / "points.csv", "\n".join(rows) + "\n")
    atomic_write(out / "train.txt", "\n".join(as_utf8(path.stem) for path in footage.videos.values()) + "\n")
    atomic_write(out / "dataset.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return Dataset.open(out)


def lost_media(data: Path) -> dict[str, str]:
    """Video -> description of frames and times that its features lack, for videos that lack any."""
    from punctum.runtime.datasets.extraction import RECORD, lost_of

    videos = json.loads((data / "features" / RECORD).read_text(encoding="utf-8"))["videos"]
    return {video: lost for video, entry in videos.items() if (lost := lost_of(entry))}


def _prepare(out: Path, *, resume: bool, fresh: bool) -> bool:
    """Make the run folder ready. Returns whether an existing run is resumed."""
    if out.is_dir() and (out / BACKBONE).is_dir():
        remove_drafts(out / BUNDLE)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / BACKBONE).is_dir())):
        raise foreign_folder(out)
    exists = (out / BACKBONE).is_dir()
    if exists and not (resume or fresh):
        raise run_exists(out)
    if exists and fresh:
        parts = (BUNDLE, LOCATOR, DATA, BACKBONE)
        # A folder of the user's own may hold a "backbone" folder: nothing of it is deleted.
        if foreign := sorted(path.name for path in out.iterdir() if path.name not in parts):
            raise foreign_folder(out, foreign[0])
        for part in parts:
            shutil.rmtree(out / part, ignore_errors=True)
    return exists and resume


def _copy_backbone(source: Path, target: Path) -> Record:
    """Copy an existing backbone into the run. Raises InputError if it is not one, or not that of the run."""
    from punctum.runtime.backbone.backbone import VideoBackbone

    opened = VideoBackbone.load(source)
    if (target / "backbone.json").is_file() and VideoBackbone.load(target).digest != opened.digest:
        raise InputError(
            "resume-differs",
            f"The run was started with {target}, and {source} is another backbone",
            required="the same backbone",
            next_step="start over with `fresh=True`",
        )
    atomic_write(target / opened.spec.file, (source / opened.spec.file).read_bytes())
    atomic_write(target / "backbone.json", (source / "backbone.json").read_bytes())
    return {"status": "adopted", "source": str(source), "dim": opened.dim, "stride_s": opened.spec.stride_s}


def _csv_row(*cells: str) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(cells)
    return stream.getvalue()
