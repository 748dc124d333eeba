"""A stream of the engine process, killed at any moment: what it reports after that is what it would have reported."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from punctum.runtime import Bundle, Localizer
from punctum.runtime.events.event import Event
from punctum.runtime.service.event_filter import EventFilter
from punctum.runtime.site.engine.camera import EngineCamera, Opening
from punctum.runtime.site.engine.pools import Pools
from punctum.runtime.synthetic.sensors import make_sequence

ASSETS = Path(__file__).resolve().parents[3] / "runtime" / "assets"
SECONDS = 30.0


@pytest.fixture(scope="module")
def localizer() -> Localizer:
    return Localizer(Bundle.load(ASSETS / "demo"))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.asarray(make_sequence(7, seconds=SECONDS).features, np.float32)


class Host:
    """Holds a camera as the process does, and can be killed."""

    def __init__(self, localizer: Localizer, folder: Path, **options) -> None:
        self.localizer, self.folder, self.options = localizer, folder, options
        self.stored: dict[tuple[str, int], Event] = {}
        self.sent: list[dict] = []
        self.seq, self.committed, self.commits = 0, -1, True
        self.repeated = 0
        self.bundle_id = localizer.plan.bundle_id
        self.begin()

    def begin(self) -> None:
        self.pools = Pools(self.localizer)
        values = {"run_id": "r", "max_delay_s": None, "policy": "wait", "max_queue_s": 10.0} | self.options
        opening = Opening("cam", "cam", event_filter=EventFilter(min_score=values.pop("min_score", 0.0)), **values)
        self.committed = self.seq
        self.camera = EngineCamera(
            opening,
            self.bundle_id,
            self.pools,
            self.folder,
            report=self.report,
            send=self.sent.append,
            snapshot_every_s=0.0,
        )
        self.camera.announce()
        self.opened = [one for one in self.sent if one["type"] == "opened"][-1]

    def report(self, camera: str, events: list[Event]) -> int:
        self.seq += 1
        for event in map(Event.from_json, [event.to_json() for event in events]):
            key = (event.id, event.revision)
            if key in self.stored:
                self.repeated += 1
                assert_same([event], [self.stored[key]])
            self.stored.setdefault(key, event)
        if self.commits:
            self.committed = self.seq
        return self.seq

    def chunk(self, seq: int, rows: np.ndarray, at: float | None, **more) -> None:
        header = {"type": "chunk", "seq": seq, "at": at, "rows": len(rows), "dim": rows.shape[1], "lost": []}
        header |= {"position": {"row": seq}, "arrival_unix": None} | more
        self.camera.receive(header, np.ascontiguousarray(rows, "<f4").tobytes())

    def run(self) -> None:
        while not self.camera.idle:
            self.turn()

    def turn(self) -> None:
        self.camera.feed(self.committed)
        events, failed = self.pools.step()
        self.camera.stream.emit(events)
        self.camera.ended_by_engine()
        if failed is not None:
            raise failed

    def kill(self, *, torn: int = 0) -> None:
        """All that is in memory is gone, and the last bytes of the journal did not reach the disk."""
        journal = next(self.folder.joinpath("cam").glob("journal.*"))
        if torn:
            journal.write_bytes(journal.read_bytes()[: -torn or None])
        self.begin()

    def finals(self) -> list[Event]:
        return [event for event in self.stored.values() if event.phase == "final"]


def offline(localizer: Localizer, rows: np.ndarray) -> list[Event]:
    return list(localizer.localize(rows, stream="cam", run_id="r"))


def assert_same(found: list[Event], expected: list[Event]) -> None:
    assert [event.id for event in found] == [event.id for event in expected]
    for one, other in zip(found, expected, strict=True):
        for name in ("phase", "label", "dropped", "interrupted", "degraded", "start_utc"):
            assert getattr(one, name) == getattr(other, name)
        for name in ("start", "end", "score"):
            assert abs(getattr(one, name) - getattr(other, name)) <= 1e-4


@pytest.mark.slow
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_killed_anywhere(localizer, rows, tmp_path_factory, data) -> None:
    """Kills with torn tails, snapshots in between, repeated chunks, provisional events or none."""
    stride = localizer.plan.stride_s
    folder = tmp_path_factory.mktemp("state")
    delay = data.draw(st.sampled_from([None, 0.5]))
    host = Host(localizer, folder, max_delay_s=delay)
    chance = random.Random(data.draw(st.integers(0, 10**6)))
    row = 0
    while row < len(rows):
        size = chance.choice([1, 3, 8, 17, 60])
        host.chunk(row, rows[row : row + size], round(row * stride, 6))
        if chance.random() < 0.1:  # comes twice
            host.chunk(row, rows[row : row + size], round(row * stride, 6))
        row = min(row + size, len(rows))
        host.commits = chance.random() < 0.8
        for _ in range(chance.choice([0, 1, 5])):
            host.turn()
        if chance.random() < 0.2:
            host.run()
            host.commits, host.committed = True, host.seq
            host.camera.maintain(host.committed)
        if chance.random() < 0.1:
            host.kill(torn=chance.choice([0, 0, 1, 9, 300]))
            row = 0 if host.opened["now_s"] is None else round(host.opened["now_s"] / stride)
    host.commits, host.committed = True, host.seq
    host.camera.close()
    host.run()
    if delay is None:
        assert_same(host.finals(), offline(localizer, rows))
    open_ids = {id for (id, _), event in host.stored.items() if event.phase in ("open", "update")}
    done = {id for (id, _), event in host.stored.items() if event.phase in ("final", "retracted")}
    assert open_ids <= done
    if delay is not None:
        plain = Host(localizer, tmp_path_factory.mktemp("plain"), max_delay_s=delay)
        for at in range(0, len(rows), 10):
            plain.chunk(at, rows[at : at + 10], at * stride)
            plain.run()
        plain.camera.close()
        plain.run()
        assert sorted(plain.stored) == sorted(host.stored)
        keys = sorted(plain.stored)
        assert_same([host.stored[key] for key in keys], [plain.stored[key] for key in keys])
    shutil.rmtree(folder)


def test_times_of_day_are_the_same_after_a_kill(localizer, rows, tmp_path) -> None:
    """They come from the journaled arrivals, also when the journal is read much later."""
    stored = []
    for killed in (False, True):
        host = Host(localizer, tmp_path / str(killed))
        chance = random.Random(3)
        for k in range(0, len(rows), 5):
            now = 1.7e9 + (k + 5) * 0.1 + chance.random() * 0.3
            host.chunk(k, rows[k : k + 5], k * 0.1, arrival_unix=now, arrival_steady=now - 1.6e9)
            host.run()
            if k == 100:
                host.camera.maintain(host.committed)
            if killed and k in (150, 200):
                host.kill()
                host.run()
        host.camera.close()
        host.run()
        stored.append(host.stored)
    assert all(event.start_utc for event in stored[0].values())
    assert {key: e.start_utc for key, e in stored[0].items()} == {key: e.start_utc for key, e in stored[1].items()}


def gaps(host: Host) -> list[dict]:
    return [one for one in host.sent if one["type"] == "gaps"]


def test_a_hole_is_declared_with_times_of_day_and_events_next_to_it_say_so(localizer, rows, tmp_path) -> None:
    host = Host(localizer, tmp_path)
    host.chunk(0, rows[:100], 0.0, arrival_unix=1010.0, arrival_steady=10.0)
    host.run()
    host.chunk(1, rows[200:300], 20.0, arrival_unix=1030.0, arrival_steady=30.0)
    host.run()
    (gap,) = gaps(host)
    assert (gap["start_s"], gap["end_s"], gap["snippets"]) == (pytest.approx(10.0), 20.0, 100)
    assert gap["start_unix"] == pytest.approx(1010.0) and gap["end_unix"] == pytest.approx(1020.0)
    host.camera.receive({"type": "gap", "until_s": 45.0, "reason": "overflow"}, b"")
    host.run()
    assert gaps(host)[1]["reason"] == "overflow" and gaps(host)[1]["end_s"] == 45.0
    host.chunk(2, rows[:50], 45.0)
    host.run()
    assert len(gaps(host)) == 2


def test_a_gap_never_ends_before_it_starts(localizer, rows, tmp_path) -> None:
    """The first chunk of a section arrives late, so that the anchor after the gap is earlier."""
    host = Host(localizer, tmp_path)
    host.chunk(0, rows[:10], 0.0, arrival_unix=1003.0, arrival_steady=3.0)  # 2 s late
    host.run()
    host.chunk(1, rows[20:30], 2.0, arrival_unix=1003.1, arrival_steady=3.1)
    host.run()
    host.chunk(2, rows[40:50], 4.0, arrival_unix=1008.0, arrival_steady=8.0)  # 3 s for opening the source again
    host.run()
    first, second = gaps(host)
    assert first["start_unix"] == pytest.approx(1003.0) and first["end_unix"] == pytest.approx(1004.0)
    assert second["start_unix"] == pytest.approx(1003.1) and second["end_unix"] == pytest.approx(1007.0)


def test_a_source_that_begins_again_gives_another_run_also_after_a_kill(localizer, rows, tmp_path, caplog) -> None:
    host = Host(localizer, tmp_path)
    host.camera.receive({"type": "begin", "start_s": 5.0, "restart": False}, b"")
    host.chunk(0, rows[:150], 5.0)
    host.camera.receive({"type": "begin", "start_s": 0.0, "restart": True}, b"")
    host.chunk(0, rows[:150], 0.0)
    host.run()
    assert "began again" in caplog.text
    host.kill()
    assert host.opened["run_id"] == "r.1" and host.opened["now_s"] == pytest.approx(15.0)
    host.camera.close()
    host.run()
    runs = {event.id.split("/")[1] for event in host.finals()}
    assert runs == {"r", "r.1"} and not gaps(host)
    expected = list(localizer.localize(rows[:150], stream="cam", run_id="r.1"))
    assert_same([e for e in host.finals() if "/r.1/" in e.id], expected)


def test_a_replayable_source_that_is_read_again_repeats_nothing(localizer, rows, tmp_path) -> None:
    host = Host(localizer, tmp_path)
    begin = {"type": "begin", "start_s": 0.0, "restart": False, "replayable": True}
    host.camera.receive(begin, b"")
    host.chunk(0, rows[:100], 0.0)
    host.run()
    host.camera.receive(begin, b"")
    for k in range(0, len(rows), 60):  # the second begins within what is there
        host.chunk(k, rows[k : k + 60], k * 0.1)
    host.camera.close()
    host.run()
    assert_same(host.finals(), offline(localizer, rows))
    assert host.camera.stream.counts.duplicates == 1 and not gaps(host)


def test_chunks_that_cannot_be_used_are_counted_and_acknowledged(localizer, rows, tmp_path) -> None:
    host = Host(localizer, tmp_path)
    host.chunk(0, rows[:50], 0.0)
    bad = rows[50:60].copy()
    bad[3, 2] = np.nan
    host.chunk(1, bad, 5.0)
    host.chunk(2, rows[60:70, :5], 6.0)
    host.chunk(3, rows[70:80], float("inf"))
    host.chunk(4, rows[70:80], 7.0, lost=[[99, 1]])
    host.camera.receive({"type": "chunk", "seq": 5}, b"")
    host.camera.receive({"type": "begin"}, b"")
    host.chunk(6, rows[80:], 8.0)
    host.run()
    assert host.camera.stream.counts.bad == 6
    assert [one["seq"] for one in host.sent if one["type"] == "taken"] == [1, 2, 3, 4, 5, 0, 6]
    assert gaps(host)[0]["snippets"] == 30


@pytest.mark.parametrize("damage", ["bundle", "snapshot", "journal", "generation"])
def test_what_cannot_be_used_is_moved_aside(localizer, rows, tmp_path, caplog, damage) -> None:
    host = Host(localizer, tmp_path)
    host.chunk(0, rows[:50], 0.0)
    host.run()
    host.camera.maintain(host.committed)
    host.chunk(1, rows[50:80], 5.0)
    host.run()
    folder = tmp_path / "cam"
    if damage == "bundle":
        host.bundle_id = "another-1.0.0"
    elif damage == "snapshot":
        data = bytearray((folder / "snapshot").read_bytes())
        data[len(data) // 2] ^= 1
        (folder / "snapshot").write_bytes(data)
    elif damage == "journal":
        next(folder.glob("journal.*")).write_bytes(b"no journal at all")
    else:
        (folder / "snapshot").unlink()
    host.begin()
    if damage == "journal":  # the snapshot alone is a valid, earlier state
        assert host.opened["now_s"] == pytest.approx(5.0)
        return
    assert not host.opened["restored"] and host.opened["now_s"] is None
    assert (folder / "aside").is_dir() and "begins anew" in caplog.text
    host.chunk(2, rows[80:], 8.0)
    host.run()
    host.kill()
    assert host.opened["restored"]


def test_a_full_disk_stops_nothing(localizer, rows, tmp_path, monkeypatch, caplog) -> None:
    from punctum.runtime.site.engine import journal as journal_module

    host = Host(localizer, tmp_path)
    host.chunk(0, rows[:50], 0.0)
    host.run()

    def full(handle: int, data: bytes) -> None:
        import os

        os.write(handle, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "write_all", full)
        for k in range(50, 200, 50):
            host.chunk(k, rows[k : k + 50], k * 0.1)
            host.run()
            host.camera.maintain(host.committed)
    assert caplog.text.count("cannot be written") == 1
    assert host.camera.stats(0.0)["not_stored"] == 3
    assert [one["state"] for one in host.sent if one["type"] == "state"] == ["not-stored"]
    host.camera.maintain(host.committed)
    assert [one["state"] for one in host.sent if one["type"] == "state"] == ["not-stored", "stored"]
    host.chunk(200, rows[200:250], 20.0)
    host.run()
    host.kill()
    assert host.opened["now_s"] == pytest.approx(25.0)
    host.chunk(250, rows[250:], 25.0)
    host.camera.close()
    host.run()
    assert_same(host.finals(), offline(localizer, rows))


def test_a_stream_with_other_options_is_concluded_first(localizer, rows, tmp_path) -> None:
    host = Host(localizer, tmp_path, max_delay_s=0.5)
    host.chunk(0, rows[:150], 0.0)
    host.run()
    host.options["max_delay_s"] = None
    host.kill()
    assert host.opened["run_id"] == "r.1" and host.opened["now_s"] == pytest.approx(15.0)
    host.chunk(1, rows[150:], 15.0)
    host.camera.close()
    host.run()
    open_ids = {id for (id, _), event in host.stored.items() if event.phase in ("open", "update")}
    assert open_ids and open_ids <= {id for (id, _), e in host.stored.items() if e.phase in ("final", "retracted")}
    assert not any(e.phase in ("open", "update") for (id, _), e in host.stored.items() if "/r.1/" in id)


def test_overflow_drops_the_oldest_before_they_are_stored(localizer, rows, tmp_path) -> None:
    host = Host(localizer, tmp_path, policy="drop_oldest", max_queue_s=5.0)
    for k in range(0, 200, 10):
        host.chunk(k, rows[k : k + 10], k * 0.1)
    host.run()
    assert host.camera.stats(0.0)["overflowed"] == 150
    host.chunk(200, rows[200:], 20.0)
    host.camera.close()
    host.run()
    before = dict(host.stored)
    assert gaps(host) == [] and host.camera.stream.counts.snippets == 150  # nothing came before the first
    host.kill()
    host.run()
    assert host.stored == before and host.repeated


def test_degraded_chunks_are_degraded_again_after_a_kill(localizer, rows, tmp_path) -> None:
    host = Host(localizer, tmp_path, policy="degrade", max_queue_s=10.0)
    for k in range(0, 100, 10):
        host.chunk(k, rows[k : k + 10], k * 0.1)
    host.run()
    for k in range(100, 300, 10):
        host.chunk(k, rows[k : k + 10], k * 0.1)
        host.run()
    assert any(event.degraded for event in host.finals()) and not all(event.degraded for event in host.finals())
    before = dict(host.stored)
    host.kill()
    host.run()
    assert host.stored == before and host.repeated


def test_a_stream_that_the_engine_gives_up_goes_on_with_another_run(localizer, rows, tmp_path) -> None:
    host = Host(localizer, tmp_path)
    host.chunk(0, rows[:200], 0.0)
    host.run()
    events = host.pools.abandon("cam", "engine-failed")
    host.camera.stream.emit(events)
    assert host.camera.ended_by_engine() == "engine-failed" and host.camera.ended_by_engine() == ""
    host.chunk(1, rows[200:], 20.0)
    host.run()
    host.kill()
    assert host.opened["run_id"] == "r.1"
    host.camera.close()
    host.run()
    assert {event.id.split("/")[1] for event in host.finals()} == {"r", "r.1"} and not gaps(host)
