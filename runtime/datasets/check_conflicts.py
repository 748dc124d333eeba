"""Warnings about clicks of several annotators at the same time with different classes."""

from __future__ import annotations

from itertools import combinations

from ..errors import InputError
from ..text.display import counted, some
from .annotators import Mark, compare
from .dataset import Dataset
from .findings import CheckResult
from .tables import PointRow


def check_conflicts(data: Dataset, rows: list[PointRow], result: CheckResult) -> None:
    """Warn about clicks of two annotators at about the same time with different classes: training uses both."""
    by: dict[str, dict[str, list[Mark]]] = {}
    for row in rows:
        try:
            time_s = row.frame if row.seconds else row.time_s(data.rate(row.video))
        except InputError:  # reported by row
            continue
        by.setdefault(row.video, {}).setdefault(row.annotator, []).append(
            Mark(row.annotator, row.label, time_s, row.line)
        )
    found: list[tuple[int, str]] = []
    for video, clicks in by.items():
        for first, second in combinations(sorted(clicks), 2):
            for one, other in compare(clicks[first], clicks[second]).classes:
                line = max(int(str(one.key)), int(str(other.key)))
                found.append((line, f"{video} {one.time_s:.2f} s: {one.label} ({first}), {other.label} ({second})"))
    if found:
        found.sort()
        result.warn(
            "points-conflict",
            data.points_file,
            f"{counted(len(found), 'action')} with different classes by two annotators "
            f"({some([text for _, text in found], 3)})",
            "delete the wrong one of each two clicks: training uses both",
            found[0][0],
        )
