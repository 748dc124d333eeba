"""The questions about the last round that pages ask, and what people have answered or skipped."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .answered import Answered, Moment
from .labels import Labels
from .last_round import LastRound
from .questions import LEAST_DOUBT, Question, doubts, questions, unlabeled_videos
from .round_result import RoundResult
from .store import ClickStore

_MOST_SKIPPED = 10_000


class Asking:
    """Questions, answers, and what they are about.

    Args:
        store: The labels.
        work: Folder for everything that can be made again.
        last: The last round.
        guard: Lock of the learner, which also changes the last round.
    """

    def __init__(self, store: ClickStore, work: Path, last: LastRound, guard: threading.RLock) -> None:
        self._store, self._last, self._guard = store, last, guard
        self._skipped: set[str] = set()
        self._answered = Answered(work)

    def questions(self, found: RoundResult | None) -> dict[str, Any]:
        """Questions about a round, and the order of unlabeled videos."""
        labels = self.labels()
        if found is None:
            return {"round": 0, "questions": [], "unlabeled": []}
        asked = questions(found, labels, skipped=self._skipped)
        unlabeled = unlabeled_videos(found, labels)
        with self._guard:
            settled = self._answered.settled()
        return {"round": found.round, "questions": [_asked(q, labels, settled) for q in asked], "unlabeled": unlabeled}

    def skip(self, key: str, value: bool) -> None:
        """Do not ask a question again until the server is started again; value False: do."""
        if not value:
            self._skipped.discard(key)
        elif len(self._skipped) < _MOST_SKIPPED:
            self._skipped.add(key)

    def answer(self, key: str, moment: Moment | None) -> str:
        """Note which moment a question that was answered is about; None: the answer was undone. Returns what could not
        be written."""
        number = 0 if self._last.found is None else self._last.found.round
        if not self._store.there:  # nothing is made where the folder was
            return ""
        return self._answered.remove(key) if moment is None else self._answered.add(key, moment, number)

    def labels(self) -> Labels:
        """What people have said by now."""
        clicks, spans, labeling = self._store.snapshot()
        number = 0 if self._last.found is None else self._last.found.round
        with self._guard:
            answered, settled = self._answered.moments(number), self._answered.doubts()
        return Labels.of(
            clicks,
            spans,
            confirmed=labeling.confirmed,
            marked=labeling.nothing,
            partly=labeling.partly,
            answered=answered,
            doubts=settled,
        )

    def close_round(self, found: RoundResult) -> str:
        """Keep what was answered in a round that another one is about to replace. Returns what could not be written."""
        return self._answered.close_round(doubts(found, self.labels()), LEAST_DOUBT)

    def begin_round(self) -> None:
        """A new round asks skipped questions again."""
        self._skipped.clear()


def _asked(question: Question, labels: Labels, settled: Mapping[str, tuple[int, float]]) -> dict[str, Any]:
    """A question for pages; with what a person has said about its click in an earlier round, and the probability of an
    error then and now."""
    record = question.to_record()
    if question.kind != "error" or question.click not in settled:
        return record
    number, was = settled[question.click]
    now = 2 * question.value - 1
    confirmed = question.click in labels.confirmed
    return record | {"settled": {"round": number, "confirmed": confirmed, "was": round(was, 3), "now": round(now, 3)}}
