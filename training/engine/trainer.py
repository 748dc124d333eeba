"""A whole run: locator, then proposals, then head, into a run folder that can be resumed at any point."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from punctum.runtime.bundle.config import PostProcess
from punctum.runtime.errors import InputError
from punctum.runtime.session.post import propose
from torch import nn

from ..config import LacpObjective, NetworkRecipe, OptimConfig, QualityObjective, TrainConfig
from ..data.labels import F32
from ..data.proposals import VideoProposals, clean, read_proposals
from ..data.videos import Sample, TrainingSet
from ..models import checkpoint as ck
from ..models.center import CenterHead, ProposalHead, build_head
from ..models.ensemble import Locator, nets_of, vote
from ..models.locator import LocatorNet
from ..models.torch_backend import torch_device
from ..objectives.center_task import CenterTask, CenterVideo
from ..objectives.points import PointsTask
from ..objectives.quality_task import QualityTask
from .loop import Task, run_stage
from .report import Reporter
from .run_folder import describe, prepare
from .selection import BestKeeper
from .stop import StopSignal, TrainingInterrupted
from .threads import training_threads


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
) -> dict[str, Any]:
    """Train into the folder `out` and return the summary.

    proposals: result file of another base locator to train the head on. resume continues a run with the same
    recipe and data, fresh discards what is there. threads: of torch on the CPU; 0: what the first steps of each stage
    favour; None: as torch is set. Raises InputError for an existing folder with neither, or a
    different recipe; TrainingInterrupted (exit code 130) after Ctrl-C, with a folder that loads.
    """
    place = torch_device(device)
    if proposals is not None and not proposals.is_file():
        raise InputError("file-missing", f"{proposals} does not exist", "an ActivityNet-form file", "check --proposals")
    prepare(out, describe(data, config, proposals), resume=resume, fresh=fresh)
    with StopSignal() as stop, training_threads(threads) as fixed:
        measure = threads is not None and fixed is None
        reporter = Reporter(out / "log.jsonl", quiet=quiet)
        return _Trainer(data, config, out, place, reporter, stop, measure_threads=measure).run(proposals)


M = TypeVar("M", bound=nn.Module)


class _Trainer:
    """Stage by stage. What a stage made waits in state/ until the run is sealed, so each can be skipped on resume."""

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
    ) -> None:
        self.data, self.config, self.out = data, config, out
        self.measure_threads = measure_threads
        self.device, self.reporter, self.stop = device, reporter, stop
        self.facts: dict[str, Any] = {}
        self.began = time.monotonic()
        self.done_before = (out / "locator.safetensors").is_file() and not (out / "state").is_dir()

    def run(self, proposals: Path | None) -> dict[str, Any]:
        config, data = self.config, self.data
        dim, classes = data.feature_dim, len(data.labels)
        locator = self._seeded(0, lambda: ck.build_locator(config, dim=dim, classes=classes))
        head: ProposalHead | None = None
        if config.center is not None:
            center, limit = config.center, ck.max_context(config, data.stride_s)
            head = self._seeded(1, lambda: build_head(center, dim=dim, classes=classes, max_context=limit))
        if self.done_before:
            return self._already(head)
        if not self._train_locator(locator):
            return self._interrupted()
        if head is not None:
            made = head
            if not self._stage(
                "center", head, lambda: self._center_task(made, locator, proposals), config.center_optim
            ):
                return self._interrupted()
        summary = self._seal("complete")
        shutil.rmtree(self.out / "state", ignore_errors=True)
        return summary

    def _train_locator(self, locator: Locator) -> bool:
        features = [torch.from_numpy(s.features) for s in self.data.samples]
        for index, (net, recipe) in enumerate(zip(nets_of(locator), self.config.networks, strict=True)):
            name = "locator" if index == 0 else f"locator{index + 1}"
            net.normalise.fit(features)
            finished = self._stage(name, net, self._task_maker(name, net, recipe), recipe.optim)
            # A network that was stopped half way counts only where there is no other.
            vote(locator, index + 1 if finished or index == 0 else index)
            ck.save_weights(self.out / "locator.safetensors", locator)
            if not finished:
                return False
        return True

    def _task_maker(self, name: str, net: LocatorNet, recipe: NetworkRecipe) -> Callable[[], Task]:
        objective, epochs, seed = recipe.objective, recipe.optim.epochs, self.config.seed

        def make() -> Task:
            task: Task
            if isinstance(objective, LacpObjective):
                from ..objectives.lacp_task import LacpTask

                task = LacpTask(net, self.data, objective, epochs=epochs, seed=seed)
            else:
                task = PointsTask(net, self.data, objective, epochs=epochs, seed=seed)
            task.name = name
            return task

        return make

    def _center_task(self, head: ProposalHead, locator: Locator, proposals: Path | None) -> Task:
        data, config = self.data, self.config
        samples = (*data.samples, *data.held_out)
        given = None
        if proposals is not None:
            given = read_proposals(proposals, samples, data.labels, stride_s=data.stride_s)
        made = [self._video(locator, sample, given) for sample in samples]
        own, aside = made[: len(data.samples)], made[len(data.samples) :]
        rule, epochs, seed = config.center_objective, config.center_optim.epochs, config.seed
        task: Task
        if isinstance(rule, QualityObjective) and isinstance(head, CenterHead):
            task = QualityTask(head, own, aside, rule, epochs=epochs, seed=seed, given=proposals is not None)
        elif not isinstance(rule, QualityObjective):
            task = CenterTask(head, own, aside, rule, epochs=epochs, seed=seed)
        return task

    def _stage(self, name: str, module: nn.Module, make: Callable[[], Task], optim: OptimConfig) -> bool:
        """Train one stage or, in a resumed run, load what it made. False after a stop request."""
        weights, state = self.out / "state" / f"{name}.done.safetensors", self.out / "state" / f"{name}.safetensors"
        if weights.is_file():
            ck.load_weights(weights, module)
            module.eval()
            self.facts[name] = {"resumed": True}
            return True
        task = make()
        if optim.steps is not None:
            task.steps = optim.steps
        result = run_stage(
            task,
            optim,
            seed=self.config.seed,
            state_file=state,
            save_every=self.config.save_every,
            keeper=BestKeeper(self.config.select, self.config.evaluate_every),
            reporter=self.reporter,
            stop=self.stop,
            measure_threads=self.measure_threads,
        )
        self.facts[name] = {**task.describe, **asdict(result)}
        if name == "center":
            ck.save_weights(self.out / "center.safetensors", module)
        if result.finished:
            ck.save_weights(weights, module)
            state.unlink(missing_ok=True)
        return result.finished

    def _video(self, locator: Locator, sample: Sample, given: dict[str, VideoProposals] | None) -> CenterVideo:
        with torch.no_grad():
            p, a = (x.cpu().numpy() for x in locator.eval()(torch.from_numpy(sample.features).to(self.device)))
        tracks: F32 = np.concatenate([p, a[:, None]], axis=1)
        if given is not None:
            empty = VideoProposals(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
            return CenterVideo(sample, tracks, given.get(sample.video, empty))
        found = propose(p, a, self.config.post, stride_s=self.data.stride_s)
        kept, _ = clean(found.segments, found.label, found.contrast, snippets=len(sample.features))
        return CenterVideo(sample, tracks, kept)

    def _seeded(self, stage: int, make: Callable[[], M]) -> M:
        """Initial weights that depend on the seed alone, drawn on the CPU whatever the device."""
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed * 16 + stage)
            module: M = make().to(self.device)
        return module

    def _already(self, head: ProposalHead | None) -> dict[str, Any]:
        names = ["locator"] + [f"locator{i + 2}" for i in range(len(self.config.partners))]
        self.facts = {name: {"resumed": True} for name in (names if head is None else [*names, "center"])}
        return self._seal("complete")

    def _interrupted(self) -> dict[str, Any]:
        self._seal("interrupted")
        raise TrainingInterrupted(
            "interrupted",
            f"training was stopped; {self.out} holds a usable checkpoint of the steps done",
            "",
            "continue with the same command and --resume",
        )

    def _seal(self, status: str) -> dict[str, Any]:
        center = self.config.center is not None and (self.out / "center.safetensors").is_file()
        ck.write_json(self.out / "post.json", _post(self.config, center=center).model_dump(mode="json"))
        summary = {
            "status": status,
            "seed": self.config.seed,
            "videos": len(self.data.samples),
            "held_out_videos": [s.video for s in self.data.held_out],
            "clicks": sum(len(s.clicks) for s in self.data.samples),
            "select": self.config.select,
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "seconds": time.monotonic() - self.began,
            "stages": self.facts,
        }
        ck.write_summary(self.out, summary)
        return summary


def _post(config: TrainConfig, *, center: bool) -> PostProcess:
    """Post-processing of the run: without a head its terms are left out of the fusion."""
    post = config.post
    if config.center is not None:
        post = post.model_copy(update={"context": config.center.context})
    if not center:
        weights = {"class_probability": 0.0, "attention": 0.0, "center": 0.0}
        fusion = post.fusion.model_copy(update=weights)
        if fusion.contrast == 0 and fusion.base == 0:
            fusion = fusion.model_copy(update={"contrast": 1.0})
        post = post.model_copy(update={"fusion": fusion})
    return post
