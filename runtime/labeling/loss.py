"""Labels that another program has removed from the files: the store keeps a copy, and pages report the loss."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..datasets.background import BackgroundRow, write_background
from ..errors import PunctumError
from ..files.atomic import atomic_write
from ..text.display import as_utf8, counted
from .clicks import Click, write_clicks
from .lock import make_work

_MOST_COPIES = 100
_MADE = re.compile(r"[0-9a-f]{12}(-\d+)?")  # ids of rows without one: another program that changes a cell changes it


def lost_clicks(before: Mapping[str, Click], now: Iterable[Click]) -> list[Click]:
    """Clicks that have disappeared. A changed row without an id counts as the same click."""
    after = {click.id: click for click in now}
    fresh = Counter((click.video, click.label) for ident, click in after.items() if ident not in before)
    lost = []
    for click in before.values():
        if click.id in after:
            continue
        key = (click.video, click.label)
        if _MADE.fullmatch(click.id) and fresh[key]:
            fresh[key] -= 1
        else:
            lost.append(click)
    return lost


def tell_lost_clicks(work: Path, path: Path, before: Mapping[str, Click], now: Iterable[Click]) -> str:
    """Keep a copy of the previous clicks if some are lost. Returns the message for pages; empty if none is lost."""
    lost = lost_clicks(before, now)
    return _told(work, path, counted(len(lost), "click"), write_clicks(before.values())) if lost else ""


def tell_lost_spans(
    work: Path, path: Path, before: Mapping[str, BackgroundRow], now: Mapping[str, BackgroundRow]
) -> str:
    """The same for certified background."""
    lost = [ident for ident in before if ident not in now]
    return _told(work, path, counted(len(lost), "span"), write_background(before.values())) if lost else ""


def _told(work: Path, path: Path, what: str, text: str) -> str:
    how = "was changed by another program" if path.exists() else "was removed by another program"
    try:
        copy = _keep(work, path.stem, text)
    except (PunctumError, OSError) as error:
        return f"{path.name} {how}: {what} gone. No copy of the rows before could be saved ({as_utf8(str(error))})"
    return f"{path.name} {how}: {what} gone. A copy of all rows before is in {as_utf8(str(copy))}"


def _keep(work: Path, stem: str, text: str) -> Path:
    make_work(work / "before")
    for number in range(1, _MOST_COPIES):
        path = work / "before" / (f"{stem}.csv" if number == 1 else f"{stem}-{number}.csv")
        with contextlib.suppress(OSError):
            if path.read_text("utf-8") == text:
                return path
        if not path.exists():
            break
    atomic_write(path, text, parents=False)
    return path
