"""Runs step jobs: streams that advance by the same number of snippets share runs of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .engine import Backend, Stepper, step_locator
from .jobs import LocateJob, Result, StepJob, Stepped
from .outputs import join_tracks, wrong_shape

F32 = npt.NDArray[np.float32]
Call = Callable[[Stepper, F32, F32], tuple[F32, F32, F32]]
MOST_STREAMS = 32
"""Streams in one run: what the layers compute then still fits a processor's cache."""
MOST_VALUES = 1 << 22
"""Values of features in one run, for streams that begin with long windows."""


def run_steps(
    jobs: Sequence[StepJob], backend: Backend, call: Call, locate: Callable[[Sequence[LocateJob]], list[Result]]
) -> list[Stepped]:
    """The results of step jobs, in order.

    Args:
        jobs: Of several streams.
        backend: The engine.
        call: Calls `Stepper.step` and turns what it raises into an EngineError.
        locate: Runs locator windows, where the engine has no stepper.
    """
    results: dict[int, Stepped] = {}
    groups: dict[tuple[bool, int], list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault((job.ahead, len(job.window) if job.state is None else job.fresh), []).append(i)
    for (ahead, length), members in groups.items():
        stepper = step_locator(backend, ahead=ahead)
        if stepper is None:
            windows = locate([LocateJob(jobs[i].window, inner=True) for i in members])
            for i, tracks in zip(members, windows, strict=True):
                results[i] = np.asarray(tracks)[jobs[i].start : jobs[i].stop], None
            continue
        size = max(min(MOST_STREAMS, MOST_VALUES // max(length * jobs[members[0]].window.shape[1], 1)), 1)
        for first in range(0, len(members), size):
            part = members[first : first + size]
            results |= zip(part, _step([jobs[i] for i in part], stepper, length, call), strict=True)
    return [results[i] for i in range(len(jobs))]


def _step(jobs: Sequence[StepJob], stepper: Stepper, length: int, call: Call) -> list[Stepped]:
    features = np.stack([job.window[len(job.window) - length :] for job in jobs])
    states = np.zeros((len(jobs), stepper.state_size), np.float32)
    for state, job in zip(states, jobs, strict=True):
        if job.state is not None:
            state[:] = job.state
    class_track, actionness, after = call(stepper, features, states)
    rows = length + stepper.ahead
    tracks = join_tracks((class_track, actionness), (len(jobs), rows))
    if after.shape != states.shape:
        raise wrong_shape(f"The locator returned a state {after.shape}", str(states.shape))
    # Copies: a stream that waits must not keep the memory of all others.
    return [(tracks[k, rows - (job.stop - job.start) :], after[k].copy()) for k, job in enumerate(jobs)]
