"""Frame-wise text: one label per line and frame, as in 50Salads, Breakfast and GTEA. One video per file.

Frame f covers f / fps to (f + 1) / fps seconds. Successive equal labels are one action; labels of `background` mean
that there is no action.
"""

from __future__ import annotations

from itertools import groupby

from ..errors import InputError
from ._events import event_losses
from ._frames import frame_losses, span_in_frames
from ._model import Mark, Timelines, counted, gather
from ._options import BACKGROUND, ReadOptions, Source, WriteOptions, Written

_FEWEST = 10  # minimum number of lines for a text to be detected as one label per frame
_MOST = 50_000_000  # maximum frames of a file: three weeks at 25 per second
_MOST_BYTES = 1 << 28  # maximum size of the text, in which a name is repeated for each frame
_ALLOWED = "one label per line and frame, without a header"


def looks_like_frames(text: str) -> bool:
    """Whether a text may be one label per frame: many lines, few changes, no columns."""
    lines = text.rstrip("\n").split("\n", 1000)[:1000]
    if len(lines) < _FEWEST or any(not line.strip() or "\t" in line or "," in line for line in lines):
        return False
    runs = sum(1 for _ in groupby(lines))
    return 2 * runs <= len(lines)


def read_frames(source: Source, options: ReadOptions) -> Timelines:
    """Read runs of equal labels. Raises InputError without a frame rate."""
    video = options.video or source.stem
    rate = options.rates.need(video, source.name)
    lines = [line.strip() for line in source.text().rstrip("\n").split("\n")]
    rows, first, silent = [], 0, 0
    for label, run in groupby(lines):
        behind = first + sum(1 for _ in run)
        where = source.at(f"line {first + 1}")
        if not label:
            raise source.wrong(f"line {first + 1} is empty", _ALLOWED)
        if label in options.background:
            silent += 1
        else:
            rows.append((where, Mark(video, label, first / rate, behind / rate)))
        first = behind
    notes = [f"left out: {counted(silent, 'run')} of background (`background`)"] if silent else []
    return gather(rows, videos=[video], fps={video: rate}, duration={video: first / rate}, notes=notes)


def write_frames(lines: Timelines, options: WriteOptions) -> Written:
    """Write the class of every frame. Of overlapping actions, the more confident or else the later one is written."""
    (video,) = lines.videos
    rate = options.rates.need(video, "frame-wise text", lines.fps.get(video))
    spans = [span_in_frames(m.start, m.start if m.end is None else m.end, rate) for m in lines.marks]
    seconds = lines.duration.get(video, options.rates.duration.get(video))
    last = max((behind for _, behind in spans), default=0)
    frames = max(round(seconds * rate) if seconds is not None else last, 1)
    if frames > _MOST:
        raise InputError(
            "frames-many",
            f"{video} would have {frames} frames at {rate:g} per second",
            f"up to {_MOST} frames",
            "check `rates`",
        )
    background = BACKGROUND[0]
    size = frames * (len(background) + 1) + sum(
        (min(behind, frames) - min(first, frames)) * len(mark.label.encode())
        for (first, behind), mark in zip(spans, lines.marks, strict=True)
    )
    if size > _MOST_BYTES:
        raise InputError(
            "frames-many",
            f"{video} would need about {size >> 20} MiB of names, one per frame",
            f"up to {_MOST_BYTES >> 20} MiB",
            "shorten the names of classes, or choose a format with ranges",
        )
    labels = [background] * frames
    order = sorted(range(len(spans)), key=lambda i: (_strength(lines.marks[i]), spans[i][0]))
    for i in order:
        first, behind = (min(frame, frames) for frame in spans[i])
        labels[first:behind] = [lines.marks[i].label] * (behind - first)
    lost = ["confidence"] if any(mark.score is not None for mark in lines.marks) else []
    lost += ["names of videos, which become names of files"]
    ordered = sorted((span, mark.label) for span, mark in zip(spans, lines.marks, strict=True))
    ends = {(behind, label) for (_, behind), label in ordered}
    overlaps = touching = cut = reach = 0
    for (first, behind), label in ordered:
        overlaps += first < reach
        touching += (first, label) in ends
        cut += behind > frames + 1
        reach = max(reach, behind)
    if overlaps:
        lost.append(f"overlaps of {counted(overlaps, 'action')} with others: a frame has one class")
    if touching:
        lost.append(
            f"boundaries of {counted(touching, 'action')} that begin at the end of another one of the same class"
        )
    if cut:
        lost.append(f"parts of {counted(cut, 'action')} beyond the end of the video")
    if hidden := sum(label in BACKGROUND for label in {mark.label for mark in lines.marks}):
        lost.append(f"{counted(hidden, 'class')} whose name means background")
    lost += frame_losses(lines.marks, rate)
    assumed = () if seconds is not None else ("videos that end with their last action",)
    return Written("\n".join(labels) + "\n", (*event_losses(lines.marks), *lost), assumed)


def _strength(mark: Mark) -> float:
    return 1.0 if mark.score is None else mark.score
