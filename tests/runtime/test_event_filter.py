"""What `--min-score` and `--label` leave of a live run is a run of its own: complete, and equal to the recording's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from punctum.runtime import Event
from punctum.runtime.live import LiveOptions
from punctum.runtime.service.checkpoint import Checkpoint
from punctum.runtime.service.event_filter import EventFilter
from punctum.runtime.service.loop import Loop

from tests.helpers import fakes
from tests.runtime.test_loop import Kept, Ledger, Recorded

ROWS = fakes.recording(3, 600)
ACTION = Event("s", "s/a/r1", 0, "open", "a", 0.3, 1.0, 2.0, 2.0, 0.0, "fake-1", ended=False)


def looped(event_filter: EventFilter) -> tuple[Loop, Kept]:
    sink = Kept()
    localizer = fakes.localizer(fusion=fakes.WITH_HEAD)
    return Loop(localizer, Recorded(ROWS, 10), [sink], live=LiveOptions(0.5), event_filter=event_filter), sink


@pytest.fixture(scope="module")
def everything() -> list[Event]:
    """All events of a run without a filter."""
    loop, sink = looped(EventFilter())
    loop.run()
    return sink.events


def sequences(events: list[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.id, []).append(event)
    return found


def through(minimum: float, *changes: dict[str, object]) -> list[tuple[str, int]]:
    """Phase and revision of what passes of an action with these reports."""
    passing = EventFilter(min_score=minimum)
    events = [replace(ACTION, revision=k, **change) for k, change in enumerate(changes)]
    return [(e.phase, e.revision) for event in events for e in passing([event])]


@pytest.mark.parametrize("minimum", [0.0, 0.05, 0.1, 0.2, 0.3, 0.5])
@pytest.mark.parametrize("labels", [frozenset(), frozenset("ab")])
def test_finals_equal_those_of_the_recording_and_every_action_ends_once(everything, minimum, labels):
    passing = EventFilter(labels, minimum)
    passed = passing(everything)
    offline = fakes.localizer(fusion=fakes.WITH_HEAD).localize(ROWS, stream="recorded")
    wanted = {(e.label, e.start, e.end, e.score) for e in offline if e.score >= minimum}
    wanted = {key for key in wanted if not labels or key[0] in labels}
    finals = [e for e in passed if e.phase == "final"]
    assert {(e.label, e.start, e.end, e.score) for e in finals} == wanted
    assert len(finals) == len(wanted)
    for events in sequences(passed).values():
        phases = [e.phase for e in events]
        assert [e.revision for e in events] == list(range(len(events)))
        assert [p in ("final", "retracted") for p in phases] == [False] * (len(phases) - 1) + [True]
        assert "open" not in phases[1:]
        assert phases[0] != "retracted"
        assert phases[0] != "update" or events[0].ended
        assert events[0].score >= minimum
    assert not passing.reported


def test_the_recording_has_actions_on_either_side_of_the_minimum(everything):
    """Otherwise the test above would say nothing."""
    reported = [[e.score for e in events] for events in sequences(everything).values()]
    assert any(max(scores[:-1], default=0) >= 0.3 > scores[-1] for scores in reported)
    assert any(len(scores) > 2 and scores[0] < 0.3 <= scores[1] for scores in reported)


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        # first below the minimum, then above it while it runs
        (({"score": 0.2}, {"phase": "update"}, {"phase": "final", "ended": True}), [("open", 0), ("final", 1)]),
        # first seen when it has ended
        (({"score": 0.2}, {"phase": "update", "ended": True}), [("update", 0)]),
        # the score falls: a report follows, and no final event
        (
            ({}, {"phase": "update", "score": 0.1}, {"phase": "final", "score": 0.1, "ended": True}),
            [("open", 0), ("update", 1), ("retracted", 2)],
        ),
        # the final event is the first to pass
        (({"score": 0.1}, {"phase": "final", "ended": True}), [("final", 0)]),
        # never seen
        (({"score": 0.1}, {"phase": "retracted", "ended": True}), []),
        (({"score": 0.1}, {"phase": "final", "score": 0.1, "ended": True}), []),
    ],
)
def test_one_action(changes, passed):
    assert through(0.3, *changes) == passed


def test_a_snapshot_keeps_the_numbers(tmp_path):
    """Resumed from any snapshot, the rest of the run is the same."""
    steady, wanted = looped(EventFilter(min_score=0.2))
    steady.run()
    kept = []

    class Watching(Kept):
        def write(self, events):
            super().write(events)
            if Checkpoint.load(tmp_path / "run.snapshot"):
                kept.append((tmp_path / "run.snapshot").read_bytes())

    loop, _ = looped(EventFilter(min_score=0.2))
    loop.sinks = [Watching()]
    loop.snapshot, loop.event_file, loop.snapshot_every_s = tmp_path / "run.snapshot", Ledger(), 0.0
    loop.run()
    assert loop.sinks[0].events == wanted.events
    checkpoints = []
    for data in kept:
        (tmp_path / "again.snapshot").write_bytes(data)
        checkpoints.append(Checkpoint.load(tmp_path / "again.snapshot"))
    late = [checkpoint for checkpoint in checkpoints if checkpoint.hidden]
    assert late
    for checkpoint in (*checkpoints[:: max(len(checkpoints) // 4, 1)], *late[:2]):
        again, rest = looped(EventFilter(min_score=0.2))
        again.resume(checkpoint)
        again.run()
        assert rest.events == wanted.events[len(wanted.events) - len(rest.events) :]
