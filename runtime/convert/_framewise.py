"""Frame-wise text: one label a line and frame, as 50Salads, Breakfast and GTEA have it. One video a file.

Frame f covers f / fps to (f + 1) / fps seconds. Equal labels in a row are one action; the labels of `--background`
mean that nothing happens.
"""

from __future__ import annotations

from itertools import groupby

from ..errors import InputError
from ._events import event_losses
from ._frames import frame_losses, span_in_frames
from ._model import Mark, Timelines, counted, gather
from ._options import BACKGROUND, ReadOptions, Source, WriteOptions, Written

_FEWEST = 10  # lines from which on a text is taken for one label a frame
_MOST = 50_000_000  # frames of a file: three weeks at 25 a second
_MOST_BYTES = 1 << 28  # of the text: a long name stands once a frame
_ALLOWED = "one label a line and frame, without a header"


def looks_like_frames(text: str) -> bool:
    """Whether a text may be one label a frame: many lines, few changes, no columns."""
    lines = text.rstrip("\n").split("\n", 1000)[:1000]
    if len(lines) < _FEWEST or any(not line.strip() or "\t" in line or "," in line for line in lines):
        return False
    runs = sum(1 for _ in groupby(lines))
    return 2 * runs <= len(lines)


def read_frames(source: Source, options: ReadOptions) -> Timelines:
    """Runs of equal labels. Raises InputError without a frame rate."""
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
    notes = [f"left out: {counted(silent, 'run')} of background (--background)"] if silent else []
    return gather(rows, videos=[video], fps={video: rate}, duration={video: first / rate}, notes=notes)


def write_frames(lines: Timelines, options: WriteOptions) -> Written:
    """The class of every frame. Where actions overlap, the one with more confidence wins, else the later one."""
    (video,) = lines.videos
    rate = options.rates.need(video, "frame-wise text", lines.fps.get(video))
    spans = [span_in_frames(m.start, m.start if m.end is None else m.end, rate) for m in lines.marks]
    seconds = lines.duration.get(video, options.rates.duration.get(video))
    last = max((behind for _, behind in spans), default=0)
    frames = max(round(seconds * rate) if seconds is not None else last, 1)
    if frames > _MOST:
        raise InputError(
            "frames-many", f"{video}: {frames} frames at {rate:g} a second", f"up to {_MOST} frames", "check --fps"
        )
    background = BACKGROUND[0]
    size = frames * (len(background) + 1) + sum(
        (min(behind, frames) - min(first, frames)) * len(mark.label.encode())
        for (first, behind), mark in zip(spans, lines.marks, strict=True)
    )
    if size > _MOST_BYTES:
        raise InputError(
            "frames-many",
            f"{video}: about {size >> 20} MiB of names, one a frame",
            f"up to {_MOST_BYTES >> 20} MiB",
            "shorten the names of classes, or choose a form that writes ranges",
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
        lost.append(f"what {counted(overlaps, 'action')} overlap of others: a frame has one class")
    if touching:
        lost.append(f"where {counted(touching, 'action')} begin at the end of another one of their class")
    if cut:
        lost.append(f"what {counted(cut, 'action')} last beyond the end of the video")
    if hidden := sum(label in BACKGROUND for label in {mark.label for mark in lines.marks}):
        lost.append(f"{counted(hidden, 'class')} whose name means background")
    lost += frame_losses(lines.marks, rate)
    assumed = () if seconds is not None else ("videos that end with their last action",)
    return Written("\n".join(labels) + "\n", (*event_losses(lines.marks), *lost), assumed)


def _strength(mark: Mark) -> float:
    return 1.0 if mark.score is None else mark.score
