"""From videos and clicks to a bundle: backbone, features, locator, center scorer, export; resumable at every stage."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from punctum.runtime.backbone.folder import read_backbone
from punctum.runtime.cli.progress import say_stage
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import remove_drafts
from punctum.runtime.text.display import counted

from .augmented import add_copies
from .backbone.config import BackboneConfig
from .backbone.exporter import BackboneExporter
from .backbone.footage import Footage, dataset_footage
from .backbone.train import train_backbone
from .candidates import (
    AS_SHIPPED,
    CANDIDATES,
    CHOICE,
    Source,
    compare_candidates,
    copy_backbone,
    move_chosen,
    name_candidates,
    read_choice,
    warn_of_trained,
    write_shipped_backbone,
)
from .config import TrainConfig
from .data.videos import load_training_set, no_points
from .engine.run_folder import foreign_folder, run_exists, sole_writer
from .engine.trainer import train_run
from .features_dataset import write_features_dataset
from .models.checkpoint import Run, load_run
from .recipes import default_copies
from .records import Record, read_object

if TYPE_CHECKING:
    pass

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
    backbone: Source | Sequence[Source],
    out: Path,
    *,
    exporter: Exporter,
    resume: bool = False,
    fresh: bool = False,
    device: str = "cpu",
    quiet: bool = False,
    name: str = "",
    threads: int | None = None,
    copies: int | None = None,
) -> Record:
    """Train everything from a video data set to `out`/bundle.

    `out` then holds backbone/, data/ (the features, as an ordinary data set), locator/ (an ordinary run) and bundle/.
    With several backbones, there is a run on each, and they are compared by the clicks of held-out videos. The first
    one is used unless another is better with confidence (`confidence.compare`); backbone_choice.json records it.

    Args:
        data: a data set with videos and clicks.
        recipe: of the locator and the center scorer.
        backbone: "shipped" for the weights that ship, the folder of an existing backbone, or a recipe to train the
            shipped weights further by; or several to choose from, none of them a recipe.
        out: the run folder.
        exporter: writes the backbone's graph and the bundle.
        resume: continue an interrupted run at the stage and step where it stopped.
        fresh: discard what the folder holds.
        device: "cpu" or "cuda", for the locator and the center scorer.
        quiet: no progress.
        name: of the bundle; by default that of the data set.
        threads: of torch, see `train_run`.
        copies: augmented copies of each video to train the networks on as well (`training.augmented`); None:
            `recipes.default_copies`.

    Returns:
        A summary of the stages: "backbone", "choice" (with several backbones), "locator", "bundle" (its id), "lost"
        (video -> what its features lack).

    Raises:
        InputError: the folder holds something else, a stage refuses its input, or several backbones cannot be
            compared.
        TrainingInterrupted: after Ctrl-C; the folder can be resumed.
    """
    sources = [backbone] if isinstance(backbone, BackboneConfig | Path | str) else list(backbone)
    candidates = name_candidates(sources)
    _check_candidates(sources, recipe)
    if len(sources) > 1:
        warn_of_trained(sources)
    for source in sources:
        if isinstance(source, Path):
            read_backbone(source)  # before hours of training on the others
    with sole_writer(out):
        resumed = _prepare(out, resume=resume, fresh=fresh)
        footage = dataset_footage(data)
        if not any((footage.points or {}).get(video) for video in footage.videos):
            raise no_points(data.name, len(footage.videos))

        def train(source: Source, folder: Path) -> tuple[Record, Record]:
            """The run on one backbone. Returns the summaries of the backbone and of the networks."""
            return _train_one(
                data, footage, source, recipe, folder, exporter=exporter, resumed=resumed, device=device, quiet=quiet,
                threads=threads, copies=copies,
            )  # fmt: skip

        choice = None
        if len(candidates) > 1:
            choice = read_choice(candidates, out)
            if choice is None:
                digests = []
                for each in candidates:
                    if not quiet:
                        say_stage(f"backbone {each.name}")
                    digests.append(str(train(each.source, out / CANDIDATES / each.name)[0]["digest"]))
                choice = compare_candidates(candidates, digests, out, seed=recipe.seed)
            move_chosen(str(choice["chosen"]), out, (BACKBONE, DATA, LOCATOR))
        elif (out / CHOICE).is_file():
            raise run_compared(out)
        chosen = next(each for each in candidates if choice is None or each.name == choice["chosen"])
        backbone_summary, summary = train(chosen.source, out)
        manifest = out / BUNDLE / "manifest.json"
        if manifest.is_file() and all(stage.get("resumed") for stage in summary["stages"].values()):
            bundle_id = str(read_object(manifest).get("id", ""))
        else:
            bundle_name = re.sub(r"[^A-Za-z0-9._-]+", "-", name or data.name).strip("-._") or "bundle"
            if not quiet:
                say_stage("bundle: graphs are exported, and compared with the networks")
            run = load_run(out / LOCATOR)
            bundle_id = exporter.export_bundle(run, out / BUNDLE, name=bundle_name, backbone=out / BACKBONE)
        parts: Record = {"backbone": backbone_summary, "locator": summary, "bundle": bundle_id}
        return parts | {"lost": lost_media(out / DATA)} | ({} if choice is None else {"choice": choice})


def _train_one(
    data: Dataset,
    footage: Footage,
    source: Source,
    recipe: TrainConfig,
    folder: Path,
    *,
    exporter: Exporter,
    resumed: bool,
    device: str,
    quiet: bool,
    threads: int | None,
    copies: int | None,
) -> tuple[Record, Record]:
    """Backbone, features and networks in one folder."""
    if isinstance(source, BackboneConfig):
        made = train_backbone(
            footage, source, folder / BACKBONE, exporter=exporter, resume=resumed, quiet=quiet, threads=threads
        )
    elif isinstance(source, Path):
        made = copy_backbone(source, folder / BACKBONE)
    else:
        made = write_shipped_backbone(folder / BACKBONE)
    features = make_features(data, footage, folder / BACKBONE, folder / DATA, quiet=quiet)
    started = (folder / LOCATOR / "config.json").is_file()
    training = load_training_set(features, holdout=recipe.holdout, seed=recipe.seed)
    if copies is None:
        clicks = sum(len(sample.clicks) for sample in training.samples)
        hours = sum(len(sample.features) for sample in training.samples) * training.stride_s / 3600
        copies = default_copies(clicks, hours, shipped=source == AS_SHIPPED)
    if copies:
        training = add_copies(training, footage, folder / BACKBONE, folder / DATA, copies=copies, quiet=quiet)
    summary = train_run(training, recipe, folder / LOCATOR, resume=started, device=device, quiet=quiet, threads=threads)
    return made, summary | {"copies": copies}


def _check_candidates(sources: Sequence[Source], recipe: TrainConfig) -> None:
    """Raise InputError if several backbones cannot be compared."""
    if len(sources) < 2:
        return
    if any(isinstance(source, BackboneConfig) for source in sources):
        raise InputError(
            "backbone-compare",
            "A backbone that is trained on the clicks of all videos cannot be compared on held-out videos",
            "`shipped` and folders of backbones",
            "leave the recipe out",
        )
    if not recipe.folds:
        raise InputError(
            "backbone-compare",
            f"The recipe has no folds, so {len(sources)} backbones cannot be compared",
            required="a recipe with calibration",
            next_step="give one backbone, or train with calibration",
        )


def run_compared(out: Path) -> InputError:
    """The error for a run with one backbone in the folder of a run that compared several."""
    return InputError(
        "resume-differs",
        f"{out} holds a run that compared several backbones",
        required="the same backbones",
        next_step="name them again, or start over with `fresh=True`",
    )


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
    from punctum.runtime.cli.progress import track
    from punctum.runtime.datasets.extraction import extract_features

    if not quiet:
        say_stage(f"features: {counted(len(footage.videos), 'video')}")
    opened = VideoBackbone.load(backbone)
    result = extract_features(
        opened,
        list(footage.videos.values()),
        out / "features",
        watch=None if quiet else lambda videos: track(videos, "features"),
    )
    for error in result.errors.values():
        raise error
    return write_features_dataset(footage, opened, out)


def lost_media(data: Path) -> dict[str, str]:
    """Video -> description of frames and times that its features lack, for videos that lack any."""
    from punctum.runtime.datasets.extraction import RECORD, lost_of

    videos = json.loads((data / "features" / RECORD).read_text(encoding="utf-8"))["videos"]
    return {video: lost for video, entry in videos.items() if (lost := lost_of(entry))}


def _prepare(out: Path, *, resume: bool, fresh: bool) -> bool:
    """Make the run folder ready. Returns whether an existing run is resumed."""
    exists = (out / BACKBONE).is_dir() or (out / CANDIDATES).is_dir()
    if exists:
        remove_drafts(out / BUNDLE)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not exists)):
        raise foreign_folder(out)
    if exists and not (resume or fresh):
        raise run_exists(out)
    if exists and fresh:
        parts = (BUNDLE, LOCATOR, DATA, CANDIDATES, CHOICE, BACKBONE)
        # A folder of the user's own may hold a "backbone" folder: nothing of it is deleted.
        if foreign := sorted(path.name for path in out.iterdir() if path.name not in parts):
            raise foreign_folder(out, foreign[0])
        for part in parts:
            shutil.rmtree(out / part, ignore_errors=True)
        (out / CHOICE).unlink(missing_ok=True)
    return exists and resume
