"""A whole run: locator, proposals, center scorer, in a run folder that can be resumed at any step."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from punctum.runtime.bundle.config import PostProcess
from punctum.runtime.diagnosis.held_out import FILE as HELD_OUT
from punctum.runtime.diagnosis.held_out import HeldOut, write_held_out
from punctum.runtime.errors import InputError
from torch import nn

from ..confidence.folds import fold_of_videos
from ..config import OptimConfig, TrainConfig
from ..data.proposals import VideoProposals
from ..data.videos import TrainingSet
from ..models.build import build_center, build_locator
from ..models.center import ProposalHead
from ..models.checkpoint import CALIBRATION, CENTER_WEIGHTS, LOCATOR_WEIGHTS, POST, SUMMARY, seal
from ..models.ensemble import Locator, nets_of, set_trained
from ..models.torch_backend import torch_device
from ..models.weights import load_weights, save_weights
from ..records import Record, read_object, write_json
from .base_proposals import proposals_of
from .calibrate import Calibrator
from .loop import run_stage
from .post import post_of, settings_of
from .provenance import check_same_locator, describe
from .report import Reporter
from .run_folder import STATE, discard_state, prepare, sole_writer
from .selection import BestKeeper
from .stop import StopSignal, TrainingInterrupted
from .suspects import count_suspects
from .task import Task
from .tasks import center_task, locator_task
from .threads import training_threads
from .trial import try_objectives

# Deleted in this order: without its summary a folder does not load.
_FILES = (SUMMARY, LOCATOR_WEIGHTS, CENTER_WEIGHTS, POST, CALIBRATION, HELD_OUT, "log.jsonl")
_COMPARED = ("config", "labels", "provenance")
Proposals = Mapping[str, VideoProposals] | None


def train_run(
    data: TrainingSet,
    config: TrainConfig,
    out: Path,
    *,
    proposals: Path | None = None,
    resume: bool = False,
    fresh: bool = False,
    device: str = "cpu",
    quiet: bool = False,
    threads: int | None = None,
    locator: Path | None = None,
) -> Record:
    """Train a locator and a center scorer into the folder `out`.

    Args:
        data: the training set.
        config: the recipe.
        out: the run folder.
        proposals: result file of another base locator; the center scorer is trained on its proposals.
        resume: continue a run with the same recipe and data.
        fresh: discard what the folder holds.
        device: "cpu" or "cuda".
        quiet: no progress.
        threads: of torch on the CPU; 0: chosen by timing the first steps of each stage; None: as torch is set.
        locator: a finished run with the same seed, data and locator recipe, whose locator is used instead of training
            the same again. Folds of a calibration train their own.

    Returns:
        The content of summary.json.

    Raises:
        InputError: the folder holds something else, a run without `resume` or `fresh`, or a run with another recipe.
        TrainingInterrupted: after Ctrl-C; the folder loads and can be resumed.
    """
    place = torch_device(device)
    external = None if proposals is None else proposals_of(proposals, data, config)
    try_objectives(data, config, place)
    record = describe(data, config, proposals)
    if locator is not None:
        check_same_locator(locator, record)
    with sole_writer(out):
        resumed = prepare(out, record, files=_FILES, compared=_COMPARED, resume=resume, fresh=fresh)
        with StopSignal() as stop, training_threads(threads) as fixed:
            measure = threads is not None and fixed is None
            reporter = Reporter(out / "log.jsonl", quiet=quiet)
            trainer = _Trainer(data, config, out, place, reporter, stop, measure_threads=measure, given=locator)
            if resumed and not trainer.complete:
                (out / SUMMARY).unlink(missing_ok=True)
            return trainer.run(external)


M = TypeVar("M", bound=nn.Module)


class _Trainer:
    """Trains stage by stage.

    The result of a stage stays in state/ until the run is complete, so a resumed run skips finished stages.
    """

    def __init__(
        self,
        data: TrainingSet,
        config: TrainConfig,
        out: Path,
        device: torch.device,
        reporter: Reporter,
        stop: StopSignal,
        *,
        measure_threads: bool = False,
        given: Path | None = None,
    ) -> None:
        self.given = given
        self.data, self.config, self.out = data, config, out
        self.shown = data.with_copies()  # what the center scorer is trained on
        self.measure_threads = measure_threads
        self.device, self.reporter, self.stop = device, reporter, stop
        self.facts: Record = {}
        self.post: PostProcess | None = None  # chosen by the folds
        self.began = time.monotonic()
        self.complete = (out / LOCATOR_WEIGHTS).is_file() and not (out / STATE).is_dir()

    def run(self, proposals: Proposals) -> Record:
        if self.complete:
            return self._already_complete()
        config, count = self.config, self.reporter.stages
        folds = len(set(fold_of_videos(self.data, config.folds, seed=config.seed)) - {-1}) if config.folds else 0
        count.total = (len(config.networks) + (config.center is not None)) * (1 + folds)
        if self.train(proposals) is None:
            return self._interrupted()
        if folds and not any(facts.get("resumed") for facts in self.facts.values()):
            # Each fold trains on all videos but its own: 1 + folds * (folds - 1) / folds times what it took so far.
            count.seconds = (time.monotonic() - self.began) * folds
        if self.config.folds and not self._calibrate(proposals):
            return self._interrupted()
        summary = self._seal("complete")
        discard_state(self.out)
        return summary

    def train(self, proposals: Proposals) -> tuple[Locator, ProposalHead | None] | None:
        """Train both networks. Returns None after a stop request."""
        config, data = self.config, self.data
        dim, classes = data.feature_dim, len(data.labels)
        locator = self._seeded(0, lambda: build_locator(config, dim=dim, classes=classes))
        center = None if config.center is None else self._seeded(1, self._new_center)
        if not self._train_locator(locator):
            return None
        if center is not None and not self._train_center(center, locator, proposals):
            return None
        return locator, center

    def _calibrate(self, proposals: Proposals) -> bool:
        """Train on the videos of all folds but one in turn, and judge the rest. Returns False after a stop request."""
        config = self.config

        def train(data: TrainingSet, folder: Path) -> tuple[Locator, ProposalHead | None] | None:
            (folder / STATE).mkdir(parents=True, exist_ok=True)
            part = _Trainer(
                data,
                config,
                folder,
                self.device,
                self.reporter.within(folder.name),
                self.stop,
                measure_threads=self.measure_threads,
            )
            return part.train(proposals)

        settings = settings_of(config, center=config.center is not None)
        calibrator = Calibrator(self.data, settings, self.out / STATE, folds=config.folds, seed=config.seed)
        if not calibrator.run(train):
            return False
        self.post = calibrator.post
        found = calibrator.calibration()
        self.facts["calibration"] = calibrator.facts
        if found is not None:
            write_json(self.out / CALIBRATION, found.model_dump(mode="json"))
        if calibrator.held_out:
            held_out = HeldOut(self.data.labels, calibrator.held_out, found)
            write_held_out(self.out, held_out)
            self.facts["calibration"]["suspects"] = count_suspects(self.data, held_out)
        return True

    def _new_center(self) -> ProposalHead:
        data = self.data
        center = build_center(self.config, dim=data.feature_dim, classes=len(data.labels), stride_s=data.stride_s)
        if center is None:
            raise RuntimeError("the recipe has no center scorer")
        return center

    def _train_locator(self, locator: Locator) -> bool:
        if self.given is not None:
            load_weights(self.given / LOCATOR_WEIGHTS, locator)
            save_weights(self.out / LOCATOR_WEIGHTS, locator)
            self.facts["locator"] = {"from": str(self.given)}
            self.reporter.stages.done += len(self.config.networks)
            return True
        features = [torch.from_numpy(s.features) for s in self.shown.samples]
        # Networks that see other copies make other errors, which their mean reduces.
        copies = max((len(sample.copies) for sample in self.data.samples), default=0)
        networks = self.config.networks
        for index, (net, recipe) in enumerate(zip(nets_of(locator), networks, strict=True)):
            name = "locator" if index == 0 else f"locator{index + 1}"
            net.normalise.fit(features)
            shown = self.data.with_copies(without=index % copies if copies > 1 and len(networks) > 1 else None)
            make = partial(locator_task, name, net, shown, recipe, seed=self.config.seed)
            finished = self._stage(name, net, make, recipe.optim)
            # A partly trained network is used only if there is no other.
            set_trained(locator, index + 1 if finished or index == 0 else index)
            save_weights(self.out / LOCATOR_WEIGHTS, locator)
            if not finished:
                return False
        return True

    def _train_center(self, center: ProposalHead, locator: Locator, proposals: Proposals) -> bool:
        return self._stage(
            "center",
            center,
            partial(center_task, center, locator, self.shown, self.config, proposals, device=self.device),
            self.config.center_optim,
        )

    def _stage(self, name: str, module: nn.Module, make: Callable[[], Task], optim: OptimConfig) -> bool:
        """Train one stage, or load its result in a resumed run. Returns False after a stop request."""
        result_file, state_file = (self.out / STATE / f"{name}{end}.safetensors" for end in (".done", ""))
        if result_file.is_file():
            load_weights(result_file, module)
            module.eval()
            self.facts[name] = {"resumed": True}
            self.reporter.stages.done += 1
            return True
        task = make()
        task.steps = optim.length(task.steps)
        result = run_stage(
            task,
            optim,
            seed=self.config.seed,
            state_file=state_file,
            save_every=self.config.save_every,
            keeper=BestKeeper(self.config.select, self.config.evaluate_every),
            reporter=self.reporter,
            stop=self.stop,
            measure_threads=self.measure_threads,
        )
        self.reporter.stages.done += 1
        self.facts[name] = {**task.describe, **asdict(result)}
        if name == "center":
            save_weights(self.out / CENTER_WEIGHTS, module)
        if result.finished:
            save_weights(result_file, module)
            state_file.unlink(missing_ok=True)
        return result.finished

    def _seeded(self, stage: int, make: Callable[[], M]) -> M:
        """Initial weights that depend on the seed alone, drawn on the CPU whatever the device."""
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed * 16 + stage)
            module: M = make().to(self.device)
        return module

    def _already_complete(self) -> Record:
        names = ["locator"] + [f"locator{i + 2}" for i in range(len(self.config.partners))]
        names += ["center"] * (self.config.center is not None) + ["calibration"] * (self.config.folds > 0)
        self.facts = {name: {"resumed": True} for name in names}
        known: Record = {}
        with contextlib.suppress(InputError):  # it is made again
            known = read_object(self.out / SUMMARY)
        stages = known.get("stages")
        found = stages.get("calibration") if isinstance(stages, dict) else None
        if self.config.folds and isinstance(found, dict):  # what the folds found is still so
            with contextlib.suppress(UnicodeEncodeError):  # a damaged file may hold what cannot be written again
                json.dumps(found, ensure_ascii=False).encode()
                self.facts["calibration"] = {**found, "resumed": True}
        seconds = known.get("seconds")
        return self._seal("complete", seconds=seconds if isinstance(seconds, int | float) else 0.0)

    def _interrupted(self) -> Record:
        self._seal("interrupted")
        raise TrainingInterrupted(
            "interrupted",
            f"training was stopped; {self.out} holds a usable checkpoint of the steps done so far",
            "",
            "continue with `resume=True`",
        )

    def _seal(self, status: str, *, seconds: float | None = None) -> Record:
        center = self.config.center is not None and (self.out / CENTER_WEIGHTS).is_file()
        if not self.complete:
            post = self.post or post_of(self.config, center=center)
            write_json(self.out / POST, post.model_dump(mode="json"))
        summary = {
            "status": status,
            "seed": self.config.seed,
            "videos": len(self.data.samples),
            "held_out_videos": [s.video for s in self.data.held_out],
            "clicks": sum(len(s.clicks) for s in self.data.samples),
            "select": self.config.select,
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "seconds": time.monotonic() - self.began if seconds is None else seconds,
            "stages": self.facts,
        }
        seal(self.out, summary)
        return summary
