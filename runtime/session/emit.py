"""Makes events from scored segments and from reports: identity, phase, delay, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..events.event import Event
from .islands import Island
from .plan import Plan
from .reporter import Change, ReportedAction, Reporter, Spans
from .section import Section


@dataclass(frozen=True, slots=True)
class EventContext:
    """What the events of one section have in common.

    Attributes:
        plan: The configuration.
        section: The section, as it is when the events are made.
        stream: Name of the stream.
        prefix: How event ids begin.
        hop: Snippets between two advances of the session.
        snippets_before: Snippets of the stream before the section, including dropped ones.
        dropped_before: Snippets dropped in the gap before the section.
        dropped_after: Snippets dropped in the gap after it; 0 unless the section ends in a gap.
        degraded: The session scores with reduced effort.
    """

    plan: Plan
    section: Section
    stream: str
    prefix: str
    hop: int
    snippets_before: int
    dropped_before: int
    dropped_after: int
    degraded: bool


def final_events(
    context: EventContext, island: Island, segments: Spans, scores: Sequence[float], reporter: Reporter
) -> list[Event]:
    """Final events of one island, and retractions of what was reported about it and did not come true.

    Args:
        context: See `EventContext`.
        island: A closed island.
        segments: Start and end of its segments in seconds of media time, best first.
        scores: Their scores.
        reporter: Knows what was reported about the island.
    """
    plan, section = context.plan, context.section
    complete = island.complete_at(plan.context) + plan.right + 1
    complete = min(-(-complete // context.hop) * context.hop, section.features.end)
    known_s = section.start_s + complete * plan.stride_s
    emitted_at = known_s + plan.overhang_s
    reported: list[ReportedAction | None] = [None] * len(scores)
    retractions: list[Change] = []
    if reporter.actions:
        span = (section.time_of(island.start), section.time_of(island.end))
        reported, retractions = reporter.close_island(island.label, segments, scores, span)
    label, now_s = plan.labels[island.label], section.now_s
    new_id = f"{context.prefix}/{label}/{context.snippets_before + island.start.index}"
    events = []
    for rank, ((start, end), score, action) in enumerate(zip(segments, scores, reported, strict=True)):
        # A segment that comes within a snippet of a gap was cut off by it.
        cut_before = context.dropped_before > 0 and start < section.start_s + plan.stride_s
        cut_after = context.dropped_after > 0 and end > now_s - plan.stride_s
        confidence, raw = plan.scores(island.label, score, degraded=context.degraded)
        events.append(
            Event(
                stream=context.stream,
                id=action.id if action else f"{new_id}/{rank}",
                revision=action.revision if action else 0,
                phase="final",
                label=label,
                score=confidence,
                start=start,
                end=end,
                emitted_at=emitted_at,
                delay_s=emitted_at - end,
                bundle=plan.bundle_id,
                dropped=int(context.dropped_before * cut_before + context.dropped_after * cut_after)
                + section.frames_lost(start, end),
                interrupted=bool(cut_before or cut_after),
                degraded=context.degraded,
                raw_score=raw,
            )
        )
    return events + provisional_events(context, retractions, known_s)


def provisional_events(context: EventContext, changes: list[Change], known_s: float) -> list[Event]:
    """Events that report changes. known_s: media time of the last snippet that they depend on."""
    plan, events = context.plan, []
    emitted_at = known_s + plan.overhang_s
    for action, phase in changes:
        confidence, raw = plan.scores(action.label, action.score, degraded=context.degraded)
        events.append(
            Event(
                stream=context.stream,
                id=action.id,
                revision=action.revision,
                phase=phase,
                label=plan.labels[action.label],
                score=confidence,
                start=action.start,
                end=action.end,
                emitted_at=emitted_at,
                delay_s=emitted_at - action.end,
                bundle=plan.bundle_id,
                ended=action.ended,
                dropped=context.section.frames_lost(action.start, action.end),
                degraded=context.degraded,
                raw_score=raw,
            )
        )
    return events
