"""The loop of a live run around a source of its own making: what it does when the source falls behind."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from punctum.runtime.cli._loop import Loop
from punctum.runtime.live import LiveOptions
from punctum.runtime.sources import Begin, Chunk

_spec = importlib.util.spec_from_file_location("fakes", Path(__file__).with_name("fakes.py"))
fakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fakes)


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
