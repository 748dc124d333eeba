"""Signs of life: a step that does not return stops the beats, waiting does not."""

from __future__ import annotations

import threading
import time

import pytest
from punctum.runtime.site.camera import signs
from punctum.runtime.site.camera.signs import Signs


def test_a_step_that_hangs_is_no_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "LONGEST_S", 0.1)
    one, go = Signs(), threading.Event()

    def work() -> None:
        with one.step():
            go.wait(5)

    thread = threading.Thread(target=work)
    assert one.alive()
    thread.start()
    with one.step():
        assert one.alive()
        time.sleep(0.2)
        one.renew()
        assert not one.alive()  # the other thread has not returned
    go.set()
    thread.join()
    assert one.alive()
    one.renew()
    assert one.alive()
