"""The state of a stream processor as a value, and a processor that continues from one."""

from __future__ import annotations

from .buffer import RowBuffer
from .processor import StreamProcessor
from .reporter import ReporterMark
from .state import Rows, SessionState


def state_of(stream: StreamProcessor) -> SessionState:
    """The state of a stream."""
    section = stream.section
    return SessionState(
        stream=stream.stream,
        run_id=stream.run_id,
        resets=stream.resets,
        start_s=section.start_s,
        live=stream.live,
        degraded=stream.degraded,
        closed=stream.closed,
        started=stream.started,
        snippets_before=stream.snippets_before,
        dropped_before=stream.dropped_before,
        lost_frames=tuple(section.lost_frames),
        open=tuple(section.finder.open),
        pending=tuple(section.pending),
        actions=tuple(stream.reporter.mark().actions),
        action_count=stream.reporter.action_count,
        stats=stream.stats.copy(),
        features=Rows(section.features.base, section.features.rows.copy()),
        tracks=Rows(section.tracks.base, section.tracks.rows.copy()),
    )


def load_state(stream: StreamProcessor, state: SessionState) -> None:
    """Let a stream continue from a checked state."""
    plan, section = stream.plan, stream.section
    stream.degraded, stream.resets, stream.stats = state.degraded, state.resets, state.stats.copy()
    stream.closed, stream.started = state.closed, state.started
    stream.snippets_before, stream.dropped_before = state.snippets_before, state.dropped_before
    stream.reporter.rewind(ReporterMark(list(state.actions), state.action_count))
    section.features = RowBuffer(plan.dim, base=state.features.base, rows=state.features.values)
    section.tracks = RowBuffer(len(plan.labels) + 1, base=state.tracks.base, rows=state.tracks.values)
    section.advanced = state.advanced(plan)
    section.finder.open = list(state.open)
    section.pending, section.lost_frames = list(state.pending), list(state.lost_frames)
