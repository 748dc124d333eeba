"""What the page of a diagnosis shows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..diagnosis import words
from . import _charts
from .moments import moment_of

if TYPE_CHECKING:
    from ..diagnosis.cases import Case
    from ..diagnosis.diagnose import Diagnosis
    from ..diagnosis.suspects import Suspect
    from ._model import DiagnosisReport


def diagnosis_values(report: DiagnosisReport) -> dict[str, object]:
    """The values of the template."""
    result = report.diagnosis
    return {
        "title": report.title,
        "report": report,
        "result": result,
        "thing": "clicks" if result.by == "clicks" else "actions",
        "judge": words.judge(result),
        "number": words.number,
        "gain": words.gain,
        "titles": words.TITLES,
        "factors": words.FACTORS,
        "confusion": _confusion(result, report.labels),
        "cases": [(case, words.span(case.start_s, case.end_s), _picture(case, report)) for case in result.cases],
        "suspects": [(each, f"{each.time_s:.2f} s", _picture(each, report)) for each in result.suspects],
        "patterns": _charts.patterns(0),
        "facts": {"Bundle": report.bundle, "Machine": report.machine},
        "notes": report.notes,
    }


def _confusion(
    result: Diagnosis, labels: Sequence[str]
) -> tuple[list[str], list[tuple[str, list[tuple[int, int, bool]]]]]:
    """Column titles, and rows of (count, heat from 0 to 9, whether it is right) for classes that occur."""
    count = {(each.action, each.found): each.count for each in result.confusions}
    used = {name for pair in count for name in pair}
    classes = [label for label in labels if label in used]
    rows = []
    for action in [*classes, ""]:
        cells = [count.get((action, found), 0) for found in [*classes, ""]]
        total = max(sum(cells), 1)
        right = [action == found and bool(action) for found in [*classes, ""]]
        heat = [min(int(10 * n / total), 9) if action else 0 for n in cells]
        rows.append((action or "no action", list(zip(cells, heat, right, strict=True))))
    return [*classes, "no event"], rows


def _picture(item: Case | Suspect, report: DiagnosisReport) -> str:
    """The picture as a data address; empty without one."""
    jpeg = report.pictures.get((item.video, moment_of(item)))
    return "" if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
