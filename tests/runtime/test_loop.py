"""The loop of a live run around a source of its own making: what it does when the source falls behind."""

from __future__ import annotations

import pytest
from punctum.runtime import EngineError
from punctum.runtime.live import LiveOptions
from punctum.runtime.service.loop import Loop
from punctum.runtime.service.summary import real_time_factor
from punctum.runtime.session.plan import Stats
from punctum.runtime.sinks.mqtt import MqttSink
from punctum.runtime.sources.items import Begin, Chunk
from punctum.runtime.sources.snippets import VideoStats

from tests.helpers import fakes


class Late:
    """Hands out a recording; in its middle third it says that it is behind."""

    name, replayable, behind = "late", False, False

    def __init__(self, rows, chunk: int) -> None:
        self._rows, self._chunk = rows, chunk

    def items(self, position=None):
        yield Begin("late", 0.0)
        for first in range(0, len(self._rows), self._chunk):
            self.behind = len(self._rows) <= 3 * first < 2 * len(self._rows)
            yield Chunk(self._rows[first : first + self._chunk], None, f"row {first}")


class Kept:
    def __init__(self) -> None:
        self.events = []

    def write(self, events):
        self.events += events

    def close(self):
        return 0


def test_events_scored_while_the_source_is_behind_say_so():
    rows, sink = fakes.recording(3, 900), Kept()
    loop = Loop(fakes.localizer(), Late(rows, 10), [sink], live=LiveOptions(max_delay_s=1.0))
    assert loop.run() == "end of the source"
    finals = [e for e in sink.events if e.phase == "final"]
    hasty = [e.emitted_at for e in finals if e.degraded]
    assert hasty
    assert min(hasty) > 25.0
    assert max(hasty) < 65.0
    assert any(not e.degraded for e in finals)
    assert not finals[-1].degraded


class Recorded:
    """A recording in chunks, which can be read again from any of them."""

    name, replayable = "recorded", True

    def __init__(self, rows, chunk: int) -> None:
        self._rows, self._chunk = rows, chunk

    def items(self, position=None):
        yield Begin("recorded", 0.0)
        for first in range(0 if position is None else position["row"], len(self._rows), self._chunk):
            rows = self._rows[first : first + self._chunk]
            yield Chunk(rows, None, f"row {first}", {"row": first + len(rows)})


class Failing(fakes.SmoothingBackend):
    """Fails at the calls that are named, or from the first of them on."""

    def __init__(self, calls, *, lasting=False) -> None:
        self.calls, self.count, self.lasting = set(calls), 0, lasting

    def _ask(self, run, *arguments):
        self.count += 1
        if self.count in self.calls or (self.lasting and self.calls and self.count >= min(self.calls)):
            raise RuntimeError("CUDA error: an illegal memory access")
        return run(*arguments)

    def locate(self, features):
        return self._ask(super().locate, features)

    def score(self, *arguments):
        return self._ask(super().score, *arguments)


def looped(engine, tmp_path=None, checkpoint=None):
    live, sink = LiveOptions(max_delay_s=1.0), Kept()
    loop = Loop(fakes.localizer(engine, fusion=fakes.WITH_HEAD), Recorded(ROWS, 10), [sink], live=live)
    if tmp_path is not None:
        loop.snapshot, loop.event_file, loop.snapshot_every_s = tmp_path / "run.snapshot", Ledger(), 0.0
    if checkpoint is not None:
        loop.resume(checkpoint)
    return loop, sink


class Ledger:
    """Stands in for the event file of a run with snapshots."""

    length, inode, truncated, path = 0, 0, False, "events"

    def sync(self):
        pass

    def detect_truncation(self):
        pass

    def tail(self):
        return ""


ROWS = fakes.recording(3, 300)


