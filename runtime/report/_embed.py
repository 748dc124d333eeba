"""The data of a recording for the script of the page, thinned to what a screen can show."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..events.event import Event
from ._model import RecordingReport, TrackSpan

F32 = npt.NDArray[np.float32]
CELLS = 1_200_000  # maximum bytes of tracks before base64; larger ones are reduced to minimum and maximum
EVENTS = 4000  # maximum number of events, best first; a note states how many are left out
REVISIONS = 40  # maximum per event
FINAL = 2
PHASES = ("open", "update", "final", "retracted")


def recording_data(report: RecordingReport, min_score: float) -> tuple[dict[str, object], tuple[str, ...]]:
    """Data for the script, and notes about omissions. Times are in seconds, rounded to milliseconds."""
    index = {label: k for k, label in enumerate(report.labels)}
    events, notes = _events(report, index)
    factor = thinning(report.tracks)
    if factor > 1:
        notes.append(f"Tracks show the minimum and maximum of every {factor} snippets.")
    proposals = sorted(report.proposals, key=lambda c: c.score)
    data: dict[str, object] = {
        "title": report.title,
        "start": _ms(report.start_s),
        "end": _ms(report.start_s + report.duration_s),
        "labels": list(report.labels),
        "min_score": _score(min_score),
        "thresholds": list(report.thresholds[:1]),
        "events": events,
        "truth": None if report.truth is None else [[index[a.label], _ms(a.start), _ms(a.end)] for a in report.truth],
        "tracks": [_track(t, len(report.labels), factor) for t in report.tracks if len(t.values)],
        "proposals": [[index[c.label], _ms(c.start), _ms(c.end), _score(c.score)] for c in proposals],
        "thumbs": [
            [_ms(t.at), "data:image/jpeg;base64," + base64.b64encode(t.jpeg).decode()]
            for t in sorted(report.thumbnails, key=lambda t: t.at)
        ],
    }
    return data, tuple(notes)


def to_script(data: object) -> str:
    """JSON that is safe inside a script element, whatever its strings contain."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def group_events(events: Sequence[Event]) -> list[list[Event]]:
    """The revisions of each event, by order of first appearance."""
    by_id: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        by_id.setdefault((event.stream, event.id), []).append(event)
    return [sorted(group, key=lambda e: e.revision) for group in by_id.values()]


def choose_min_score(report: RecordingReport) -> float:
    """Minimum score of the events shown at first: best F1 at tIoU 0.5 if the ground truth is known, otherwise a quarter
    of the best score."""
    if report.min_score is not None:
        return report.min_score
    finals = [e for e in report.events if e.phase == "final"]
    if report.truth and finals:
        from ..datasets.dataset import Truth
        from ..evaluation.average_precision import Detections
        from ..evaluation.online import best_operating_point

        index = {label: k for k, label in enumerate(report.labels)}
        truth = Truth(
            ("it",),
            report.labels,
            np.zeros(len(report.truth), np.int64),
            np.array([index[a.label] for a in report.truth], np.int64),
            np.array([[a.start, a.end] for a in report.truth], np.float64).reshape(-1, 2),
        )
        rows = [(0, index[e.label], e.start, e.end, e.score) for e in finals]
        found = best_operating_point(truth, Detections.from_rows(rows)).score
        if math.isfinite(found):
            return found
    return 0.25 * max((e.score for e in finals), default=0.0)


def thinning(tracks: Sequence[TrackSpan]) -> int:
    """How many snippets share one cell of minimum and maximum. 1: no thinning."""
    size = sum(t.values.size for t in tracks)
    return 1 if size <= CELLS else math.ceil(2 * size / CELLS)


def _events(report: RecordingReport, index: dict[str, int]) -> tuple[list[list[object]], list[str]]:
    groups = group_events(report.events)
    notes = []
    if len(groups) > EVENTS:
        left_out = len(groups) - EVENTS
        order = sorted(range(len(groups)), key=lambda k: (-groups[k][-1].score, k))[:EVENTS]
        highest = groups[order[-1]][-1].score
        groups = [groups[k] for k in sorted(order)]
        events = "event" if left_out == 1 else "events"
        notes.append(f"This page does not show {left_out:,} {events} with scores up to {highest:.3g}.")
    entries: list[list[object]] = []
    for group in groups:
        last, revisions = group[-1], group
        if len(revisions) > REVISIONS:
            keep = np.unique(np.linspace(0, len(revisions) - 1, REVISIONS).round().astype(int))
            revisions = [group[k] for k in keep]
        flags = last.interrupted + 2 * last.degraded
        history = [
            [PHASES.index(e.phase), _score(e.score), _ms(e.start), _ms(e.end), int(e.ended), _ms(e.emitted_at)]
            for e in revisions
        ]
        entries.append([last.id, index[last.label], flags, last.dropped, history])
    return entries, notes


def _track(track: TrackSpan, labels: int, factor: int) -> dict[str, object]:
    """Columns one after the other, one byte per value (0 to 255); thinned tracks have minimum and maximum."""
    values = np.clip(np.nan_to_num(track.values), 0.0, 1.0)
    parts = [values]
    if factor > 1:
        starts = np.arange(0, len(values), factor)
        parts = [np.minimum.reduceat(values, starts, axis=0), np.maximum.reduceat(values, starts, axis=0)]
    packed = [
        base64.b64encode(np.ascontiguousarray(np.rint(255 * p).astype(np.uint8).T).tobytes()).decode() for p in parts
    ]
    return {
        "start": _ms(track.start_s),
        "step": track.stride_s * factor,
        "n": len(parts[0]),
        "actionness": values.shape[1] > labels,
        "low": packed[0],
        "high": packed[-1] if factor > 1 else None,
    }


def _ms(seconds: float) -> float:
    return round(float(seconds), 3)


def _score(value: float) -> float:
    return float(f"{float(value):.4g}")
