"""Reports, gaps and states of cameras are stored once the disk has room again, in order."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.site.config.models import CameraConfig
from punctum.runtime.site.supervisor import engine_messages
from punctum.runtime.site.supervisor import writer as writer_module
from punctum.runtime.site.supervisor.camera_unit import CameraUnit
from punctum.runtime.site.supervisor.units import Units
from punctum.runtime.site.supervisor.writer import Batch, Writer

from tests.helpers.site import event


class FullStore:
    """Stores nothing until it has room."""

    def __init__(self) -> None:
        self.room, self.calls = False, []

    def _store(self, *what: object) -> None:
        if not self.room:
            raise PunctumError("site-disk-full", "Full")
        self.calls.append(what)

    def add(self, camera, bundle, reports, sinks, unix):
        self._store("reports", camera, len(reports))
        return list(reports)

    def add_rows(self, media, gaps) -> None:
        for gap in gaps:
            self._store("gap", gap.camera, gap.start_s, gap.end_s)

    def set_camera_state(self, camera, state) -> None:
        self._store("state", camera, state["begins"])


@pytest.fixture
def full(monkeypatch):
    monkeypatch.setattr(writer_module, "RETRY_S", 0.02)
    store, stored = FullStore(), []
    writer = Writer(store, stored.append)
    units = Units(None, store, writer, None, None)  # type: ignore[arg-type]
    yield store, units, stored
    store.room = True
    writer.close()


def until(condition) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_what_comes_while_the_disk_is_full_is_stored_later(full) -> None:
    store, units, stored = full
    done = []
    header = {"type": "gaps", "camera": "door", "start_s": 2.0, "end_s": 4.0, "snippets": 10, "reason": "missing"}
    engine = SimpleNamespace(child="child", key="b", bundle="b")
    units.engines["b"] = engine  # type: ignore[assignment]
    engine_messages.handle(units, engine, "child", header)  # type: ignore[arg-type]
    units.writer.put(Batch("door", "b", [event(0)], ["file"], lambda: done.append(1)))
    unit = CameraUnit("door", CameraConfig(source="s", bundles=("b",)), lambda child, header, payload: None)
    unit.begins = {"b-1": 3.0}
    units.save_camera(unit)
    unit.begins["b-1"] = 9.0  # what is stored is the state of then
    until(lambda: units.writer.trouble)
    assert store.calls == []
    assert not done
    store.room = True
    until(lambda: len(store.calls) == 3)
    assert store.calls == [("gap", "door", 2.0, 4.0), ("reports", "door", 1), ("state", "door", {"b-1": 3.0})]
    until(lambda: done and stored)
    assert not units.writer.trouble


def test_a_value_that_is_refused_holds_up_nothing(full) -> None:
    store, units, _ = full
    store.room = True
    done = []

    def refuse(*_: object) -> None:
        raise InputError("site-event", "a number is not finite", "finite numbers", "correct it")

    accepts, store.add = store.add, refuse
    units.writer.put(Batch("door", "b", [event(0)], ["file"], lambda: done.append(1)))
    until(lambda: done)
    store.add = accepts
    units.writer.put(Batch("door", "b", [event(1)], ["file"], lambda: done.append(2)))
    until(lambda: done == [1, 2])
    assert store.calls == [("reports", "door", 1)]
    assert not units.writer.trouble
