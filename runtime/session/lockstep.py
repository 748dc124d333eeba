"""Drives the steps of many sessions together, so that their jobs share runs of the engine."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..errors import PunctumError
from .jobs import Job, Result, Steps

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


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


def run_lockstep(steps: Mapping[K, Steps[T]], run_jobs: Callable[[Sequence[Job]], list[Result]]) -> Outcome[K, T]:
    """Run several sessions' steps to their ends, round by round.

    In each round the jobs of all sessions that have not come to their end are run together. If such a run fails, all
    sessions in it fail with the same error.

    Args:
        steps: The steps of each session.
        run_jobs: Runs jobs on the engine and returns their results in order. Raises PunctumError.
    """
    outcome: Outcome[K, T] = Outcome()
    waiting: dict[K, list[Job]] = {}

    def advance(key: K, results: list[Result] | None) -> None:
        try:
            waiting[key] = next(steps[key]) if results is None else steps[key].send(results)
        except StopIteration as stop:
            outcome.results[key] = stop.value
        except PunctumError as error:
            outcome.errors[key] = error

    try:
        for key in steps:
            advance(key, None)
        while waiting:
            round_ = dict(waiting)
            waiting.clear()
            try:
                results = run_jobs([job for jobs in round_.values() for job in jobs])
            except PunctumError as error:
                outcome.errors |= dict.fromkeys(round_, error)
                break
            first = 0
            for key, jobs in round_.items():
                outcome.answered.add(key)
                advance(key, results[first : first + len(jobs)])
                first += len(jobs)
    finally:
        for running in steps.values():
            running.close()  # undoes what has not come to its end
    return outcome
