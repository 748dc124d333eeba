"""Progress where there is no terminal: lines that come at once, and not too many."""

from __future__ import annotations

import pytest
from punctum.runtime.cli import progress
from punctum.runtime.cli.progress import ProgressBar, ProgressLines, track


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("done", [0, 40])
def test_a_line_every_ten_seconds_with_the_time_left(capsys, done):
    clock = Clock()
    lines = ProgressLines("locator", 100 + done, done=done, unit="steps", clock=clock)
    for _ in range(100):
        clock.now += 0.6
        lines.advance(note="loss 0.5")
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"locator: {17 + done} of {100 + done} steps, loss 0.5, 50 s left"
    assert len(told) == 5


def test_short_work_and_the_end_are_silent(capsys):
    clock = Clock()
    lines = ProgressLines("features", 3, clock=clock)
    lines.advance(2)
    clock.now = 60.0
    lines.advance()
    assert capsys.readouterr().err == ""


def test_bars_and_tracked_items_become_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    bar = ProgressBar("rendering", 2.0, unit="s")
    bar.advance(1.0)
    bar.close()
    bar.close()
    bar.advance(1.0)
    hidden = ProgressBar("rendering", 2.0, unit="s", visible=False)
    hidden.advance(1.0)
    assert list(track(["a", "b"], "running")) == ["a", "b"]
    assert capsys.readouterr().err == "rendering: 1 of 2 s, 0 s left\nrunning: 1 of 2, 0 s left\n"
