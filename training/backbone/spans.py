"""Spans of the footage with their clicks: what a backbone is trained on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from punctum.runtime.datasets.background import BackgroundSpan
from punctum.runtime.datasets.dataset import Point
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import as_utf8, counted

from ..data.labels import Clicks, SureSpan, locate_clicks, locate_spans
from ..engine.report import Reporter
from ..engine.stop import StopSignal, TrainingInterrupted
from .footage import Footage
from .frames import FrameSpan, FrameStore


@dataclass(frozen=True, slots=True)
class ClickedSpan:
    """A span and its clicks on the snippet grid.

    Attributes:
        span: the frames.
        clicks: empty for unlabeled footage.
        labeled: False if nobody labeled the footage, so that a span without clicks says nothing.
        background: certified background on the snippet grid.
        partly: labeled in part: outside of clicks and certified background nothing is known.
    """

    span: FrameSpan
    clicks: Clicks
    labeled: bool
    background: tuple[SureSpan, ...] = ()
    partly: bool = False


def read_spans(footage: Footage, store: FrameStore, reporter: Reporter, stop: StopSignal) -> list[ClickedSpan]:
    """Decode every video once and assign the clicks to the spans that contain them.

    Raises:
        InputError: a video cannot be read, a click lies outside its video, or there is too little footage.
        TrainingInterrupted: after Ctrl-C.
    """
    reporter.begin("reading", len(footage.videos), 0, unit="video")
    parts: list[ClickedSpan] = []
    labeled = footage.points is not None
    try:
        for video, path in footage.videos.items():
            if not store.add(video, path, stop=lambda: stop.requested) or stop.requested:
                raise interrupted(store.folder)
            clicks = () if footage.points is None else footage.points.get(video, ())
            assigned = assign_clicks(store.spans(video), clicks, store, labeled=labeled)
            if sure := footage.background.get(video, ()):
                assigned = [_with_background(part, sure, store) for part in assigned]
            parts += [replace(part, partly=True) for part in assigned] if video in footage.partly else assigned
            reporter.advance(as_utf8(video))
    finally:
        reporter.end()
    if not parts:
        raise InputError(
            "footage-short",
            f"No video of {footage.name} has {store.spec.stride_s:g} s without a gap",
            required="videos of at least some seconds",
            next_step="add footage",
        )
    return parts


def assign_clicks(
    spans: Sequence[FrameSpan], clicks: Sequence[Point], store: FrameStore, *, labeled: bool
) -> list[ClickedSpan]:
    """Spans of one video with their clicks; clicks in a gap are dropped with a warning.

    Raises:
        InputError: a click lies outside the video.
    """
    spec, parts = store.spec, []
    for index, span in enumerate(spans):
        snippets = len(span.frames) // spec.snippet_frames
        begin = -np.inf if index == 0 else span.start_s
        end = spans[index + 1].start_s if index + 1 < len(spans) else np.inf
        own = [p for p in clicks if begin <= p.time_s < end]
        if len(spans) > 1:  # a click in a gap belongs to no frame
            own = [p for p in own if p.time_s <= span.start_s + (snippets + 1) * spec.stride_s]
        located = locate_clicks(
            [p.time_s for p in own],
            [p.label for p in own],
            snippets=snippets,
            stride_s=spec.stride_s,
            start_s=span.start_s,
            video=span.video,
        )
        parts.append(ClickedSpan(span, located, labeled))
    if spans and (dropped := len(clicks) - sum(len(part.clicks) for part in parts)):
        what = f"{counted(dropped, 'click')} of {as_utf8(spans[0].video)}"
        warnings.warn(f"{what} dropped: the video has no frame at that time", UserWarning, stacklevel=2)
    return parts


def _with_background(part: ClickedSpan, sure: Sequence[BackgroundSpan], store: FrameStore) -> ClickedSpan:
    spec = store.spec
    length = len(part.span.frames) // spec.snippet_frames
    spans = locate_spans(sure, snippets=length, stride_s=spec.stride_s, start_s=part.span.start_s)
    return replace(part, background=spans)


def interrupted(folder: Path) -> TrainingInterrupted:
    """The error after Ctrl-C."""
    return TrainingInterrupted(
        "interrupted",
        f"training was stopped; {folder} holds what was done so far",
        "",
        "continue with `resume=True`",
    )
