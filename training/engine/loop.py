"""The training loop of every stage: deterministic by seed, resumable at any step, stoppable between steps.

Random numbers are counter-based: step n of a stage uses generators seeded by (seed, stage, n). The state to resume
from therefore holds no generator, and an interrupted run gives the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from punctum.runtime.errors import PunctumError
from torch import nn

from ..config import OptimConfig
from ..objectives.guard import differentiate
from ..records import Record
from .report import Reporter
from .selection import BestKeeper
from .state import StageState, damaged, load_state, optimizer_tensors, restore_optimizer, save_state
from .stop import StopSignal
from .task import Task
from .threads import fastest


@dataclass(frozen=True, slots=True)
class StageResult:
    """Facts of a stage for summary.json.

    Attributes:
        steps: steps done.
        finished: False after a stop request.
        loss: of the last step.
        seconds: of training, including earlier parts of a resumed stage.
        selected_step: step whose weights were kept.
        criterion: of the selected step; None without selection.
        threads: of torch.
    """

    steps: int
    finished: bool
    loss: float
    seconds: float
    selected_step: int
    criterion: float | None
    threads: int


def run_stage(
    task: Task,
    optim: OptimConfig,
    *,
    seed: int,
    state_file: Path,
    save_every: int,
    keeper: BestKeeper,
    reporter: Reporter,
    stop: StopSignal,
    measure_threads: bool = False,
) -> StageResult:
    """Train a task to its last step or a stop request, continuing from `state_file` if it exists.

    Args:
        task: what is trained.
        optim: optimizer and schedule.
        seed: of the run.
        state_file: state to resume from.
        save_every: steps between two saved states.
        keeper: selects the weights to keep.
        reporter: log and progress bar.
        stop: set by Ctrl-C.
        measure_threads: choose the number of threads by timing a few steps; a resumed stage keeps its number.

    Raises:
        InputError: the state file is damaged or belongs to another stage.
        PunctumError: the loss is NaN or infinite.
    """
    kind = torch.optim.AdamW if optim.decoupled else torch.optim.Adam
    optimizer = kind(task.module.parameters(), lr=optim.rate, weight_decay=optim.weight_decay)
    state = load_state(state_file)
    done, seconds = 0, 0.0
    if state is not None:
        try:
            task.module.load_state_dict(state.module)
            restore_optimizer(optimizer, state.optimizer)
            task.load_extra_state(state.extra)
            keeper.restore(state.best, state.facts)
            if state.best and {n: v.shape for n, v in state.best.items()} != _shapes(task.module):
                raise ValueError("the best weights have another shape")
            done, seconds = state.step, float(state.facts["seconds"])
            if done > task.steps:
                raise ValueError(f"step {done} of {task.steps}")
        except (RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise damaged(state_file, error) from None
    if measure_threads:
        stored = None if state is None else state.facts.get("threads")
        with _deterministic():
            task.module.train()
            torch.set_num_threads(int(stored) if stored else fastest(task, seed=seed))
    reporter.rewind(task.name, done)
    began = time.monotonic() - seconds
    loss = math.nan

    def save(step: int) -> None:
        facts = {"seconds": time.monotonic() - began, "threads": torch.get_num_threads(), **keeper.facts()}
        save_state(
            state_file,
            StageState(
                step,
                task.module.state_dict(),
                optimizer_tensors(optimizer),
                task.extra_state(),
                keeper.weights,
                facts,
            ),
        )

    reporter.begin(task.name, task.steps, done)
    try:
        with _deterministic():
            task.module.train()
            for step in range(done, task.steps):
                if stop.requested:
                    break
                rng = np.random.default_rng([seed, zlib.crc32(task.name.encode()), step])
                torch.manual_seed(int(rng.integers(2**62)))
                for group in optimizer.param_groups:
                    group["lr"] = optim.rate * rate_factor(optim.schedule, step, task.steps)
                value, terms = task.step_loss(step, rng)
                loss = float(value.detach())
                if not math.isfinite(loss):
                    raise _not_finite(task.name, step, terms)
                optimizer.zero_grad(set_to_none=True)
                differentiate(task, value)
                if optim.clip_gradient is not None:
                    nn.utils.clip_grad_norm_(task.module.parameters(), optim.clip_gradient)
                optimizer.step()
                done = step + 1
                record: Record = {"stage": task.name, "step": done, "loss": loss, **terms}
                if keeper.due(done, task.steps):
                    record["criterion"] = keeper.offer(done, task.criterion(), task.module)
                reporter.record(**record)
                reporter.advance(f"loss {loss:.4f}")
                if done % save_every == 0 and done < task.steps:
                    save(done)
    finally:
        reporter.end()
    finished = done == task.steps
    if not finished:
        save(done)
    keeper.apply(task.module)
    task.module.eval()
    return StageResult(
        done,
        finished,
        loss,
        time.monotonic() - began,
        keeper.step or done,
        keeper.score,
        torch.get_num_threads(),
    )


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def rate_factor(schedule: str, step: int, steps: int) -> float:
    """Share of the highest learning rate at a step. one-cycle: 10 % linear warm-up, then a cosine to 0."""
    if schedule == "constant":
        return 1.0
    warm = 0.1 * steps if schedule == "one-cycle" else 0.0
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))


@contextmanager
def _deterministic() -> Iterator[None]:
    """Deterministic torch inside; the caller's generators and flags are restored."""
    flag = torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(flag, warn_only=warn)


def _not_finite(stage: str, step: int, terms: dict[str, float]) -> PunctumError:
    shown = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
    return PunctumError(
        "loss-not-finite",
        f"The {stage} loss is not finite at step {step + 1} ({shown})",
        required="finite losses",
        next_step="lower the learning rate (`optim.rate` in the recipe), or run `punctum data check` on the features",
    )
