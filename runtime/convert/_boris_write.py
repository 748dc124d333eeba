"""BORIS projects, written: one observation per video, state events for actions and point events for clicks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from ..text.names import media_name
from ._events import event_losses
from ._model import Mark, Timelines, counted
from ._options import WriteOptions, Written

_VERSION = "7.0"  # of the project format
_POINT, _STATE = "Point event", "State event"
Coded = tuple[float, str, str, str, str, int]  # time, subject, behavior, modifiers, comment, frame


def write_project(lines: Timelines, options: WriteOptions) -> Written:
    """Write a project with one observation per video. Overlapping actions of a class have different subjects."""
    states = {m.label for m in lines.marks if not m.is_click}
    points = {m.label for m in lines.marks if m.is_click}
    both = states & points
    codes: dict[str, tuple[str, str]] = {}  # code: (kind, class)
    for label in lines.classes:
        click = label in points or (options.clicking and label not in states)
        if label in both:
            codes[_click_code(label, lines.classes)] = (_POINT, label)
        codes[label] = (_POINT if click and label not in both else _STATE, label)
    observations: dict[str, dict[str, object]] = {}
    subjects: dict[str, None] = {}
    assumed = [] if options.media else [f"videos called {options.media_of('<video>')} (`media`)"]
    for video, marks in lines.by_video().items():
        seconds = lines.duration.get(video, options.rates.duration.get(video))
        if seconds is None:
            seconds = max((m.start if m.end is None else m.end for m in marks), default=0.0)
            assumed.append("videos that end with their last annotation")
        rate = options.rates.need(video, "BORIS", lines.fps.get(video))
        media = options.media_of(video)
        observations[video] = _observation(media, seconds, rate, _coded(marks, both, lines.classes, rate, subjects))
    project = {
        "time_format": "hh:mm:ss",
        "project_date": datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00"),
        "project_name": "punctum",
        "project_description": "",
        "project_format_version": _VERSION,
        "subjects_conf": {str(i): {"key": "", "name": s, "description": ""} for i, s in enumerate(subjects)},
        "behaviors_conf": {str(i): _behaviour(code, kind) for i, (code, (kind, _)) in enumerate(codes.items())},
        "observations": observations,
        "behavioral_categories": [],
        "behavioral_categories_config": {},
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
    }
    lost = ["confidence"] if any(mark.score is not None for mark in lines.marks) else []
    if both:
        lost.append(
            f"the names of {counted(len(both), 'class')} of actions and clicks: the clicks have names of their own"
        )
    if any(media_name(options.media_of(video)) != video for video in lines.videos):
        lost.append("names of videos that differ from those of their media")
    text = json.dumps(project, ensure_ascii=False, indent=1) + "\n"
    return Written(text, (*event_losses(lines.marks), *lost), tuple(dict.fromkeys(assumed)))


def _click_code(label: str, classes: Iterable[str]) -> str:
    """A code for the clicks of a class that has actions as well: BORIS gives each behavior one kind."""
    code, taken = f"{label} (click)", set(classes)
    while code in taken:
        code += "'"
    return code


def _coded(
    marks: list[Mark], both: set[str], classes: Iterable[str], rate: float, subjects: dict[str, None]
) -> list[Coded]:
    events: list[Coded] = []
    ends: dict[str, list[float]] = {}
    for mark in sorted(marks, key=lambda m: m.start):
        subject, code = "", mark.label
        if mark.end is None:
            code = _click_code(mark.label, classes) if mark.label in both else code
        else:
            layers = ends.setdefault(mark.label, [])
            layer = next((i for i, end in enumerate(layers) if end <= mark.start), len(layers))
            layers[layer : layer + 1] = [mark.end]
            subject = "" if layer == 0 else f"overlapping {layer}"
        if subject:
            subjects.setdefault(subject)
        for time in (mark.start, *(() if mark.end is None else (mark.end,))):
            events.append((time, subject, code, "", "", round(time * rate)))
    return sorted(events, key=lambda e: e[0])


def _observation(media: str, seconds: float, rate: float, events: list[Coded]) -> dict[str, object]:
    return {
        "file": {"1": [media], **{str(n): [] for n in range(2, 9)}},
        "type": "MEDIA",
        "date": "1970-01-01T00:00:00",
        "description": "",
        "time offset": 0.0,
        "events": events,
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "media_creation_date_as_offset": False,
        "close_behaviors_between_videos": False,
        "scan_sampling_time": 0,
        "start_from_current_time": False,
        "start_from_current_epoch_time": False,
        "media_info": {
            "length": {media: seconds},
            "fps": {media: rate},
            "hasVideo": {media: True},
            "hasAudio": {media: False},
            "offset": {"1": 0.0},
        },
    }


def _behaviour(code: str, kind: str) -> dict[str, object]:
    facts = {"type": kind, "key": "", "code": code, "description": "", "color": "", "category": "", "modifiers": {}}
    return {**facts, "excluded": "", "coding map": ""}
