"""Drives the steps of many sessions together, so that their jobs share runs of the engine."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from ..errors import PunctumError
from .jobs import Job, Result, Steps

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
GROUPS = 2  # of sessions for each worker, so that one waits while another is advanced
MOST_TOGETHER = 32  # sessions in a group
LEAST_TOGETHER = 8  # below that, common runs save more time than a second worker


@dataclass(slots=True)
class Outcome(Generic[K, T]):
    """What came of each session's steps.

    Attributes:
        results: What the steps returned that came to their end.
        errors: What ended the others. Their sessions are unchanged.
        answered: Sessions for which the engine has computed at least one result.
    """

    results: dict[K, T] = field(default_factory=dict)
    errors: dict[K, PunctumError] = field(default_factory=dict)
    answered: set[K] = field(default_factory=set)


def run_lockstep(
    steps: Mapping[K, Steps[T]], run_jobs: Callable[[Sequence[Job]], list[Result]], *, workers: int = 1
) -> Outcome[K, T]:
    """Run several sessions' steps to their ends, round by round.

    In each round the jobs of all sessions that have not come to their end are run together. If such a run fails, all
    sessions in it fail with the same error.

    With several workers the sessions are divided into groups, each with rounds of its own: while workers run the jobs
    of some groups, this thread advances the sessions of others.

    Args:
        steps: The steps of each session.
        run_jobs: Runs jobs on the engine and returns their results in order. Raises PunctumError. Called from other
            threads if there are several workers.
        workers: Threads that run jobs; 1: this thread does everything.
    """
    outcome: Outcome[K, T] = Outcome()
    keys = list(steps)

    def advance(key: K, results: list[Result] | None, waiting: dict[K, list[Job]]) -> None:
        try:
            waiting[key] = next(steps[key]) if results is None else steps[key].send(results)
        except StopIteration as stop:
            outcome.results[key] = stop.value
        except PunctumError as error:
            outcome.errors[key] = error

    def begin(members: Sequence[K]) -> dict[K, list[Job]]:
        waiting: dict[K, list[Job]] = {}
        for key in members:
            advance(key, None, waiting)
        return waiting

    def proceed(answered: dict[K, list[Job]], run: Callable[[], list[Result]]) -> dict[K, list[Job]]:
        """The jobs of the next round, given how to get the results of this one."""
        waiting: dict[K, list[Job]] = {}
        try:
            results = run()
        except PunctumError as error:
            outcome.errors |= dict.fromkeys(answered, error)
            return waiting
        first = 0
        for key, jobs in answered.items():
            outcome.answered.add(key)
            advance(key, results[first : first + len(jobs)], waiting)
            first += len(jobs)
        return waiting

    try:
        if workers == 1:
            waiting = begin(keys)
            while waiting:
                waiting = proceed(waiting, partial(run_jobs, _jobs_of(waiting)))
            return outcome
        with ThreadPoolExecutor(workers) as executor:
            running: dict[Future[list[Result]], dict[K, list[Job]]] = {}

            def submit(waiting: dict[K, list[Job]]) -> None:
                if waiting:
                    running[executor.submit(run_jobs, _jobs_of(waiting))] = waiting

            size = min(max(-(-len(keys) // (GROUPS * workers)), LEAST_TOGETHER), MOST_TOGETHER)
            for at in range(0, len(keys), size):
                submit(begin(keys[at : at + size]))
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    submit(proceed(running.pop(future), future.result))
    finally:
        for one in steps.values():
            one.close()  # undoes what has not come to its end
    return outcome


def _jobs_of(waiting: Mapping[K, list[Job]]) -> list[Job]:
    return [job for jobs in waiting.values() for job in jobs]
