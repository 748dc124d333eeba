"""From scored segments and reports to events: identity, phase, and what the stream knows about its own breaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..events.event import Event, Phase
from ..live import Report, Reporter, Saying
from .islands import Island, Place
from .plan import Plan

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """An unbroken stretch of one stream, as it stands. Times in seconds on the media clock.

    known: snippets taken; serial: snippets of the stream before this stretch, lost ones included; broken, lost:
    snippets that never came before and after it (lost > 0 only when it ends in a break); holes: (snippet, video frames
    lost in it); hop: snippets between two looks at the stream; prefix: how event ids begin.
    """

    plan: Plan
    stream: str
    start_s: float
    now_s: float
    known: int
    serial: int
    broken: int
    lost: int
    degraded: bool
    prefix: str
    hop: int = 1
    holes: tuple[tuple[int, int], ...] = ()

    def frames_lost(self, start: float, end: float) -> int:
        """Video frames missing in the snippets that a span (seconds) touches."""
        stride, begin = self.plan.stride_s, self.start_s
        return sum(n for i, n in self.holes if begin + i * stride < end and start < begin + (i + 1) * stride)

    def at(self, place: Place) -> float:
        """Seconds on the media clock."""
        return self.start_s + (place.position + 0.5) * self.plan.stride_s


def conclude(stretch: Stretch, island: Island, seconds: F64, scores: F64, reporter: Reporter) -> list[Event]:
    """Final events of one island (segments [K, 2] in seconds, best first), and the end of every report about it."""
    plan = stretch.plan
    complete = island.complete_at(plan.context) + plan.right + 1
    complete = min(-(-complete // stretch.hop) * stretch.hop, stretch.known)
    known_at = stretch.start_s + complete * plan.stride_s
    emitted_at = known_at + plan.overhang_s
    partner: list[Report | None] = [None] * len(scores)
    wrong: list[Saying] = []
    if reporter.live:
        span = (stretch.at(island.start), stretch.at(island.end))
        partner, wrong = reporter.settle(island.label, seconds, scores, span)
    label, edge = plan.labels[island.label], plan.stride_s
    events = []
    for rank, ((start, end), score, report) in enumerate(zip(seconds, scores, partner, strict=True)):
        # A segment that reaches to within a snippet of a break was cut off by it.
        began_broken = stretch.broken > 0 and start < stretch.start_s + edge
        ended_broken = stretch.lost > 0 and end > stretch.now_s - edge
        events.append(
            Event(
                stream=stretch.stream,
                id=report.id if report else f"{stretch.prefix}/{label}/{stretch.serial + island.start.index}/{rank}",
                revision=report.revision if report else 0,
                phase="final",
                label=label,
                score=float(score),
                start=float(start),
                end=float(end),
                emitted_at=emitted_at,
                delay_s=emitted_at - float(end),
                bundle=plan.bundle_id,
                dropped=int(stretch.broken * began_broken + stretch.lost * ended_broken)
                + stretch.frames_lost(start, end),
                interrupted=bool(began_broken or ended_broken),
                degraded=stretch.degraded,
            )
        )
    return events + tell(stretch, wrong, known_at)


def tell(stretch: Stretch, said: list[Saying], known_at: float) -> list[Event]:
    """Sayings of the reporter as events. known_at: media time up to which there were snippets."""
    return [_event(stretch, saying.report, saying.phase, known_at + stretch.plan.overhang_s) for saying in said]


def _event(stretch: Stretch, report: Report, phase: Phase, emitted_at: float) -> Event:
    return Event(
        stream=stretch.stream,
        id=report.id,
        revision=report.revision,
        phase=phase,
        label=stretch.plan.labels[report.label],
        score=report.score,
        start=report.start,
        end=report.end,
        emitted_at=emitted_at,
        delay_s=emitted_at - report.end,
        bundle=stretch.plan.bundle_id,
        ended=report.ended,
        dropped=stretch.frames_lost(report.start, report.end),
        degraded=stretch.degraded,
    )
