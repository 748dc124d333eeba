"""Fewer lines of log."""

from __future__ import annotations

from punctum.runtime.text.throttle import Throttle


def test_some_pass_and_the_others_are_counted():
    now = [100.0]
    throttle = Throttle(3, 60.0, lambda: now[0])
    assert [throttle.take() for _ in range(5)] == ["", "", "; further messages are not logged for 60 s", None, None]
    now[0] += 59.0
    assert throttle.take() is None
    now[0] += 1.0
    assert throttle.take() == " (3 earlier messages were not logged)"
    now[0] += 1000.0
    assert throttle.take() == ""
