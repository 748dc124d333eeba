"""What fixing the errors of one type would give: average precision of the ranking, and F1 from a minimum score on.

As in TIDE: a wrong class or a bad localization is corrected, and the detection becomes right unless a better one has
the action; otherwise the worse of the two is removed. Duplicates, confusions and background are removed. Missed actions
count as found for F1, and do not count for average precision, since their scores would be unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from .judge import CLASS, I64, LOCALIZATION, RIGHT, Flags, Judgment

F64 = npt.NDArray[np.float64]


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ranking:
    """Detections as average precision sees them.

    Attributes:
        label: Class of each detection, int64 [N].
        score: float64 [N].
        hit: Which are right, bool [N].
        actions: Number of actions of each class, int64 [C].
        known: Classes that count, bool [C]: those with actions before anything was fixed.
    """

    label: I64
    score: F64
    hit: Flags
    actions: I64
    known: Flags

    @property
    def average_precision(self) -> float:
        """Mean over the classes; a class without actions left counts as 1."""
        values = []
        for c in np.flatnonzero(self.known):
            if self.actions[c] == 0:
                values.append(1.0)
                continue
            mine = np.flatnonzero(self.label == c)
            hit = self.hit[mine[np.argsort(-self.score[mine], kind="stable")]]
            precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            values.append(float(envelope[hit].sum()) / int(self.actions[c]))
        return float(np.mean(values)) if values else float("nan")

    @property
    def f1(self) -> float:
        """Of all detections."""
        return 2 * int(self.hit.sum()) / max(len(self.hit) + int(self.actions.sum()), 1)

    def without(self, rows: Flags) -> Ranking:
        """The ranking without some detections."""
        return replace(self, label=self.label[~rows], score=self.score[~rows], hit=self.hit[~rows])

    def without_actions(self, label: I64) -> Ranking:
        """The ranking with fewer actions, given by their classes."""
        return replace(self, actions=self.actions - np.bincount(label, minlength=len(self.actions)))

    def with_hits(self, label: I64) -> Ranking:
        """The ranking with further right detections, whose scores do not matter."""
        more = len(label)
        return replace(
            self,
            label=np.concatenate([self.label, label]),
            score=np.concatenate([self.score, np.ones(more)]),
            hit=np.concatenate([self.hit, np.ones(more, bool)]),
        )


def ranking(judged: Judgment, chosen: Flags) -> Ranking:
    """The chosen detections as they are."""
    actions = np.bincount(judged.truth.label, minlength=len(judged.truth.labels))
    rows = np.flatnonzero(chosen)
    return Ranking(
        judged.found.label[rows], judged.found.scores[rows], judged.kind[rows] == RIGHT, actions, actions > 0
    )


def corrected(judged: Judgment, chosen: Flags, kind: int) -> Ranking:
    """The chosen detections with the errors of one type fixed: CLASS, LOCALIZATION, or another type to remove."""
    whole = ranking(judged, chosen)
    rows = np.flatnonzero(chosen)
    of_kind = judged.kind[rows] == kind
    if kind not in (CLASS, LOCALIZATION):
        return whole.without(of_kind)
    # Of all detections that would have the same action, the best one stays and is right.
    contenders = np.flatnonzero(of_kind | (judged.kind[rows] == RIGHT))
    order = contenders[np.argsort(-judged.found.scores[rows[contenders]], kind="stable")]
    _, first = np.unique(judged.action[rows[order]], return_index=True)
    winners = np.zeros(len(rows), bool)
    winners[order[first]] = True
    losers = np.zeros(len(rows), bool)
    losers[contenders] = ~winners[contenders]
    label = whole.label.copy()
    label[winners] = judged.truth.label[judged.action[rows[winners]]]
    return replace(whole, label=label, hit=winners).without(losers)
