"""The data of a recording as the page's script reads it: compact, thinned to what a screen can show."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..events.event import Event
from ._model import RecordingReport, TrackStretch

F32 = npt.NDArray[np.float32]
CELLS = 1_200_000  # bytes of tracks at most, before base64; beyond it neighbours are joined, minimum and maximum kept
EVENTS = 4000  # events at most, best first; the rest is counted in a note
REVISIONS = 40  # of one event at most
FINAL = 2
PHASES = ("open", "update", "final", "retracted")


def recording_data(report: RecordingReport, floor: float) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(data for the script, notes about what was left out). Times in seconds, rounded to milliseconds."""
    index = {label: k for k, label in enumerate(report.labels)}
    events, notes = _events(report, index)
    factor = thinning(report.tracks)
    if factor > 1:
        notes.append(f"Tracks are drawn from minimum and maximum of every {factor} snippets.")
    candidates = sorted(report.candidates, key=lambda c: c.score)
    data = {
        "title": report.title,
        "start": _ms(report.start_s),
        "end": _ms(report.start_s + report.duration_s),
        "labels": list(report.labels),
        "floor": _score(floor),
        "thresholds": list(report.thresholds[:1]),
        "events": events,
        "truth": None if report.truth is None else [[index[a.label], _ms(a.start), _ms(a.end)] for a in report.truth],
        "tracks": [_track(t, len(report.labels), factor) for t in report.tracks if len(t.values)],
        "cands": [[index[c.label], _ms(c.start), _ms(c.end), _score(c.score)] for c in candidates],
        "thumbs": [
            [_ms(t.at), "data:image/jpeg;base64," + base64.b64encode(t.jpeg).decode()]
            for t in sorted(report.thumbnails, key=lambda t: t.at)
        ],
    }
    return data, tuple(notes)


def to_script(data: Any) -> str:
    """JSON that may stand inside a script element, whatever its strings hold."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def group_events(events: Sequence[Event]) -> list[list[Event]]:
    """Revisions of every event, in order of their first appearance."""
    by_id: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        by_id.setdefault((event.stream, event.id), []).append(event)
    return [sorted(group, key=lambda e: e.revision) for group in by_id.values()]


def choose_floor(report: RecordingReport) -> float:
    """Score from which events are shown at first: best F1 at tIoU 0.5 where the truth is known, else a quarter of the
    best score."""
    if report.floor is not None:
        return report.floor
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


def thinning(tracks: Sequence[TrackStretch]) -> int:
    """How many snippets are joined into one cell of minimum and maximum; 1: all are kept."""
    size = sum(t.values.size for t in tracks)
    return 1 if size <= CELLS else math.ceil(2 * size / CELLS)


def _events(report: RecordingReport, index: dict[str, int]) -> tuple[list[list[Any]], list[str]]:
    groups = group_events(report.events)
    notes = []
    if len(groups) > EVENTS:
        left_out = len(groups) - EVENTS
        order = sorted(range(len(groups)), key=lambda k: (-groups[k][-1].score, k))[:EVENTS]
        highest = groups[order[-1]][-1].score
        groups = [groups[k] for k in sorted(order)]
        events = "event" if left_out == 1 else "events"
        notes.append(f"Not on this page: {left_out:,} {events} with scores up to {highest:.3g}.")
    made = []
    for group in groups:
        last, said = group[-1], group
        if len(said) > REVISIONS:
            keep = np.unique(np.linspace(0, len(said) - 1, REVISIONS).round().astype(int))
            said = [group[k] for k in keep]
        flags = last.interrupted + 2 * last.degraded
        history = [
            [PHASES.index(e.phase), _score(e.score), _ms(e.start), _ms(e.end), int(e.ended), _ms(e.emitted_at)]
            for e in said
        ]
        made.append([last.id, index[last.label], flags, last.dropped, history])
    return made, notes


def _track(track: TrackStretch, labels: int, factor: int) -> dict[str, Any]:
    """Columns one after the other, a byte a value (0..255 for 0..1); with thinning minimum, then maximum."""
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