@pytest.fixture
def impatient(monkeypatch):
    from punctum.runtime.service import loop as _loop

    monkeypatch.setattr(_loop, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.mark.parametrize("calls", [[1], [7], [20, 21, 22], range(3, 400, 40)])
def test_an_engine_that_comes_back_costs_nothing(calls, caplog, impatient):
    steady, sink = looped(Failing([]))
    steady.run()
    flaky, again = looped(Failing(calls))
    assert flaky.run() == "end of the source"
    assert again.events == sink.events
    assert flaky.engine_failures > 0
    assert "tried again" in caplog.text
    assert "of the engine" in flaky.summary("end of the source")


def test_an_engine_that_stays_away_ends_the_run_and_a_restart_goes_on(capsys, impatient, tmp_path):
    from punctum.runtime.service.checkpoint import Checkpoint

    steady, wanted = looped(Failing([]))
    steady.run()
    dead, first = looped(Failing([60], lasting=True), tmp_path)
    with pytest.raises(EngineError, match="illegal memory access"):
        dead.run()
    over = {e.id for e in first.events if e.phase in ("final", "retracted")}
    assert {e.id for e in first.events} == over  # every report is closed
    assert first.events
    checkpoint = Checkpoint.load(tmp_path / "run.snapshot")
    assert checkpoint.position["row"] == dead.session.stats.snippets
    before = [e for e in first.events if e in wanted.events]
    alive, rest = looped(Failing([]), None, checkpoint)
    alive.run()
    assert rest.events == wanted.events[len(wanted.events) - len(rest.events) :]
    assert len(before) + len(rest.events) >= len(wanted.events)


@pytest.fixture
def full_for_a_while(monkeypatch):
    """Snapshots cannot be written while the list holds something that is true."""
    from punctum.runtime import PunctumError
    from punctum.runtime.service import checkpoint as _checkpoint

    real, answers = _checkpoint.atomic_write, []

    def write(path, data):
        if answers and answers.pop(0):
            raise PunctumError("write-failed", "cannot write (Too many open files)", "room", "make room")
        real(path, data)

    monkeypatch.setattr(_checkpoint, "atomic_write", write)
    return answers


def test_a_snapshot_that_cannot_be_written_for_a_while_ends_nothing(caplog, tmp_path, full_for_a_while):
    from punctum.runtime.service.checkpoint import Checkpoint

    steady, wanted = looped(Failing([]))
    steady.run()
    full_for_a_while += [False, False, True, True, True, False, True]
    loop, sink = looped(Failing([]), tmp_path)
    assert loop.run() == "end of the source"
    assert sink.events == wanted.events
    assert caplog.text.count("the last snapshot stands") == 2
    assert Checkpoint.load(tmp_path / "run.snapshot").position == {"row": 300}


def test_a_snapshot_that_cannot_be_written_in_the_end_costs_no_event(tmp_path, full_for_a_while):
    from punctum.runtime import PunctumError
    from punctum.runtime.service.checkpoint import Checkpoint

    steady, wanted = looped(Failing([]))
    steady.run()
    full_for_a_while += [False, False, *[True] * 100]
    loop, sink = looped(Failing([]), tmp_path)
    with pytest.raises(PunctumError, match="cannot write"):
        loop.run()
    assert sink.events == wanted.events
    checkpoint = Checkpoint.load(tmp_path / "run.snapshot")  # from which the rest comes again
    rest, again = looped(Failing([]), None, checkpoint)
    rest.run()
    assert again.events == wanted.events[len(wanted.events) - len(again.events) :]


def test_a_snapshot_that_cannot_be_written_for_long_ends_the_run(tmp_path, full_for_a_while, monkeypatch):
    from punctum.runtime import PunctumError
    from punctum.runtime.service import snapshots

    monkeypatch.setattr(snapshots, "UNSAVED_S", 0.0)
    full_for_a_while += [False, *[True] * 100]
    loop, _ = looped(Failing([]), tmp_path)
    with pytest.raises(PunctumError, match="cannot write"):
        loop.run()
    assert loop.session.stats.snippets < 100


def test_the_real_time_factor_counts_what_comes_before_the_session():
    stats, video = Stats(locate_s=1.0, post_s=0.5, media_s=10.0), VideoStats(decode_s=2.0, backbone_s=1.5)
    assert real_time_factor(stats, None) == pytest.approx(0.15)
    assert real_time_factor(stats, video) == pytest.approx(0.5)
    assert real_time_factor(Stats(), VideoStats(decode_s=2.0)) == 0.0


class Awaited(MqttSink):
    """A sink whose events the broker does not have yet."""

    depth = 1

    def __init__(self):
        pass

    def write(self, events):
        pass

    def close(self):
        return 0


def test_a_truncated_event_file_is_not_forgotten_while_events_wait_for_the_broker(tmp_path):
    loop, _ = looped(Failing([]), tmp_path)
    sink = Awaited()
    loop.sinks.append(sink)
    loop.run()
    assert not (tmp_path / "run.snapshot").exists()
    loop.event_file.truncated = True
    loop._maintain()
    assert loop.event_file.truncated  # a later snapshot must still follow
    sink.depth = 0
    loop._maintain()
    assert not loop.event_file.truncated
    assert (tmp_path / "run.snapshot").exists()
