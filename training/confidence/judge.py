"""Which events on held-out training videos are right, judged by clicks alone.

An event is right if it overlaps the pseudo segment of a click of its class, which no better event has, with a tIoU of
at least 0.55. The event need not hold the click: some lie at the edge of their action. The pseudo segments come from
the tracks of networks that have not seen the video. Proposals come from the same tracks, so overlaps with pseudo
segments are a little larger than those with actions; hence 0.55 for events that are meant to be right at 0.5.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from punctum import kernels
from punctum.runtime.datatypes import by_value
from punctum.runtime.events.event import Event
from punctum.runtime.session.engine import Backend
from punctum.runtime.session.offline import localize
from punctum.runtime.session.plan import Plan
from punctum.runtime.session.post import reduce_scoring
from punctum.runtime.session.rescore import tracks_of

from ..arrays import F32, F64, I64
from ..data.labels import Clicks
from ..data.pseudo import align_clicks, best_offset

TIOU = 0.55


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JudgedEvents:
    """Events of held-out videos.

    Attributes:
        label: int64 [N], class index.
        raw: float64 [N], raw score.
        right: bool [N].
    """

    label: I64
    raw: F64
    right: npt.NDArray[np.bool_]

    @property
    def can_be_fitted(self) -> bool:
        """Whether some events are right and some are not."""
        return 0 < int(self.right.sum()) < len(self.raw)

    def without(self, labels: Collection[int]) -> JudgedEvents:
        """The events of the other classes."""
        kept = ~np.isin(self.label, sorted(labels))
        return JudgedEvents(self.label[kept], self.raw[kept], self.right[kept])

    @classmethod
    def joined(cls, parts: Sequence[JudgedEvents]) -> JudgedEvents:
        """The events of several videos."""
        if not parts:
            return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
        return cls(
            np.concatenate([p.label for p in parts]),
            np.concatenate([p.raw for p in parts]),
            np.concatenate([p.right for p in parts]),
        )


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ScoredRecording:
    """What is needed to judge the events of one recording.

    Attributes:
        stream: name of the recording.
        events: of full scoring, with raw scores.
        reduced: of reduced scoring, with raw scores.
        clicks: of the recording.
        tracks: float32 [T, C + 1]; of no snippets where there are no clicks.
    """

    stream: str
    events: tuple[Event, ...]
    reduced: tuple[Event, ...]
    clicks: Clicks
    tracks: F32


def score_recording(
    plan: Plan, backend: Backend, features: F32, clicks: Clicks, *, stream: str = ""
) -> ScoredRecording:
    """The events of one recording, of full and of reduced scoring.

    Args:
        plan: The configuration; its calibration is not used, so that scores are raw.
        backend: The engine.
        features: float32 [T, D].
        clicks: Of the recording; without any, no event is right.
        stream: Name of the recording.
    """
    full, reduced = (
        tuple(localize(replace(plan, post=post, calibration=None), backend, features, stream=stream))
        for post in (plan.post, reduce_scoring(plan.post))
    )
    tracks = tracks_of(plan, backend, features) if len(clicks) else np.zeros((0, len(plan.labels) + 1), np.float32)
    return ScoredRecording(stream, full, reduced, clicks, tracks)


def pseudo_segments(recordings: Sequence[ScoredRecording], stride_s: float) -> list[F64]:
    """The pseudo segments of the clicks of each recording, float64 [K, 2], in seconds."""
    offset = best_offset([(r.tracks, r.clicks) for r in recordings])
    return [
        (align_clicks(r.tracks, r.clicks, offset=offset) + 0.5) * stride_s if len(r.clicks) else np.zeros((0, 2))
        for r in recordings
    ]


def judge_recordings(plan: Plan, recordings: Sequence[ScoredRecording]) -> tuple[JudgedEvents, JudgedEvents]:
    """The events of all recordings, of full and of reduced scoring, judged by the clicks."""
    full: list[JudgedEvents] = []
    reduced: list[JudgedEvents] = []
    for recording, pseudo in zip(recordings, pseudo_segments(recordings, plan.stride_s), strict=True):
        for events, parts in ((recording.events, full), (recording.reduced, reduced)):
            parts.append(judge(events, plan.labels, recording.clicks.label, pseudo))
    return JudgedEvents.joined(full), JudgedEvents.joined(reduced)


def judge(events: Sequence[Event], labels: Sequence[str], click_label: I64, pseudo: F64) -> JudgedEvents:
    """Judge the events of one video.

    Args:
        events: final events with raw scores.
        labels: class names.
        click_label: int64 [K], class index of each click.
        pseudo: float64 [K, 2], pseudo segment of each click in seconds.
    """
    index = {label: k for k, label in enumerate(labels)}
    label = np.array([index[e.label] for e in events], np.int64)
    raw = np.array([e.score for e in events], np.float64)
    segments = np.array([(e.start, e.end) for e in events], np.float64).reshape(-1, 2)
    right = np.zeros(len(events), bool)
    if len(events) and len(click_label):
        overlap = np.where(label[:, None] == click_label, kernels.segment_iou(segments, pseudo), 0.0)
        free = np.ones(len(click_label), bool)
        for k in np.argsort(-raw, kind="stable"):
            best = int(np.argmax(np.where(free, overlap[k], 0.0)))
            if free[best] and overlap[k, best] >= TIOU:
                free[best] = False
                right[k] = True
    return JudgedEvents(label, raw, right)
