"""Warnings of clicks of one class that are so close that they probably mark the same action."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from ..errors import InputError
from ..text.display import counted, some
from .dataset import Dataset
from .findings import CheckResult
from .tables import PointRow

CLOSE_S = 0.4
"""Clicks of one annotator and class that are farther apart are two actions. The closest actions of THUMOS14, GTEA, UR
Fall and CCTV-Fights are .43 s apart."""
PART = 0.25
"""Actions of a class are rarely closer than this share of their median distance."""
KNOWN = 5
"""Distances of a class from which their median says something."""


def check_close(data: Dataset, rows: list[PointRow], result: CheckResult) -> None:
    """Warn about pairs of clicks of one annotator and class that are closer than `CLOSE_S`, and `PART` of the median
    distance of the class."""
    times: dict[tuple[str, str, str], dict[float, int]] = {}
    for row in rows:
        try:
            time_s = row.frame if row.seconds else row.time_s(data.rate(row.video))
        except InputError:  # reported by row
            continue
        times.setdefault((row.label, row.video, row.annotator), {}).setdefault(time_s, row.line)
    gaps: dict[str, list[tuple[float, str, float, int]]] = {}
    for (label, video, _), lines in times.items():
        for before, after in pairwise(sorted(lines)):
            gaps.setdefault(label, []).append((after - before, video, after, lines[after]))
    found = []
    for mine in gaps.values():
        usual = median(gap for gap, *_ in mine) if len(mine) >= KNOWN else float("inf")
        found += [each for each in mine if each[0] < min(CLOSE_S, PART * usual)]
    if found:
        found.sort(key=lambda each: each[3])
        where = some([f"{video} {time_s:.2f} s" for _, video, time_s, _ in found], 3)
        result.warn(
            "points-close",
            data.points_file,
            f"{counted(len(found), 'click')} within {CLOSE_S:g} s of another of its class and annotator ({where})",
            "delete one of each two if they mark the same action: they count as two",
            found[0][3],
        )
