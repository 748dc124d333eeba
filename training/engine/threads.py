"""How many CPU threads torch trains with, where nobody says: what a few steps on this machine favour.

Small networks gain nothing from a second core, and lose a lot where it is busy: threads that wait for each other then
wait for the scheduler (the same run: 1:46 min with one thread, 21:52 with two). So the first steps of a stage are
timed with one thread and with all usable cores. The sum of floats depends on how they are shared out, so the number is
kept with the state that a run is resumed from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from punctum.runtime.machine.cores import whole_cores

from .task import Task

WORTH = 1.3  # several threads have to be so much faster: they take cores from others, and timings are noisy
ROUNDS = 3
ENOUGH_S = 2.0  # of timing, in which the rounds end after the first


@contextmanager
def training_threads(threads: int | None) -> Iterator[int | None]:
    """Run with so many threads; 0: one for now, and `None` inside, for `fastest` to decide; None: as torch is set.

    The caller's number is restored.
    """
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads or 1)
    try:
        yield threads if threads is None else threads or None
    finally:
        torch.set_num_threads(before)


def fastest(task: Task, *, seed: int, most: int | None = None) -> int:
    """1 or `most` (default: the usable cores), whichever makes a step of the task faster. Changes nothing else."""
    most = whole_cores() if most is None else most
    device = next(task.module.parameters()).device
    if most < 2 or task.steps < 1 or device.type != "cpu":
        return 1
    kept = {name: value.clone() for name, value in task.module.state_dict().items()}
    best = dict.fromkeys((1, most), float("inf"))
    began, before = time.perf_counter(), torch.get_num_threads()
    try:
        for number in range(ROUNDS + 1):  # the first one warms up
            for threads in best:
                torch.set_num_threads(threads)
                spent = _step(task, seed)
                if number:
                    best[threads] = min(best[threads], spent)
            if number and time.perf_counter() - began > ENOUGH_S:
                break
    finally:
        torch.set_num_threads(before)
        task.module.load_state_dict(kept)
        task.module.zero_grad(set_to_none=True)
    return most if best[most] * WORTH < best[1] else 1


def _step(task: Task, seed: int) -> float:
    rng = np.random.default_rng([seed, 0])
    torch.manual_seed(seed)
    began = time.perf_counter()
    loss, _ = task.step_loss(0, rng)
    loss.backward()
    return time.perf_counter() - began
