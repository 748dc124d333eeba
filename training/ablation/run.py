"""Trains and judges the rows of an ablation table, in a folder that keeps every finished training."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from punctum.runtime.cli.progress import track
from punctum.runtime.datasets.dataset import Dataset, Truth
from punctum.runtime.evaluation.average_precision import THRESHOLDS, Detections, evaluate, need_actions
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.localizer import Localizer
from punctum.runtime.text.display import counted, duration

from ..config import TrainConfig
from ..data.videos import load_training_set
from ..engine.provenance import describe
from ..engine.run_folder import STATE, is_written_by, prepare, sole_writer
from ..engine.stop import TrainingInterrupted
from ..engine.trainer import train_run
from ..models.checkpoint import SUMMARY, load_run
from ..models.repeated_backend import RepeatedBackend
from ..models.torch_backend import TorchBackend
from ..records import Record, write_json
from .rows import Row, choose_rows
from .table import markdown, table_record

SCHEMA = "punctum.ablation/1"
RESULT, TABLE, SEEDS = "ablation.json", "ablation.md", "seeds"
LOCATOR_S = {"points": 0.17, "lacp": 0.75}
SCORER_S = {"quality": 0.05, "points": 0.1, "published": 0.25}
"""Seconds per click on one core, by objective and by kind of center scorer: a rough estimate for default recipes."""


@dataclass(frozen=True, slots=True)
class Training:
    """One training of the table.

    Attributes:
        name: of the training.
        seed: of the training.
        recipe: with this seed.
        folder: its run folder.
        locator: run folder whose locator it uses; None: it trains its own.
    """

    name: str
    seed: int
    recipe: TrainConfig
    folder: Path
    locator: Path | None

    @property
    def finished(self) -> bool:
        return (self.folder / SUMMARY).is_file() and not (self.folder / STATE).is_dir()


def ablate(
    data: Dataset,
    recipe: TrainConfig,
    out: Path,
    *,
    seeds: int = 3,
    rows: Sequence[str] | None = None,
    epochs: int | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    split: str | None = None,
    command: str = "",
    device: str = "cpu",
    threads: int | None = None,
    fresh: bool = False,
    quiet: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Record:
    """Train and judge every row, and write the table to `out` as Markdown and JSON.

    Args:
        data: data set of features with ground truth of its test videos.
        recipe: the full method. The other rows change one part of it.
        out: folder of the trainings and the tables. A later call uses the trainings that are finished in it.
        seeds: number of seeds, from that of the recipe on.
        rows: the rows wanted besides the full method; None: all.
        epochs: of every stage of every training; None: those of the recipes.
        thresholds: tIoU levels.
        split: for the record.
        command: for the record.
        device: "cpu" or "cuda".
        threads: as in `train_run`.
        fresh: discard what the folder holds.
        quiet: no progress.
        say: takes lines about cost and progress.

    Returns:
        What `ablation.json` holds.

    Raises:
        InputError: there is no ground truth, a row is unknown or has no effect, or the folder holds something else.
        TrainingInterrupted: after Ctrl-C; the next call continues.
    """
    truth = data.truth()
    need_actions(truth)  # before the trainings
    chosen, equal = choose_rows(recipe, rows, epochs)
    training_set = load_training_set(data, holdout=recipe.holdout, seed=recipe.seed)
    record = describe(training_set, recipe, None) | {"schema": SCHEMA, "epochs": epochs}
    compared = ("config", "epochs", "labels", "provenance")
    with sole_writer(out):
        if fresh and is_written_by(out, SCHEMA):
            shutil.rmtree(out / SEEDS, ignore_errors=True)
        prepare(out, record, files=(RESULT, TABLE), compared=compared, resume=True, fresh=fresh)
        planned = _trainings(chosen, out, range(recipe.seed, recipe.seed + seeds))
        clicks = sum(len(s.clicks) for s in (*training_set.samples, *training_set.held_out))
        for name, other in equal.items():
            say(f"row {name} is left out: with this recipe it is row {other}")
        say(_cost(planned, chosen, seeds, clicks))
        values: dict[str, list[dict[str, float]]] = {row.name: [] for row in chosen}
        facts = []
        for number, training in enumerate(planned, 1):
            began, known = time.monotonic(), training.finished
            if not known:
                say(f"training {number} of {len(planned)}: {training.name}, seed {training.seed}")
                _train(training, data, device=device, threads=threads, quiet=quiet)
            own = [row for row in chosen if row.training == training.name]
            for row, found in zip(
                own, _judge(training, own, data, truth, thresholds, device, quiet=quiet), strict=True
            ):
                values[row.name].append(found)
            seconds = None if known else round(time.monotonic() - began, 1)
            facts.append(
                {"training": training.name, "seed": training.seed, "seconds": seconds, "finished_before": known}
            )
        result: Record = {
            "dataset": data.name,
            "split": split,
            "thresholds": list(thresholds),
            "seeds": list(range(recipe.seed, recipe.seed + seeds)),
            "train_videos": len(training_set.samples) + len(training_set.held_out),
            "clicks": clicks,
            "test_videos": len(truth.videos),
            "actions": len(truth.label),
            "rows": table_record(chosen, values),
            "rows_left_out": equal,
            "trainings": facts,
            "command": command,
            "versions": record["provenance"]["versions"],
        }
        write_json(out / RESULT, result)
        atomic_write(out / TABLE, markdown(result, command))
        return result


def _trainings(rows: Sequence[Row], out: Path, seeds: Sequence[int]) -> list[Training]:
    """The trainings that the rows need, in order: one with a locator of its own before those that use it."""
    planned: list[Training] = []
    for seed in seeds:
        found: dict[str, Training] = {}
        for row in rows:
            if row.training in found:
                continue
            source = next((t.folder for t in found.values() if t.recipe.networks == row.recipe.networks), None)
            recipe = row.recipe.model_copy(update={"seed": seed})
            found[row.training] = Training(row.training, seed, recipe, out / SEEDS / str(seed) / row.training, source)
        planned += found.values()
    return planned


def _cost(planned: Sequence[Training], rows: Sequence[Row], seeds: int, clicks: int) -> str:
    """One line about what will be done. The estimate holds for the default recipe."""
    left = [t for t in planned if not t.finished]
    done = len(planned) - len(left)
    locators = sum(t.locator is None for t in left)
    text = f"{counted(len(rows), 'row')}, {counted(seeds, 'seed')}: {counted(len(planned), 'training')}"
    text += f", {done} of them finished before" if done else ""
    if not left:
        return f"{text}; nothing to train"
    seconds = clicks * sum(_seconds_per_click(training) for training in left)
    return f"{text}; {counted(locators, 'locator')} to train; about {duration(seconds)} on one core"


def _seconds_per_click(training: Training) -> float:
    recipe, seconds = training.recipe, 0.0
    if training.locator is None:
        seconds += LOCATOR_S.get(recipe.objective.kind, LOCATOR_S["points"])
    if recipe.center is not None:
        kind = recipe.center.kind if recipe.center.kind == "published" else recipe.center_objective.kind
        seconds += SCORER_S[kind]
    return seconds


def _train(training: Training, data: Dataset, *, device: str, threads: int | None, quiet: bool) -> None:
    recipe = training.recipe
    try:
        train_run(
            load_training_set(data, holdout=recipe.holdout, seed=recipe.seed),
            recipe,
            training.folder,
            resume=True,
            device=device,
            quiet=quiet,
            threads=threads,
            locator=training.locator,
        )
    except TrainingInterrupted as error:
        raise TrainingInterrupted(
            "interrupted",
            f"The ablation was stopped; {training.folder.parents[2]} keeps the trainings so far",
            "",
            "repeat the command to continue",
        ) from error


def _judge(
    training: Training,
    rows: Sequence[Row],
    data: Dataset,
    truth: Truth,
    thresholds: Sequence[float],
    device: str,
    *,
    quiet: bool,
) -> list[dict[str, float]]:
    """mAP of each row on the test videos, by tIoU."""
    run = load_run(training.folder)
    backend = RepeatedBackend(TorchBackend(run.locator, run.center, device=device))
    localizers = [
        Localizer.from_parts(
            backend,
            labels=run.labels,
            dim=run.feature_spec.dim,
            stride_s=run.feature_spec.stride_s,
            post=row.post,
            receptive_field=run.receptive_field,
        )
        for row in rows
    ]
    events: list[dict[str, list]] = [{} for _ in rows]  # type: ignore[type-arg]
    for video in truth.videos if quiet else track(truth.videos, "evaluating"):
        features = data.features(video)
        backend.forget()
        for found, localizer in zip(events, localizers, strict=True):
            found[video] = localizer.localize(features, stream=video)
    return [evaluate(truth, Detections.from_events(found, truth), thresholds).to_record()["map"] for found in events]
