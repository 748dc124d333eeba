"""Delay measured like accuracy: what a stream has reported by the deadline, and where mAP is lost on the way.

    python benchmarks/online.py BUNDLE DATA [--split split_1] [--max-delay 0.25,0.5,1,2,5] [--save FOLDER] [--json FILE]
    python benchmarks/online.py BUNDLE,BUNDLE,... DATA --split split_1,split_2,...     one bundle a split; means

Prints Markdown. The second table splits the gap to offline. "repaired alone": points of mAP gained if one property of
the reports in time were that of the final events: wrong reports (retracted later) removed, boundaries, scores,
missing events added. With all four repaired the result is the offline one. The third table follows the actions that
the final events find (tIoU 0.5, at least the minimum score): at the deadline they were found as well, reported below
the minimum score, reported as running, or not yet reported. --save writes all events as JSON Lines, one file for each
split and deadline, and later runs read these files.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from punctum import kernels
from punctum.runtime import Bundle, Dataset, Localizer, evaluate
from punctum.runtime.cli.eval_online import media_hours
from punctum.runtime.evaluation.average_precision import Detections
from punctum.runtime.evaluation.online import (
    Claims,
    best_operating_point,
    check_delays,
    evaluate_claims,
    matched,
    replay,
)
from punctum.runtime.events.event import Event
from punctum.runtime.live import LiveOptions
from result_file import add_json, rows_of, save

FATES = ("found", "wrong boundary", "low score", "running", "withdrawn", "silent")
REPAIRS = ("wrong reports", "boundaries", "scores", "missing")


def events_of(localizer, data: Dataset, truth, live: LiveOptions | None, saved: Path | None):
    """Events by video, and the real-time factor (NaN where they were read back)."""
    if saved is not None and saved.exists():
        found = {video: [] for video in truth.videos}
        for line in saved.read_text().splitlines():
            event = Event.from_json(line)
            found[event.stream].append(event)
        return found, math.nan
    found, media, spent = {}, 0.0, 0.0
    for video in truth.videos:
        features = data.features(video)
        media += features.duration_s
        began = time.perf_counter()
        if live is None:
            found[video] = localizer.localize(features, stream=video)
        else:
            found[video] = replay(localizer, features, stream=video, live=live)
        spent += time.perf_counter() - began
    if saved is not None:
        saved.parent.mkdir(parents=True, exist_ok=True)
        saved.write_text("".join(e.to_json() + "\n" for events in found.values() for e in events))
    return found, spent / media


def said_rows(claims: Claims, delay: float) -> np.ndarray:
    """The row of `claims` behind every detection of `by_deadline`, in its order."""
    marked = replace(claims, scores=np.arange(len(claims), dtype=np.float64))
    return marked.by_deadline(delay).scores.astype(np.int64)


def repaired(truth, claims: Claims, delay: float) -> dict[str, float]:
    """mAP points won by repairing one thing alone, and by all of them."""
    rows, last, final = said_rows(claims, delay), claims.last, claims.phase == 2
    ends = last[claims.event[rows]]
    kept = final[ends]
    ours = np.where(kept, ends, rows)
    finals = np.flatnonzero(final)
    missing = finals[~np.isin(claims.event[finals], claims.event[rows])]

    def points(rows_, box, score, add=()):
        rows_, box, score = (np.concatenate([part, np.asarray(add, np.int64)]) for part in (rows_, box, score))
        order = np.argsort(claims.place[score], kind="stable")
        found = Detections(claims.video[rows_], claims.label[rows_], claims.segments[box], claims.scores[score])
        found = Detections(found.video[order], found.label[order], found.segments[order], found.scores[order])
        return 100 * evaluate(truth, found).average

    base = points(rows, rows, rows)
    return {
        "wrong reports": points(rows[kept], rows[kept], rows[kept]) - base,
        "boundaries": points(rows, ours, rows) - base,
        "scores": points(rows, rows, ours) - base,
        "missing": points(rows, rows, rows, missing) - base,
        "all": points(rows[kept], ours[kept], ours[kept], missing) - base,
    }


def fates(truth, claims: Claims, delay: float, min_score: float) -> dict[str, float]:
    """Shares of the truths that final events find: what had been said of them by their own deadline."""
    finals = claims.by_deadline(math.inf)
    loud = finals.scores >= min_score
    wanted = np.unique(matched(truth, finals)[loud & (matched(truth, finals) >= 0)])
    rows = said_rows(claims, delay)
    count = dict.fromkeys(FATES, 0)
    for g in wanted:
        end = truth.segments[g, 1]
        same = (claims.video == truth.video[g]) & (claims.label == truth.label[g])
        overlap = kernels.segment_iou(truth.segments[g : g + 1], claims.segments)[0]
        mine = rows[same[rows] & (overlap[rows] > 0.1)]
        heard = np.flatnonzero(same & (overlap > 0.1) & (claims.emitted_at <= end + delay + 1e-6))
        good = mine[overlap[mine] >= 0.5]
        if (claims.scores[good] >= min_score).any():
            fate = "found"
        elif len(good):
            fate = "low score"
        elif (claims.scores[mine] >= min_score).any():
            fate = "wrong boundary"
        elif len(heard):
            latest = heard[np.argmax(claims.emitted_at[heard])]
            fate = "withdrawn" if claims.phase[latest] == 3 else "running"
            if claims.ended[latest] and fate == "running":
                fate = "low score"
        else:
            fate = "silent"
        count[fate] += 1
    return {name: n / max(len(wanted), 1) for name, n in count.items()}


def measure(bundle: Path, data_folder: Path, split: str | None, delays, save: Path | None, live) -> dict[str, list]:
    """One bundle on one split: rows for the deadlines and, last, offline."""
    data = Dataset.open(data_folder, split=split)
    truth = data.truth()
    localizer = Localizer(Bundle.load(bundle))
    hours = media_hours(data, truth)
    name = f"{data.name}{'-' + split if split else ''}"
    out: dict[str, list] = {"rows": [], "repaired": [], "fates": []}
    offline, factor = events_of(localizer, data, truth, None, save and save / f"{name}-offline.jsonl")
    quiet = Claims.from_events(offline, truth)
    min_score = best_operating_point(truth, quiet.by_deadline(math.inf)).score
    for delay in delays:
        options = replace(live, max_delay_s=delay)
        found, used = events_of(localizer, data, truth, options, save and save / f"{name}-{delay:g}.jsonl")
        claims = Claims.from_events(found, truth)
        row = evaluate_claims(truth, claims, delay, min_score=min_score, hours=hours, real_time_factor=used)
        out["rows"].append(row.to_record())
        out["repaired"].append(repaired(truth, claims, delay))
        out["fates"].append(fates(truth, claims, delay, min_score))
    row = evaluate_claims(truth, quiet, math.inf, min_score=min_score, hours=hours, real_time_factor=factor)
    out["rows"].append(row.to_record())
    return out


def mean(records: list) -> object:
    """Means of equal records, leaf by leaf; None and NaN are left out."""
    first = records[0]
    if isinstance(first, dict):
        return {key: mean([r[key] for r in records]) for key in first}
    known = [r for r in records if r is not None and not math.isnan(r)]
    return sum(known) / len(known) if known else None


def table(head: list[str], rows: list[list[object]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = ["-" if x is None else x if isinstance(x, str) else f"{x:.2f}" for x in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def show(record: dict[str, list]) -> None:
    """The three tables."""
    names = ["offline" if r["max_delay_s"] is None else f"{r['max_delay_s']:g} s" for r in record["rows"]]
    head = ["max_delay_s", "mAP .1:.7", "@.3", "@.5", "@.7", "reported in time", "delay mean", "median", "p95"]
    head += ["never", "start latency, median", "false alarms/h", "first open", "revisions/event", "retracted", "RTF"]
    rows = []
    for name, r in zip(names, record["rows"], strict=True):
        delay = r["detection_delay_s"]
        rows.append([name, *(100 * r["map"][k] for k in ("average", "0.3", "0.5", "0.7")), r["in_time"]])
        rows[-1] += [delay[k] for k in ("mean", "median", "p95", "never")] + [r["start_latency_s"]["median"]]
        rows[-1] += [r["false_alarms_per_hour"], r["first_seen_open"], r["revisions_per_event"]]
        rows[-1] += [r["retractions_per_event"], r["real_time_factor"]]
    print(table(head, rows), "\n")
    for text, key, columns in (
        ("mAP points won where this alone is repaired", "repaired", [*REPAIRS, "all"]),
        ("What had been said, by their deadline, of the actions that the final events find", "fates", FATES),
    ):
        rows = [[name, *r.values()] for name, r in zip(names, record[key], strict=False)]
        print(f"{text}\n\n{table(['max_delay_s', *columns], rows)}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", help="one bundle, or one a split")
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="")
    parser.add_argument("--max-delay", default="0.25,0.5,1,2,5")
    parser.add_argument("--report-score", type=float, default=LiveOptions().report_score)
    parser.add_argument("--tick", type=float, default=None, help="seconds between reports; default max_delay / 3")
    parser.add_argument("--save", type=Path, default=None)
    add_json(parser)
    options = parser.parse_args()
    bundles, splits = options.bundle.split(","), options.split.split(",")
    if len(bundles) != len(splits):
        parser.error(f"{len(bundles)} bundles for {len(splits)} splits")
    delays = check_delays([float(d) for d in options.max_delay.split(",")])
    live = LiveOptions(report_score=options.report_score, tick_s=options.tick)
    found = [
        measure(Path(bundle), options.data, split or None, delays, options.save, live)
        for bundle, split in zip(bundles, splits, strict=True)
    ]
    record = {key: [mean(list(rows)) for rows in zip(*(f[key] for f in found), strict=True)] for key in found[0]}
    show(record)
    save(options.json, rows_of(record), details=record if isinstance(record, dict) else {"rows": record})


if __name__ == "__main__":
    main()
