"""Delivery to sinks: order, retries, what a crash leaves, and each kind of output that needs no broker."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from punctum.runtime import Event, InputError
from punctum.runtime.errors import PunctumError
from punctum.runtime.site.config.models import JsonLinesSink
from punctum.runtime.site.delivery import delivery as delivery_module
from punctum.runtime.site.delivery.delivery import Delivery
from punctum.runtime.site.delivery.jsonl import JsonLines
from punctum.runtime.site.delivery.make import make_sink
from punctum.runtime.site.delivery.sink import BaseSink, CameraInfo, Outcome
from punctum.runtime.site.store.store import Store

from tests.helpers.site import batch, event, wait_for

urllib3 = pytest.importorskip("urllib3", reason="webhooks need urllib3")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as one:
        yield one


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(delivery_module, "FIRST_S", 0.01)
    monkeypatch.setattr(delivery_module, "MOST_S", 0.05)


def add(store: Store, first: int, last: int, camera: str = "hall", sink: str = "out", **changes) -> None:
    for n in range(first, last):
        store.add(camera, "default", [event(n, **changes)], [sink], time.time())


def lines(path: Path) -> list[Event]:
    return [Event.from_json(line) for line in path.read_text().splitlines()] if path.exists() else []


class Fake(BaseSink):
    """Does what a function says."""

    kind = "fake"

    def __init__(self, does, name: str = "out") -> None:
        self.name, self.does, self.got, self.closed = name, does, [], False
        self.described: list = []

    def deliver(self, rows) -> Outcome:
        outcome = self.does(rows)
        done = set(outcome.delivered)
        self.got += [(r.camera, r.event.id, r.event.revision) for row, r in rows if row in done]
        return outcome

    def describe(self, cameras, removed) -> None:
        self.described.append((sorted(cameras), sorted(removed)))

    def close(self) -> None:
        self.closed = True


def everything(rows) -> Outcome:
    return Outcome([row for row, _ in rows])


@pytest.fixture
def started():
    running = []

    def start(store, sink, **options):
        one = Delivery(store, sink, **options).start()
        running.append(one)
        return one

    yield start
    for one in running:
        one.stop(0.0)


def test_everything_once_in_order(store, started):
    add(store, 0, 20)
    sink = Fake(everything)
    one = started(store, sink)
    add(store, 20, 40)
    wait_for(lambda: store.waiting("out")[0] == 0)
    assert [key[1] for key in sink.got] == [f"hall/open/{n}" for n in range(40)]
    stats = one.stats()
    assert (stats.state, stats.delivered, stats.retried, stats.refused, stats.last_error) == ("running", 40, 0, 0, "")
    one.stop()
    assert sink.closed
    assert one.stats().state == "stopped"


def test_a_sink_that_is_down_blocks_nobody(store, started):
    down = threading.Event()

    def fails(rows) -> Outcome:
        if not down.is_set():
            raise InputError("site-sink-unreachable", "It is down", required="up", next_step="wait")
        return everything(rows)

    bad, good = started(store, Fake(fails, "bad")), started(store, Fake(everything, "good"))
    start = time.monotonic()
    for n in range(20):
        store.add("hall", "default", [event(n)], ["bad", "good"], time.time())
    wait_for(lambda: store.waiting("good")[0] == 0)
    wait_for(lambda: bad.stats().retried > 2)
    stats = bad.stats()
    assert (stats.state, stats.waiting) == ("failing", 20)
    assert "It is down" in stats.last_error
    assert stats.oldest_s < time.monotonic() - start + 1
    assert good.stats().delivered == 20
    down.set()
    wait_for(lambda: store.waiting("bad")[0] == 0)
    wait_for(lambda: bad.stats().state == "running")
    assert bad.stats().last_error == ""


def test_an_error_of_a_library_is_a_failed_attempt(store, started):
    attempts = []

    def does(rows) -> Outcome:
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("in some library")
        return everything(rows)

    one = started(store, Fake(does))
    add(store, 0, 1)
    wait_for(lambda: store.waiting("out")[0] == 0)
    assert one.stats().retried == 2


def test_a_failing_camera_waits_alone_and_keeps_its_order(store, started):
    attempts = []

    def does(rows) -> Outcome:
        outcome = Outcome()
        for row, report in rows:
            if report.camera in outcome.blocked:
                continue
            if report.camera == "bad" and len(attempts) < 5:
                attempts.append(report.event.id)
                outcome.blocked["bad"], outcome.error = None, "it does not like this one"
                continue
            outcome.delivered.append(row)
        return outcome

    sink = Fake(does)
    add(store, 0, 5, camera="bad")
    add(store, 0, 5, camera="good")
    one = started(store, sink)
    wait_for(lambda: store.waiting("out")[0] == 0)
    assert set(attempts) == {"hall/open/0"}
    assert [key[0] for key in sink.got[:5]] == ["good"] * 5
    assert [key[1] for key in sink.got if key[0] == "bad"] == [f"hall/open/{n}" for n in range(5)]
    assert one.stats().retried == 5
    wait_for(lambda: one.stats().state == "running")


def test_refused_reports_are_kept(store, started):
    sink = Fake(lambda rows: Outcome([row for row, _ in rows[1:]], [(rows[0][0], "too strange")]))
    one = started(store, sink)
    add(store, 0, 1)
    wait_for(lambda: store.waiting("out")[0] == 0)
    assert one.stats().refused == 1
    letters = store.refused("out")
    assert [(letter.why, letter.event) for letter in letters] == [("too strange", "hall/open/0")]
    assert Event.from_json(letters[0].json) == event(0)


def test_rows_that_could_not_be_recorded_are_not_sent_again(store, started, monkeypatch):
    real, failures = store.delivered, []

    def delivered(sink, rows) -> None:
        if rows and len(failures) < 3:
            failures.append(rows)
            raise PunctumError("site-disk-full", "Full")
        real(sink, rows)

    monkeypatch.setattr(store, "delivered", delivered)
    sink = Fake(everything)
    started(store, sink)
    add(store, 0, 3)
    wait_for(lambda: store.waiting("out")[0] == 0)
    assert len(sink.got) == len(set(sink.got)) == 3


def test_cameras_are_described_also_those_of_earlier_processes(store, started):
    first = Fake(everything)
    one = started(store, first)
    one.describe({"a": CameraInfo(("x",), True), "b": CameraInfo((), False)})
    wait_for(lambda: first.described)
    wait_for(lambda: store.sink_state("out").get("cameras") == ["a", "b"])
    one.stop()
    second = Fake(everything)
    started(store, second).describe({"b": CameraInfo((), True)})
    wait_for(lambda: second.described)
    assert second.described == [(["b"], ["a"])]


def test_a_stop_delivers_what_waits(store):
    sink = Fake(everything)
    store.add("hall", "default", [event(n) for n in range(1200)], ["out"], time.time())
    one = Delivery(store, sink).start()
    one.stop(10.0)
    assert store.waiting("out")[0] == 0


# JSON Lines


def test_json_lines(tmp_path, store, started):
    one = started(store, make_sink("out", JsonLinesSink(type="jsonl", path="below/e.jsonl"), tmp_path))
    add(store, 0, 30)
    path = tmp_path / "below" / "e.jsonl"
    wait_for(lambda: store.waiting("out")[0] == 0)
    assert lines(path) == [event(n) for n in range(30)]
    path.rename(tmp_path / "below" / "e.jsonl.1")
    one.reopen()
    add(store, 30, 40)
    wait_for(lambda: len(lines(path)) == 10)
    path.write_bytes(b"")  # copytruncate
    add(store, 40, 50)
    wait_for(lambda: len(lines(path)) == 10)
    assert lines(path)[0] == event(40)


@pytest.mark.parametrize("rotated", ["", "rename", "copytruncate"])
@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_between_writing_and_recording_repeats_no_line(tmp_path, store, started, rotated, torn):
    path = tmp_path / "e.jsonl"
    add(store, 0, 10)
    sink = JsonLines("out", path)
    rows = store.pending("out", 100)
    sink.deliver(rows[:4])
    store.delivered("out", [row for row, _ in rows[:4]])
    sink.deliver(rows[4:8])  # written, and killed before it was recorded
    sink.close()
    if torn:
        with path.open("ab") as file:
            file.write(rows[8][1].event.to_json().encode()[:50])
    old = tmp_path / "e.jsonl.1"
    if rotated == "rename":
        path.rename(old)
    elif rotated:
        old.write_bytes(path.read_bytes())
        path.write_bytes(b"")
    started(store, JsonLines("out", path))
    wait_for(lambda: store.waiting("out")[0] == 0)
    if torn and rotated:
        old.write_text(old.read_text()[: old.read_text().rfind("\n") + 1])
    assert lines(old) + lines(path) == [event(n) for n in range(10)]


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path, store, started):
    (tmp_path / "e.jsonl").mkdir()
    one = started(store, JsonLines("out", tmp_path / "e.jsonl"))
    add(store, 0, 3)
    wait_for(lambda: one.stats().retried > 1)
    assert "e.jsonl" in one.stats().last_error
    (tmp_path / "e.jsonl").rmdir()
    wait_for(lambda: store.waiting("out")[0] == 0)
    assert len(lines(tmp_path / "e.jsonl")) == 3


def test_a_rotation_that_fails_is_tried_until_it_works(tmp_path, store, started):
    path = tmp_path / "e.jsonl"
    one = started(store, JsonLines("out", path))
    add(store, 0, 3)
    wait_for(lambda: store.waiting("out")[0] == 0)
    path.rename(tmp_path / "e.jsonl.1")
    path.mkdir()
    one.reopen()
    wait_for(lambda: one.stats().retried > 3)
    add(store, 3, 6)
    assert one.stats().state == "failing"
    assert len(lines(tmp_path / "e.jsonl.1")) == 3
    path.rmdir()
    wait_for(lambda: store.waiting("out")[0] == 0 and one.stats().state == "running")
    assert lines(tmp_path / "e.jsonl.1") == [event(n) for n in range(3)]
    assert lines(path) == [event(n) for n in range(3, 6)]


def test_progress_ends_the_growth_of_the_pauses(store, monkeypatch):
    """Of a sink that fails now and then, and of a camera that does."""
    pauses = []
    monkeypatch.setattr(delivery_module, "_wait", lambda failures, retry_s: pauses.append(failures) or 0.0)

    def some(rows) -> Outcome:
        return Outcome([row for row, _ in rows[:2]], error="the connection was lost")

    add(store, 0, 20)
    one = Delivery(store, Fake(some))
    for _ in range(8):
        one._step()
    assert pauses == [1] * 8
    pauses.clear()

    def blocked(rows) -> Outcome:
        return Outcome([rows[0][0]], blocked={"hall": None}, error="it does not like this one")

    one.sink = Fake(blocked)
    for _ in range(3):
        one._step()
    assert pauses == [1] * 3
    pauses.clear()
    one.sink = Fake(lambda rows: Outcome(error="down"))
    for _ in range(3):
        one._step()
    assert pauses == [1, 2, 3]


@pytest.mark.parametrize("phase", ["open", "final"])
def test_what_could_not_be_synced_is_not_delivered(tmp_path, monkeypatch, phase):
    sink = JsonLines("out", tmp_path / "e.jsonl")
    assert sink.deliver(batch(0, 2)).delivered == [0, 1]
    real, fails = os.fsync, [True]

    def fsync(handle: int) -> None:
        if fails.pop() if fails else False:
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr("punctum.runtime.sinks.lines.os.fsync", fsync)
    outcome = sink.deliver(batch(2, 5, phase=phase))
    assert outcome.delivered == [] and "Input/output error" in outcome.error
    assert len(lines(tmp_path / "e.jsonl")) == 2
    assert sink.deliver(batch(2, 5, phase=phase)).delivered == [2, 3, 4]
    assert [e.id for e in lines(tmp_path / "e.jsonl")] == [event(n).id for n in range(5)]


def test_a_disk_that_is_full_keeps_complete_lines(tmp_path, monkeypatch):
    sink = JsonLines("out", tmp_path / "e.jsonl")
    rows = batch(0, 5)
    size = len(event(0).to_json().encode()) + 1
    room = [2 * size + 50]
    real = os.write

    def write(handle: int, data) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        data = bytes(data)[: room[0]]
        room[0] -= len(data)
        return real(handle, data)

    monkeypatch.setattr("punctum.runtime.files.atomic.os.write", write)
    outcome = sink.deliver(rows)
    assert outcome.delivered == [0, 1]
    assert "No space left" in outcome.error
    assert lines(tmp_path / "e.jsonl") == [event(0), event(1)]
    room[0] = 10**6
    assert sink.deliver(rows[2:]).delivered == [2, 3, 4]
    assert lines(tmp_path / "e.jsonl") == [event(n) for n in range(5)]
