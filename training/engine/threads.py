"""The number of CPU threads that torch trains with, chosen by timing the first steps unless it is given.

Small networks gain nothing from a second core and lose much if it is busy: threads that wait for each other then wait
for the scheduler (the same run took 1:46 min with one thread and 21:52 min with two). The first steps of a stage are
therefore timed with one thread and with all usable cores. Sums of floats depend on the number of threads, so it is
saved with the state that a stage is resumed from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from punctum.runtime.machine.cores import whole_cores

from ..objectives.guard import differentiate
from .task import Task

MIN_SPEEDUP = 1.3  # required of several threads: they take cores from other programs, and timings are noisy
ROUNDS = 3
MAX_TIMING_S = 2.0  # no further round after this time


@contextmanager
def training_threads(threads: int | None) -> Iterator[int | None]:
    """Set the number of threads of torch and restore it afterwards.

    Args:
        threads: the number; 0: to be chosen by `fastest`, one until then; None: unchanged.

    Yields:
        The fixed number, or None if it is not fixed.
    """
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads or 1)
    try:
        yield threads if threads is None else threads or None
    finally:
        torch.set_num_threads(before)


def fastest(task: Task, *, seed: int, most: int | None = None) -> int:
    """Time a step of the task with one thread and with several. Weights and gradients are restored.

    Args:
        task: what is trained.
        seed: of the timed steps.
        most: the larger number of threads; None: all usable cores.

    Returns:
        1 or `most`, whichever is faster.
    """
    most = whole_cores() if most is None else most
    device = next(task.module.parameters()).device
    if most < 2 or task.steps < 1 or device.type != "cpu":
        return 1
    weights = {name: value.clone() for name, value in task.module.state_dict().items()}
    best = dict.fromkeys((1, most), float("inf"))
    began, before = time.perf_counter(), torch.get_num_threads()
    try:
        for number in range(ROUNDS + 1):  # the first round is a warm-up
            for threads in best:
                torch.set_num_threads(threads)
                seconds = _step(task, seed)
                if number:
                    best[threads] = min(best[threads], seconds)
            if number and time.perf_counter() - began > MAX_TIMING_S:
                break
    finally:
        torch.set_num_threads(before)
        task.module.load_state_dict(weights)
        task.module.zero_grad(set_to_none=True)
    return most if best[most] * MIN_SPEEDUP < best[1] else 1


def _step(task: Task, seed: int) -> float:
    rng = np.random.default_rng([seed, 0])
    torch.manual_seed(seed)
    began = time.perf_counter()
    loss, _ = task.step_loss(0, rng)
    differentiate(task, loss)
    return time.perf_counter() - began
