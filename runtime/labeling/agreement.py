"""How well annotators agree, and where they do not."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from ..datasets.annotators import Mark, compare
from .store import ClickStore

MOST = 500  # conflicts that are listed


def agreement(store: ClickStore) -> dict[str, Any]:
    """Compare each two annotators in the videos that both have labeled.

    A video counts as labeled by an annotator who has clicked in it, or has marked it as finished or as one in which
    nothing happens.

    Returns:
        annotators: their names; pairs: shares and counts of each two; conflicts: clicks that the other annotator does
        not have, or has with another class, in the order of the videos.
    """
    with store._busy:
        clicks = list(store.clicks.values())
        marks = [store.labeling.nothing, store.labeling.finished]
        labeled: dict[str, set[str]] = {}
        for click in clicks:
            labeled.setdefault(click.annotator, set()).add(click.video)
        for one in marks:
            for video, names in one.items():
                for name in names:
                    labeled.setdefault(name, set()).add(video)
    by: dict[tuple[str, str], list[Mark]] = {}
    for click in clicks:
        by.setdefault((click.annotator, click.video), []).append(
            Mark(click.annotator, click.label, click.time_s, click.id)
        )
    pairs, conflicts = [], []
    for first, second in combinations(sorted(labeled), 2):
        both = labeled[first] & labeled[second]
        counts = [0, 0, 0]
        for video in (name for name in store.videos if name in both):
            result = compare(by.get((first, video), []), by.get((second, video), []))
            for k, found in enumerate((result.agreed, result.classes, result.alone)):
                counts[k] += len(found)
            for pair in result.classes:
                conflicts.append(_conflict(video, pair.first, pair.second))
            for mark in result.alone:
                conflicts.append(_conflict(video, mark, None, second if mark.annotator == first else first))
        every = sum(counts)
        share = counts[0] / every if every else 1.0
        facts = {"annotators": [first, second], "videos": len(both), "share": round(share, 4)}
        pairs.append({**facts, "agreed": counts[0], "classes": counts[1], "alone": counts[2]})
    return {"annotators": sorted(labeled), "pairs": pairs, "conflicts": conflicts[:MOST], "total": len(conflicts)}


def _conflict(video: str, first: Mark, second: Mark | None, missing: str = "") -> dict[str, Any]:
    found = {"video": video, "time_s": first.time_s, "ids": [first.key], "labels": [first.label]}
    found["annotators"] = [first.annotator, second.annotator if second else missing]
    if second is not None:
        found |= {"ids": [first.key, second.key], "labels": [first.label, second.label]}
    return found
