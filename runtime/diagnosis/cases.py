"""The worst cases: actions that are not found and wrong detections, the most confident errors first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .judge import CLASS, CONFUSION, DUPLICATE, LOCALIZATION, NAMES, RIGHT, Flags, Judgment

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """One error: an action that is not found, a wrong detection, or both where one explains the other.

    Attributes:
        kind: Type of the error; "missed" or "merged" for an action without a wrong detection.
        video: Name of the video.
        start_s: Start of the detection, or of the action without one, in seconds.
        end_s: Its end.
        action: Class of the action; empty for background.
        action_s: Start and end of the action; None for background.
        found: Class of the detection; empty without one.
        score: Score of the detection; 0 without one.
        weak: For an action that is not found, the best score of a detection that could match it; 0 without one.
        severity: Score of the wrong detection, plus what `weak` lacks of the highest score if the action is not found.
    """

    kind: str
    video: str
    start_s: float
    end_s: float
    action: str
    action_s: tuple[float, float] | None
    found: str
    score: float
    weak: float
    severity: float

    @property
    def what(self) -> str:
        """What happened, in words."""
        if not self.found:
            if self.kind == "merged":
                return f"{self.action}: in an event that counts for another click"
            return f"{self.action}: not found" + (f", only with a score of {self.weak:.2f}" if self.weak > 0 else "")
        texts = {
            "duplicate": f"{self.found}: another event for the same action",
            "localization": f"{self.found}: wrong start or end",
            "class": f"{self.action}: reported as {self.found}",
            "confusion": f"{self.action}: reported as {self.found}, with wrong start or end",
            "background": f"{self.found}: no action there",
        }
        return texts[self.kind]

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "video": self.video,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "action": self.action or None,
            "action_s": None if self.action_s is None else [round(t, 3) for t in self.action_s],
            "found": self.found or None,
            "score": round(self.score, 4),
            "weak": round(self.weak, 4),
            "severity": round(self.severity, 4),
            "what": self.what,
        }


def worst_cases(judged: Judgment, chosen: Flags, most: int) -> tuple[Case, ...]:
    """The worst errors among the chosen detections and the actions that they do not match.

    Args:
        judged: All detections, also those below the minimum score.
        chosen: Which count, bool [N].
        most: Number of cases.
    """
    found = judged.found
    highest = float(found.scores.max(initial=0.0)) or 1.0
    best = _best_scores(judged)
    open_actions = ~is_found(judged, chosen)
    cases = []
    for k in np.flatnonzero(chosen & (judged.kind != RIGHT))[
        np.argsort(-found.scores[chosen & (judged.kind != RIGHT)])
    ]:
        kind, g = int(judged.kind[k]), int(judged.action[k])
        severity, weak = float(found.scores[k]), 0.0
        # The best wrong detection at an action that is not found explains it: one case.
        if kind in (CLASS, CONFUSION, LOCALIZATION) and open_actions[g]:
            open_actions[g] = False
            weak = float(best[g])
            severity += highest - weak
        elif kind == DUPLICATE:
            severity /= 2  # the action is found, and the event is in the right place
        cases.append(_case(judged, NAMES[kind], g, int(k), weak, severity))
    for g in np.flatnonzero(open_actions).tolist():
        merged = judged.within[g] >= 0 and chosen[judged.within[g]]
        weak = float(best[g])
        cases.append(_case(judged, "merged" if merged else "missed", g, -1, weak, highest - weak))
    cases.sort(key=lambda case: (-case.severity, case.video, case.start_s))
    return tuple(cases[:most])


def is_found(judged: Judgment, chosen: Flags) -> Flags:
    """Which actions the chosen detections match, bool [G]."""
    matched = judged.match >= 0
    matched[matched] = chosen[judged.match[matched]]
    return matched


def _best_scores(judged: Judgment) -> F64:
    """The best score of a detection that could match each action, whether or not it is good enough; 0 without one."""
    best = np.zeros(len(judged.truth.label))
    fitting = np.isin(judged.kind, (RIGHT, DUPLICATE))
    np.maximum.at(best, judged.action[fitting], judged.found.scores[fitting])
    return best


def _case(judged: Judgment, kind: str, g: int, k: int, weak: float, severity: float) -> Case:
    truth, found = judged.truth, judged.found
    action = None if g < 0 else (float(truth.segments[g, 0]), float(truth.segments[g, 1]))
    start, end = found.segments[k] if k >= 0 else truth.segments[g]
    video = found.video[k] if k >= 0 else truth.video[g]
    return Case(
        kind=kind,
        video=truth.videos[video],
        start_s=float(start),
        end_s=float(end),
        action=truth.labels[truth.label[g]] if g >= 0 else "",
        action_s=action,
        found=truth.labels[found.label[k]] if k >= 0 else "",
        score=float(found.scores[k]) if k >= 0 else 0.0,
        weak=weak,
        severity=severity,
    )
