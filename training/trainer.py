"""A whole run: locator, then proposals, then head, into a run folder that can be resumed at any point."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from punctum.runtime._files import sha256_file
from punctum.runtime._post import propose
from punctum.runtime.config import FeatureSpec, Fingerprint, PostProcess
from punctum.runtime.errors import InputError
from torch import nn

from . import checkpoint as ck
from .config import LacpObjective, TrainConfig
from .data import Sample, TrainingSet
from .labels import F32
from .loop import StageResult, Task, run_stage
from .modules.center import build_head
from .modules.locator import LocatorNet
from .objectives.center_task import CenterTask, CenterVideo
from .objectives.points import PointsTask
from .proposals import VideoProposals, clean, read_proposals
from .report import Reporter
from .selection import BestKeeper
from .stop import StopSignal, TrainingInterrupted
from .torch_backend import torch_device


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
) -> dict[str, Any]:
    """Train into the folder `out` and return the summary.

    proposals: result file of another base locator to train the head on. resume continues a run with the same
    recipe and data, fresh discards what is there. Raises InputError for an existing folder with neither, or a
    different recipe; TrainingInterrupted (exit code 130) after Ctrl-C, with a folder that loads.
    """
    place = torch_device(device)
    if proposals is not None and not proposals.is_file():
        raise InputError("file-missing", f"{proposals} does not exist", "an ActivityNet-form file", "check --proposals")
    record = _describe(data, config, proposals)
    _prepare(out, record, resume=resume, fresh=fresh)
    with StopSignal() as stop:
        return _Trainer(data, config, out, record, place, Reporter(out / "log.jsonl", quiet=quiet), stop).run(proposals)


M = TypeVar("M", bound=nn.Module)


class _Trainer:
    def __init__(
        self,
        data: TrainingSet,
        config: TrainConfig,
        out: Path,
        record: dict[str, Any],
        device: torch.device,
        reporter: Reporter,
        stop: StopSignal,
    ) -> None:
        self.data, self.config, self.out, self.record = data, config, out, record
        self.device, self.reporter, self.stop = device, reporter, stop
        self.facts: dict[str, Any] = {}
        self.began = time.monotonic()

    def run(self, proposals: Path | None) -> dict[str, Any]:
        config, data = self.config, self.data
        dim, classes = data.feature_dim, len(data.labels)
        net = self._seeded(0, lambda: LocatorNet(config.locator, dim=dim, classes=classes))
        net.normalise.fit([torch.from_numpy(s.features).to(self.device) for s in data.samples])
        if not self._stage("locator", net, lambda: self._locator_task(net), config.locator_optim):
            return self._interrupted(center=False)
        if config.center is not None:
            center, limit = config.center, ck.max_context(config, data.stride_s)
            head = self._seeded(1, lambda: build_head(center, dim=dim, classes=classes, max_context=limit))

            def task() -> CenterTask:
                samples = (*data.samples, *data.held_out)
                given = (
                    None
                    if proposals is None
                    else read_proposals(proposals, samples, data.labels, stride_s=data.stride_s)
                )
                made = [self._video(net, sample, given) for sample in samples]
                cut = len(data.samples)
                return CenterTask(
                    head,
                    made[:cut],
                    made[cut:],
                    config.center_objective,
                    epochs=config.center_optim.epochs,
                    seed=config.seed,
                )

            if not self._stage("center", head, task, config.center_optim):
                return self._interrupted(center=True)
        return self._seal("complete", center=config.center is not None)

    def _locator_task(self, net: LocatorNet) -> Task:
        objective = self.config.objective
        epochs, seed = self.config.locator_optim.epochs, self.config.seed
        if isinstance(objective, LacpObjective):
            from .objectives.lacp_task import LacpTask

            task: Task = LacpTask(net, self.data, objective, epochs=epochs, seed=seed)
            return task
        return PointsTask(net, self.data, objective, epochs=epochs, seed=seed)

    def _stage(self, name: str, module: Any, make: Any, optim: Any) -> bool:
        """Train one stage or, in a resumed run, load what it made. False after a stop request."""
        weights, state = self.out / f"{name}.safetensors", self.out / "state" / f"{name}.safetensors"
        if weights.is_file() and not state.is_file():
            ck.load_weights(weights, module)
            module.eval()
            self.facts[name] = {"resumed": True}
            return True
        task = make()
        if optim.steps is not None:
            task.steps = optim.steps
        result: StageResult = run_stage(
            task,
            optim,
            seed=self.config.seed,
            state_file=state,
            save_every=self.config.save_every,
            keeper=BestKeeper(self.config.select, self.config.evaluate_every),
            reporter=self.reporter,
            stop=self.stop,
        )
        self.facts[name] = {**task.describe, **asdict(result)}
        ck.save_weights(weights, module)
        if result.finished:
            state.unlink(missing_ok=True)
        return result.finished

    def _video(self, net: LocatorNet, sample: Sample, given: dict[str, VideoProposals] | None) -> CenterVideo:
        with torch.no_grad():
            p, a = (x.cpu().numpy() for x in net.eval()(torch.from_numpy(sample.features).to(self.device)))
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
            return make().to(self.device)

    def _interrupted(self, *, center: bool) -> dict[str, Any]:
        self._seal("interrupted", center=center)
        raise TrainingInterrupted(
            "interrupted",
            f"training was stopped; {self.out} holds a usable checkpoint of the steps done",
            "",
            "continue with the same command and --resume",
        )

    def _seal(self, status: str, *, center: bool) -> dict[str, Any]:
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


def _describe(data: TrainingSet, config: TrainConfig, proposals: Path | None) -> dict[str, Any]:
    rows = np.concatenate([s.features for s in data.samples])
    quantiles = np.quantile(rows, [0.01, 0.25, 0.5, 0.75, 0.99])
    spec = FeatureSpec(
        dim=data.feature_dim,
        stride_s=data.stride_s,
        fingerprint=Fingerprint(
            mean=float(rows.mean()), std=float(rows.std()), quantiles=tuple(float(q) for q in quantiles)
        ),
    )
    parts: list[bytes] = []
    for sample in (*data.samples, *data.held_out):
        clicks = sample.clicks
        parts += [sample.video.encode(), sample.features.tobytes(), clicks.position.tobytes(), clicks.label.tobytes()]
    provenance: dict[str, Any] = {
        "dataset": data.name,
        "data_sha256": ck.digest(parts),
        "versions": ck.versions(),
        "proposals_sha256": None if proposals is None else sha256_file(proposals),
    }
    return {
        "schema": ck.SCHEMA,
        "config": config.model_dump(mode="json"),
        "labels": list(data.labels),
        "feature_spec": spec.model_dump(mode="json"),
        "provenance": provenance,
    }


# In the order in which a folder loses its meaning: without a summary it does not load.
_WRITTEN = ("summary.json", "locator.safetensors", "center.safetensors", "post.json", "log.jsonl", "config.json")


def _prepare(out: Path, record: dict[str, Any], *, resume: bool, fresh: bool) -> None:
    """Make the folder ready: empty for a new run, checked against `record` for a resumed one."""
    if out.exists() and not out.is_dir():
        raise InputError("out-not-folder", f"{out} is a file", "a folder, new or empty", "choose another --out")
    held = out.is_dir() and any(out.iterdir())
    if held and not (out / "config.json").is_file():
        raise InputError(
            "out-foreign", f"{out} holds other files and is no run", "a new folder", "choose another --out"
        )
    if held and fresh:
        for name in (
            "summary.json",
            "locator.safetensors",
            "center.safetensors",
            "post.json",
            "log.jsonl",
            "config.json",
        ):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "state", ignore_errors=True)
    elif held and resume:
        _compare(json.loads((out / "config.json").read_text(encoding="utf-8")), record, out)
        (out / "summary.json").unlink(missing_ok=True)
        for folder in (out, out / "state"):  # what a killed run was writing
            for name in _WRITTEN:
                for draft in folder.glob(f".{name}.*"):
                    draft.unlink()
        return
    elif held:
        raise InputError("run-exists", f"{out} holds a run", "a new folder", "add --resume or --fresh, or change --out")
    ck.write_json(out / "config.json", record)


def _compare(old: dict[str, Any], new: dict[str, Any], out: Path) -> None:
    new = json.loads(json.dumps(new))
    for field in ("config", "labels", "provenance"):
        if old.get(field) != new[field]:
            before, after = old.get(field), new[field]
            if isinstance(before, dict):
                changed = [k for k in after if before.get(k) != after[k]]
                field = f"{field}: {', '.join(changed)}"
            raise InputError(
                "resume-differs",
                f"{out} was started with another recipe or other data ({field})",
                "the same data, seed and options as before",
                "repeat the first command with --resume, or start over with --fresh",
            )
