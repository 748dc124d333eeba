"""What `punctum diagnose` prints: plain tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..diagnosis.words import FACTORS, TITLES, gain, number, span, summary
from .terminal import cell, console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..diagnosis.diagnose import Diagnosis
    from ..diagnosis.groups import Group

PIPE_WIDTH = 160
"""Columns where there is no terminal whose width would limit the tables."""
LARGEST_TABLE = 8
"""Classes up to which the whole confusion table is printed."""
PAIRS = 15


def print_diagnosis(result: Diagnosis, head: dict[str, Any]) -> None:
    """Print the tables."""
    shown = console()
    if not shown.is_terminal:
        shown = console(width=PIPE_WIDTH)
    name = " ".join(part for part in (head["dataset"], head["split"], head["subset"]) if part)
    shown.print(cell(summary(result, name)))
    shown.print(_errors(result))
    shown.print(_groups(result))
    _print_confusion(result, shown)
    _print_cases(result, shown)
    _print_suspects(result, shown)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    """A table whose first `left` columns are texts, and the others numbers."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for k, name in enumerate(columns):
        table.add_column(cell(name), justify="left" if k < left else "right")
    return table


def _errors(result: Diagnosis) -> Table:
    table = _table(
        "error types, and what fixing each would give", "", "errors", "F1", "gain", "errors, all events", "AP", "gain"
    )
    for each in result.errors:
        table.add_row(
            TITLES.get(each.name, each.name),
            str(each.count),
            number(each.f1),
            gain(each.f1 - result.f1),
            str(each.count_all),
            number(each.average_precision),
            gain(each.average_precision - result.average_precision),
        )
    return table


def _groups(result: Diagnosis) -> Table:
    thing = "clicks" if result.tiou is None else "actions"
    table = _table(f"{thing} that are not found", "by", "group", thing, "not found", "share (95 %)", left=2)
    before = ""
    for group in result.groups:
        if before and group.factor != before:
            table.add_section()
        table.add_row(FACTORS[group.factor] if group.factor != before else "", cell(group.name), *_missed(group))
        before = group.factor
    return table


def _missed(group: Group) -> tuple[str, ...]:
    share = group.found
    low, high = share.interval
    missed = share.total - share.hits
    return str(share.total), str(missed), f"{1 - share.value:.0%} ({1 - high:.0%} to {1 - low:.0%})"


def _print_confusion(result: Diagnosis, shown: Console) -> None:
    classes = list(dict.fromkeys(name for each in result.confusions for name in (each.action, each.found) if name))
    classes = sorted(classes)
    count = {(each.action, each.found): each.count for each in result.confusions}
    if len(classes) <= LARGEST_TABLE:
        table = _table("confusion: action (row) and what it was reported as", "", *classes, "no event")
        for a in classes:
            table.add_row(cell(a), *(str(count.get((a, b), 0) or "") for b in (*classes, "")))
        table.add_row("no action", *(str(count.get(("", b), 0) or "") for b in classes), "")
        shown.print(table)
        return
    table = _table("confusion: the most frequent", "action", "reported as", "number", left=2)
    wrong = [each for each in result.confusions if each.action and each.found and each.action != each.found]
    for each in sorted(wrong, key=lambda e: (-e.count, e.action, e.found))[:PAIRS]:
        table.add_row(cell(each.action), cell(each.found), str(each.count))
    if wrong:
        shown.print(table)


def _print_cases(result: Diagnosis, shown: Console) -> None:
    if not result.cases:
        shown.print("no errors")
        return
    table = _table(
        "worst cases: a wrong event and a missed action at once come first",
        "recording",
        "time",
        "what happened",
        "score",
        left=3,
    )
    for case in result.cases:
        score = f"{case.score:.2f}" if case.found else "-"
        table.add_row(cell(case.video), span(case.start_s, case.end_s), cell(case.what), score)
    shown.print(table)


def _print_suspects(result: Diagnosis, shown: Console) -> None:
    if not result.suspects:
        return
    table = _table("suspected label errors", "recording", "time", "what contradicts the labels", "score", left=3)
    for each in result.suspects:
        table.add_row(cell(each.video), f"{each.time_s:.2f} s", cell(each.what), f"{each.score:.2f}")
    shown.print(table)
