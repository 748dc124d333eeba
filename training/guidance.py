"""A round of training for `punctum label`: a small run on the clicks so far, and the events that it finds everywhere.

The features are those of the shipped backbone, which is not trained further, and are kept from round to round. Labeled
videos are held out once, fold by fold, so that their events come from networks that have not seen their labels. All
files lie in the learning folder; the labels are only read.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.folder import read_shipped, write_backbone
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.datasets.extraction import extract_features
from punctum.runtime.datasets.groups import read_groups
from punctum.runtime.datasets.labeled import is_plain, plain_videos, read_labeling
from punctum.runtime.diagnosis.held_out import FILE as HELD_OUT
from punctum.runtime.diagnosis.held_out import read_held_out
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.events.event import Event
from punctum.runtime.features.features import load_features
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.labeling.round_result import FILE, RoundEvent, RoundResult, RoundVideo, read_round
from punctum.runtime.localizer import Localizer
from punctum.runtime.text.display import as_utf8, counted

from .arrays import F32
from .backbone.footage import Footage
from .config import OptimConfig, PointsObjective, TrainConfig
from .data.videos import load_training_set
from .engine.trainer import train_run
from .features_dataset import write_features_dataset
from .models.checkpoint import Run, load_run
from .models.torch_backend import localizer_of
from .recipes import MANY_CLICKS, for_videos
from .records import Record, read_object, write_json

Send = Callable[[Record], None]
"""Takes a message about the progress."""

DATA, FEATURES, BACKBONE = "data", "data/features", "backbone"
"""Folders in the learning folder. The features belong to an ordinary data set, whose other files are written anew."""
LOCATOR_STEPS, CENTER_STEPS, BATCH = 60, 120, 8
OTHERS_S = 120.0
"""Time for the features of unlabeled videos in one round; the next round goes on."""
MOST_EVENTS = 300
"""Events of a video that are kept, the best ones."""
LEAST_SCORE = 0.02
_RUN = re.compile(r"run-[0-9a-f]{16}")


def guided_recipe(clicks: int, *, locator_steps: int = LOCATOR_STEPS, center_steps: int = CENTER_STEPS) -> TrainConfig:
    """The recipe of a round: one network, and few steps, whatever the length of the videos.

    Args:
        clicks: in the labeled videos.
        locator_steps: of the locator.
        center_steps: of the center scorer.
    """
    recipe = for_videos(MANY_CLICKS)
    objective = recipe.objective
    if isinstance(objective, PointsObjective):
        objective = objective.model_copy(update={"batch": BATCH})

    def shortened(optim: OptimConfig, steps: int) -> OptimConfig:
        return optim.model_copy(update={"steps": steps})

    folds = 3 if clicks < 400 else 2
    return recipe.model_copy(
        update={
            "objective": objective,
            "locator_optim": shortened(recipe.locator_optim, locator_steps),
            "partners": (),
            "center_optim": shortened(recipe.center_optim, center_steps),
            "folds": folds,
        }
    )


def run_round(
    folder: Path,
    work: Path,
    *,
    state: str,
    points: str = "points.csv",
    send: Send = lambda message: None,
    locator_steps: int = LOCATOR_STEPS,
    center_steps: int = CENTER_STEPS,
    others_s: float = OTHERS_S,
) -> RoundResult:
    """Train on the labels of a folder, and write the events on all of its videos to result.json.

    Args:
        folder: What `punctum label` works on.
        work: The learning folder.
        state: Digest of the labels, by which the result is known.
        points: Name of the points file.
        send: Takes messages: {"stage", "done", "total"}, {"problem"}, and {"result": True} when there is one.
        locator_steps: of the locator.
        center_steps: of the center scorer.
        others_s: Time for the features of unlabeled videos.

    Raises:
        PunctumError: The labels or videos cannot be used.
    """
    began = time.monotonic()
    _check_place(work)
    work.mkdir(parents=True, exist_ok=True)
    data = Dataset.open(folder, points=points, need_features=False)
    footage, others = _footage(data)
    spec, graph = read_shipped()
    backbone = VideoBackbone.from_graph(graph, spec, name="motion")
    store = FeatureStore(backbone, work / FEATURES)
    store.extract(footage.videos.values(), send, "features")
    seconds = {"features": time.monotonic() - began}
    footage = replace(footage, videos={name: path for name, path in footage.videos.items() if store.has(path)})
    _check_clicks(data, footage)
    training = load_training_set(write_features_dataset(footage, backbone, work / DATA))
    clicks = sum(len(sample.clicks) for sample in training.samples)
    recipe = guided_recipe(clicks, locator_steps=locator_steps, center_steps=center_steps)
    out = work / f"run-{state[:16]}"
    if out.is_symlink():
        out.unlink()
    at = time.monotonic()
    with _Steps(out / "log.jsonl", (recipe.folds + 1) * (locator_steps + center_steps), send):
        train_run(training, recipe, out, fresh=True, quiet=True, threads=1)
    seconds["training"] = time.monotonic() - at
    previous = read_round(work)
    number = 1 if previous is None else previous.round + 1
    run = load_run(out)
    localizer = localizer_of(run)
    videos = held_out_videos(out)

    def score(path: Path) -> None:
        name = as_utf8(path.stem)
        rows = load_features(work / FEATURES / f"{name}.npy", stride_s=run.feature_spec.stride_s)
        videos[name] = scored_video(localizer, rows.data, name)

    def found() -> RoundResult:
        return RoundResult(state, number, out.name, run.labels, clicks, default_minimum(run), seconds, videos)

    for path in (*footage.videos.values(), *(path for path in others if store.has(path))):
        if as_utf8(path.stem) not in videos:
            score(path)
    _write(work, found(), send)
    at = time.monotonic()
    waiting = [path for path in others if not store.has(path)]
    for path in store.extract(waiting, send, "other videos", within_s=others_s):
        score(path)
    if waiting:
        seconds["others"] = time.monotonic() - at
    final = found()
    _write(work, final, send)
    write_backbone(work / BACKBONE, spec, graph)
    for old in work.glob("run-*"):
        own = _RUN.fullmatch(old.name) is not None and not old.is_symlink()
        if own and old != out and (previous is None or old.name != previous.run):
            shutil.rmtree(old, ignore_errors=True)
    return final


def _check_place(work: Path) -> None:
    """Raise InputError for a learning folder that is elsewhere: old runs are removed, and only those of this folder."""
    if work.is_symlink():
        raise InputError(
            "label-learning",
            f"{work} is a symbolic link",
            required="a folder, whose old runs are removed",
            next_step="remove the link: the folder is made again",
        )


def _check_clicks(data: Dataset, footage: Footage) -> None:
    """Raise InputError if no video that can be read has a click. Which cannot, has been said of each."""
    points = footage.points or {}
    if any(points.get(video) for video in footage.videos):
        return
    clicked = sum(1 for video in data.train if points.get(video))
    raise InputError(
        "label-unreadable",
        f"None of the {counted(clicked, 'video')} with clicks in {data.folder} can be read",
        required="a video with a click that can be decoded",
        next_step="record or copy the videos again, or label others",
    )


def held_out_videos(out: Path) -> dict[str, RoundVideo]:
    """The events on the videos of a run by networks that have not seen them; none if the run has no folds."""
    if not (out / HELD_OUT).is_file():
        return {}
    held_out = read_held_out(out)
    return {
        video: RoundVideo(held_out.videos[video].duration_s, True, _best(events))
        for video, events in held_out.events().items()
    }


def scored_video(localizer: Localizer, rows: F32, name: str) -> RoundVideo:
    """The events on a video that is not labeled, from its features."""
    return RoundVideo(len(rows) * localizer.plan.stride_s, False, _best(localizer.localize(rows, stream=name)))


def default_minimum(run: Run) -> float:
    """The lowest default minimum score of the classes; 0.5 without calibration."""
    return 0.5 if run.calibration is None else min(each.min_score for each in run.calibration.classes)


def _footage(data: Dataset) -> tuple[Footage, list[Path]]:
    """The labeled training videos with their labels, and the other videos that may be asked about."""
    points, background, partly = data.points(), data.background(), data.partly()
    marks = read_labeling(data.folder)
    known = points.keys() | background.keys() | marks.nothing.keys()
    files = {video: data.video_file(video) for video in data.train}
    labeled = {video: path for video, path in files.items() if video in known}
    others = [path for video, path in files.items() if video not in known]
    if is_plain(data.folder):
        listed = {path.name for path in files.values()} | {data.video_file(video).name for video in data.test}
        others += [path for path in plain_videos(data.folder) if path.name not in listed]
    groups = read_groups(data.folder, data.train)
    return Footage(data.name, labeled, data.labels, points, background, partly, groups), others


class FeatureStore:
    """Features of videos, kept until a video or the backbone changes. Files are compared by size and time alone, since
    reading all videos again would take longer than a round."""

    def __init__(self, backbone: VideoBackbone, folder: Path) -> None:
        self._backbone, self._folder = backbone, folder
        self._index = folder / "seen.json"
        try:
            record = read_object(self._index)
        except PunctumError:
            record = {}
        self._seen: dict[str, list[int]] = {}
        if record.get("backbone") == backbone.digest and isinstance(record.get("videos"), dict):
            self._seen = record["videos"]

    def has(self, path: Path) -> bool:
        """Whether the features of a video are up to date."""
        name = as_utf8(path.stem)
        return (self._folder / f"{name}.npy").is_file() and self._seen.get(name) == _facts(path)

    def extract(self, paths: Iterable[Path], send: Send, stage: str, *, within_s: float | None = None) -> list[Path]:
        """Extract what is not up to date. Returns the videos that were extracted; one that cannot be read is left out.

        Args:
            paths: The videos.
            send: Takes messages.
            stage: What messages call this.
            within_s: No further video is begun after this time.
        """
        todo = [path for path in paths if not self.has(path)]
        began, done = time.monotonic(), []
        for number, path in enumerate(todo):
            send({"stage": stage, "done": number, "total": len(todo)})
            if within_s is not None and time.monotonic() - began > within_s:
                break
            result = extract_features(self._backbone, [path], self._folder)
            if error := next(iter(result.errors.values()), None):
                send({"problem": f"{path.name} is left out: {error.given}"})
                continue
            self._seen[as_utf8(path.stem)] = _facts(path)
            write_json(self._index, {"backbone": self._backbone.digest, "videos": self._seen})
            done.append(path)
        return done


def _facts(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _best(events: Iterable[Event]) -> tuple[RoundEvent, ...]:
    rows = sorted(events, key=lambda e: -e.score)[:MOST_EVENTS]
    return tuple(
        RoundEvent(e.label, e.start, e.end, min(max(e.score, 0.0), 1.0)) for e in rows if e.score >= LEAST_SCORE
    )


def _write(work: Path, found: RoundResult, send: Send) -> None:
    text = json.dumps(found.to_record(), ensure_ascii=False, separators=(",", ":"))
    atomic_write(work / FILE, text + "\n")
    send({"result": True})


class _Steps:
    """Says how many steps of a run are done, by the length of its log."""

    def __init__(self, log: Path, total: int, send: Send) -> None:
        self._log, self._total, self._send = log, total, send
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._send({"stage": "training", "done": 0, "total": self._total})
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            try:
                done = self._log.read_bytes().count(b"\n")
            except OSError:
                continue
            self._send({"stage": "training", "done": min(done, self._total), "total": self._total})
