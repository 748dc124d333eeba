"""From the results of small runs to a learning curve, and what it says about more clicks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from punctum.runtime.diagnosis.fixes import Ranking

from ..records import Record
from .extrapolate import PowerLaw, fit_power_law

ENOUGH = 20
"""Clicks of a class in the training videos from which its curve is estimated."""


def learning_curve(
    results: Sequence[Record],
    labels: Sequence[str],
    clicks_of_class: Sequence[int],
    *,
    planned: Collection[float] | None = None,
) -> Record:
    """The curve and its continuation, for JSON.

    Args:
        results: of the runs, as from `run_plan`; at least one.
        labels: class names.
        clicks_of_class: clicks of each class in all training videos.
        planned: parts of the training videos of which each fold has a run in the end. None: those of the results.
    """
    shares = sorted({r["share"] for r in results})
    by_fold = {fold: {r["share"]: r for r in results if r["fold"] == fold} for fold in {r["fold"] for r in results}}
    wanted = set(shares if planned is None else planned)
    whole = sorted(fold for fold, rows in by_fold.items() if wanted <= rows.keys())
    # Folds differ more than parts of one fold, so that only complete ones are comparable.
    chosen = whole or sorted(by_fold)
    rows = [_row([by_fold[fold][share] for fold in chosen if share in by_fold[fold]], share) for share in shares]
    total = int(sum(clicks_of_class))
    points, per_class = [row[0] for row in rows], [row[1] for row in rows]
    record: Record = {
        "folds": len(chosen),
        "complete": bool(whole),
        "points": points,
        "clicks": total,
        "ap": _continued([p["clicks"] for p in points], [p["ap"] for p in points], total),
        "map": None,
        "classes": {},
        "too_few": {label: int(n) for label, n in zip(labels, clicks_of_class, strict=True) if n < ENOUGH},
    }
    law = fit_power_law([p["clicks"] for p in points], [p["ap"] for p in points])
    if len(whole) > 1 and record["ap"] is not None and law is not None:
        _add_range(record["ap"], [by_fold[fold] for fold in whole], total)
    if all(p["map"] is not None for p in points):
        record["map"] = _continued([p["clicks"] for p in points], [p["map"] for p in points], total)
    for c, label in enumerate(labels):
        mine = [(clicks[c], ap[c]) for clicks, ap in per_class]
        if clicks_of_class[c] >= ENOUGH and law is not None and all(n > 0 and np.isfinite(ap) for n, ap in mine):
            x, y = [n for n, _ in mine], [ap for _, ap in mine]
            record["classes"][label] = {
                "clicks": int(clicks_of_class[c]),
                "ap": [round(float(ap), 4) for ap in y],
                **(_continued(x, y, int(clicks_of_class[c]), known=law.b) or {}),
            }
    return record


def _row(parts: Sequence[Record], share: float) -> tuple[Record, tuple[list[float], list[float]]]:
    """One point of the curve, and clicks and average precision of each class there."""
    ranking = _pooled(parts)
    maps = [r["map"] for r in parts if r["map"] is not None]
    classes = len(ranking.actions)
    point = {
        "share": share,
        "runs": len(parts),
        "clicks": round(float(np.mean([r["clicks"] for r in parts])), 1),
        "ap": round(ranking.average_precision, 4),
        "f1": round(_best_f1(ranking), 4),
        "map": round(float(np.mean(maps)), 4) if len(maps) == len(parts) else None,
    }
    each = [
        replace(ranking, known=np.arange(classes) == c).average_precision if ranking.actions[c] else float("nan")
        for c in range(classes)
    ]
    return point, (np.mean([r["clicks_of_class"] for r in parts], axis=0).tolist(), each)


def _pooled(parts: Sequence[Record]) -> Ranking:
    """The events of all folds in one ranking, as for calibration."""
    label = np.array([c for r in parts for c in r["label"]], np.int64)
    score = np.array([x for r in parts for x in r["score"]], np.float64)
    hit = np.array([h for r in parts for h in r["hit"]], bool)
    actions = np.sum([r["held_out_of_class"] for r in parts], axis=0)
    return Ranking(label, score, hit, actions, actions > 0)


def _best_f1(ranking: Ranking) -> float:
    """F1 from the best minimum score on."""
    order = np.argsort(-ranking.score, kind="stable")
    if not len(order):
        return 0.0
    f1 = 2 * np.cumsum(ranking.hit[order]) / (np.arange(1, len(order) + 1) + ranking.actions.sum())
    return float(f1.max())


def _continued(
    clicks: Sequence[float], accuracy: Sequence[float], total: int, *, known: float | None = None
) -> Record | None:
    """Estimates for all clicks and for twice as many; None without two different numbers of clicks."""
    law = fit_power_law(clicks, accuracy, known=known)
    if law is None:
        return None
    now, twice = law.accuracy(total), law.accuracy(2 * total)
    return {"exponent": round(law.b, 3), "now": round(now, 4), "twice": round(twice, 4)}


def _add_range(record: Record, folds: Sequence[dict[float, Record]], total: int) -> None:
    """The gain that each fold alone would predict: how certain the estimate is."""
    gains = []
    for rows in folds:
        law: PowerLaw | None = fit_power_law(
            [r["clicks"] for r in rows.values()], [_pooled([r]).average_precision for r in rows.values()]
        )
        if law is not None:
            gains.append(law.accuracy(2 * total) - law.accuracy(total))
    if gains:
        record["gain_low"], record["gain_high"] = round(min(gains), 4), round(max(gains), 4)
