"""Label Studio, written: tasks to import, and the labeling configuration of their project.

A video whose annotations all have a confidence is written as predictions, to be corrected; others as annotations.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ._events import event_losses
from ._frames import frame_losses, span_in_frames
from ._labelstudio import ACTIONS, CLICKS, VIDEO
from ._model import Mark, Timelines
from ._options import WriteOptions, Written


def write_labelstudio(lines: Timelines, options: WriteOptions) -> Written:
    """Write tasks to import, with the frame rate in their data. Raises InputError if it is unknown."""
    tasks = []
    lost: list[str] = []
    for video, marks in lines.by_video().items():
        rate = options.rates.need(video, "Label Studio", lines.fps.get(video))
        task: dict[str, object] = {"data": {VIDEO: options.media_of(video), "fps": rate, "video_id": video}}
        scores = [m.score for m in marks if m.score is not None]
        if marks and len(scores) == len(marks):
            version = " ".join(["punctum", *sorted({m.event.bundle for m in marks if m.event})])
            mean = sum(scores) / len(scores)
            task["predictions"] = [{"model_version": version, "score": mean, "result": _results(marks, rate)}]
        elif marks:
            task["annotations"] = [{"result": _results(marks, rate)}]
        tasks.append(task)
        lost += frame_losses(marks, rate)
    assumed = [] if options.media else [f"videos called {options.media_of('<video>')} (`media`)"]
    controls = [name for name, n in ((ACTIONS, lines.actions), (CLICKS, lines.clicks)) if n] or [ACTIONS]
    assumed.append(f"a project with this labeling configuration: {setup(lines.classes, controls)}")
    text = json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"
    return Written(text, (*event_losses(lines.marks), *dict.fromkeys(lost)), tuple(assumed))


def setup(classes: Sequence[str], controls: Sequence[str]) -> str:
    """The labeling configuration for the tasks."""
    from xml.sax.saxutils import quoteattr

    labels = "".join(f"<Label value={quoteattr(label)}/>" for label in classes)
    return (
        f'<View><Video name="{VIDEO}" value="${VIDEO}" frameRate="$fps"/>'
        + "".join(f'<TimelineLabels name="{c}" toName="{VIDEO}">{labels}</TimelineLabels>' for c in controls)
        + "</View>"
    )


def _results(marks: list[Mark], fps: float) -> list[dict[str, object]]:
    found = []
    for position, mark in enumerate(marks):
        first, behind = span_in_frames(mark.start, mark.start if mark.end is None else mark.end, fps)
        value = {"ranges": [{"start": first + 1, "end": behind}], "timelinelabels": [mark.label]}
        result: dict[str, object] = {
            "id": f"punctum-{position}",
            "type": "timelinelabels",
            "from_name": CLICKS if mark.is_click else ACTIONS,
            "to_name": VIDEO,
            "origin": "manual" if mark.score is None else "prediction",
            "value": value,
        }
        found.append(result if mark.score is None else {**result, "score": mark.score})
    return found
