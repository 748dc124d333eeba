"""Runs step jobs: streams that advance by the same number of snippets share runs of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .call import call_engine
from .engine import Backend, Stepper, step_locator
from .jobs import LocateJob, StepJob, Stepped
from .outputs import stepped_output

F32 = npt.NDArray[np.float32]
MOST_STREAMS = 32
"""Streams in one run: what the layers compute then still fits a processor's cache."""
MOST_VALUES = 1 << 22
"""Values of features in one run, for streams that begin with long windows."""


def run_steps(
    jobs: Sequence[StepJob], backend: Backend, locate: Callable[[Sequence[LocateJob], Backend], list[F32]]
) -> list[Stepped]:
    """The results of step jobs, in order. locate: runs windows, for an engine without a stepper. Raises EngineError."""
    results: dict[int, Stepped] = {}
    groups: dict[tuple[bool, int], list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault((job.ahead, len(job.window) if job.state is None else job.fresh), []).append(i)
    for (ahead, length), members in groups.items():
        stepper = step_locator(backend, ahead=ahead)
        if stepper is None:
            windows = [LocateJob(jobs[i].window, inner=True) for i in members]
            results |= {i: (tracks, None) for i, tracks in zip(members, locate(windows, backend), strict=True)}
            continue
        size = max(min(MOST_STREAMS, MOST_VALUES // max(length * jobs[members[0]].window.shape[1], 1)), 1)
        for first in range(0, len(members), size):
            part = members[first : first + size]
            results |= zip(part, _step([jobs[i] for i in part], stepper, length), strict=True)
    return [results[i] for i in range(len(jobs))]


def _step(jobs: Sequence[StepJob], stepper: Stepper, length: int) -> list[Stepped]:
    features = np.stack([job.window[len(job.window) - length :] for job in jobs])
    none = np.zeros(stepper.state_size, np.float32)
    states = np.stack([none if job.state is None else job.state for job in jobs])
    found = call_engine(stepper.step, features, states)
    rows = length + stepper.ahead
    tracks, after = stepped_output(found, (len(jobs), rows), states.shape)
    # Copies: a stream that waits must not keep the memory of all others.
    return [(tracks[k, rows - (job.stop - job.start) :], after[k].copy()) for k, job in enumerate(jobs)]
