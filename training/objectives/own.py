"""Objectives of the locator from outside of this package: a base class, and how they are found.

The name of an objective is `package.module:factory`. `factory(net, data, epochs=..., seed=...)` returns a task
(`engine.task.Task`) that trains the network; a subclass of `LocatorTask` is such a factory.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from punctum.runtime.errors import InputError
from torch import Tensor

from ..arrays import F32
from ..data.videos import Sample, TrainingSet
from ..models.locator import LocatorNet
from ..records import Record
from .bank import WindowBank
from .guard import GuardedTask, described
from .point_loss import point_log_likelihood


class LocatorTask:
    """Base of an objective that is computed on windows of the training videos.

    A subclass implements `annotate` and `loss`. One step takes `batch` windows of `window` snippets at random places.

    Attributes:
        batch: windows in a step.
        window: snippets in a window.
    """

    name = "locator"
    batch = 16
    window = 64

    def __init__(self, net: LocatorNet, data: TrainingSet, *, epochs: int, seed: int) -> None:
        """Prepare the windows of the training videos.

        Args:
            net: the network.
            data: training videos with their clicks.
            epochs: passes over the snippets.
            seed: of the run; `step_loss` draws from the generator that it is given.
        """
        self.module, self.data, self.seed = net, data, seed
        self.device = next(net.parameters()).device
        self.bank = WindowBank(net, data.samples, window=self.window, device=self.device)
        rows = [np.ascontiguousarray(self.annotate(sample), np.float32) for sample in data.samples]
        for sample, row in zip(data.samples, rows, strict=True):
            if row.ndim != 2 or len(row) != len(sample.features) or row.shape[1] != rows[0].shape[1]:
                raise InputError(
                    "objective-import",
                    f"The method annotate() of {type(self).__name__} returned shape {row.shape} for {sample.video}",
                    f"a row for each of its {len(sample.features)} snippets, with the same columns for every video",
                    "correct the objective",
                )
        self._rows = self.bank.scatter(rows)
        self.steps = epochs * max(-(-int(self.bank.length.sum()) // (self.batch * self.window)), 1)
        self.describe: Record = {"videos": len(data.samples), "objective": type(self).__name__}

    def annotate(self, sample: Sample) -> F32:
        """What the loss needs to know about each snippet of a video, float32 [T, K], for example targets and weights.

        Clicks are in `sample.clicks`: `position` (snippets from the center of the first), `snippet` and `label`.
        `sample.background` holds certified background; in a video with `sample.partly` nothing else is background.
        """
        raise NotImplementedError

    def loss(self, logits: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """The terms of the loss, by name; their sum is minimized.

        Args:
            logits: [N, C + 1, W] of N windows; the last channel is background. `self.module.probabilities(logits)`
                gives probabilities.
            rows: [N, W, K], what `annotate` returned for these snippets; 0 beyond the ends of a video.
        """
        raise NotImplementedError

    def step_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step, and its terms for the log."""
        videos, first = self.bank.anywhere(self.batch, rng)
        logits = self.module.windows(self.bank.gather(videos, first)).logits  # [members, N, C + 1, W]
        rows = self.bank.gather_rows(self._rows, videos, first)
        terms = self.loss(logits.flatten(0, 1), rows.repeat(len(logits), 1, 1))
        return torch.stack(list(terms.values())).sum(), {name: float(term.detach()) for name, term in terms.items()}

    def criterion(self) -> float:
        """Mean log-probability at clicks and background of the held-out training videos."""
        return point_log_likelihood(self.module, self.data.held_out, share=0.4)

    def extra_state(self) -> dict[str, Tensor]:
        """What one step passes to the next besides the weights: nothing."""
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore `extra_state`."""


def check_objective(source: str) -> None:
    """Raise InputError if `package.module:factory` cannot be imported; nothing is trained or written for that."""
    _imported(source)


def own_task(source: str, net: LocatorNet, data: TrainingSet, *, epochs: int, seed: int) -> GuardedTask:
    """The task that `package.module:factory` makes for a network.

    Raises:
        InputError: it cannot be imported, fails, or returns something else.
    """
    factory = _imported(source)
    with _working_folder(), described(source):
        return GuardedTask(factory(net, data, epochs=epochs, seed=seed), source)


def _imported(source: str) -> Callable[..., Any]:
    module, attribute = source.split(":")
    with _working_folder(), described(source):
        factory: Callable[..., Any] = attrgetter(attribute)(importlib.import_module(module))
    return factory


@contextmanager
def _working_folder() -> Iterator[None]:
    """Make modules in the working folder importable, as `python -m` does."""
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added:
            sys.path.remove(folder)
