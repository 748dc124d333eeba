"""The results of an ablation: mean and spread over seeds, as a record and as a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ..records import Record
from .rows import FULL, Row

Values = Mapping[str, Sequence[Mapping[str, float]]]
"""Row -> for each seed, mAP by tIoU and "average"."""


def table_record(rows: Sequence[Row], values: Values) -> list[Record]:
    """The rows for JSON. Differences are those of the same seed, so that they vary less than the values."""
    made = []
    for row in rows:
        each = values[row.name]
        average = [one["average"] for one in each]
        record: Record = {
            "row": row.name,
            "title": row.title,
            "training": row.training,
            "fusion": row.post.fusion.model_dump(mode="json"),
            "adapt": row.post.adapt,
            "map": {level: _summary([one[level] for one in each]) for level in each[0]},
        }
        if row.name != FULL:
            gaps = [a - b["average"] for a, b in zip(average, values[FULL], strict=True)]
            record["difference"] = _summary(gaps)
        made.append(record)
    return made


def markdown(record: Mapping[str, Any], command: str) -> str:
    """The whole table, with what it was measured on."""
    levels = [f"{level:g}" for level in record["thresholds"]]
    seeds = record["seeds"]
    several = len(seeds) > 1
    spread = ", mean over the seeds, lowest to highest in parentheses" if several else ""
    place = f"{record['dataset']} {record['split'] or ''}".strip()
    lines = [
        f"# Ablations: {place}",
        "",
        f"mAP (%) at tIoU {', '.join(levels)} and their average{spread}. {record['train_videos']} training videos with "
        f"{record['clicks']} clicks, {record['test_videos']} test videos with {record['actions']} actions. Seeds: "
        f"{', '.join(map(str, seeds))}.",
        "",
        "| | average | " + " | ".join(levels) + " | against the full method |",
        "|---" * (len(levels) + 3) + "|",
    ]
    full = next(row for row in record["rows"] if row["row"] == FULL)
    for row in record["rows"]:
        found = row["map"]
        average = _cell(found["average"], several=several)
        cells = [f"{100 * found[level]['mean']:.1f}" for level in levels]
        gap = "" if "difference" not in row else _gap(row, full, several=several)
        title = f"**{row['title']}**" if row["row"] == FULL else row["title"]
        lines.append(f"| {title} | {average} | {' | '.join(cells)} | {gap} |")
    lines += ["", "```bash", command, "```", ""]
    return "\n".join(lines)


def _summary(each: Sequence[float]) -> Record:
    return {
        "mean": statistics.fmean(each),
        "lowest": min(each),
        "highest": max(each),
        "deviation": statistics.stdev(each) if len(each) > 1 else None,
        "seeds": list(each),
    }


def _gap(row: Mapping[str, Any], full: Mapping[str, Any], *, several: bool) -> str:
    """The difference, of one seed that of the values as they are shown: 52.7 and 52.4 differ by 0.3."""
    if several:
        return _cell(row["difference"], several=True, signed=True)
    shown = [round(100 * each["map"]["average"]["mean"], 1) for each in (row, full)]
    return f"{shown[0] - shown[1]:+.1f}"


def _cell(found: Mapping[str, Any], *, several: bool, signed: bool = False) -> str:
    form = "{:+.1f}" if signed else "{:.1f}"
    text = form.format(100 * found["mean"])
    if several:
        text += f" ({form.format(100 * found['lowest'])} to {form.format(100 * found['highest'])})"
    return text
