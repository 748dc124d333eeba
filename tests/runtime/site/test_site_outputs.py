"""Outputs of a site that need no broker: webhooks against a server with faults, and Parquet files."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import threading
import time
from pathlib import Path

import pytest
from punctum.runtime import Event
from punctum.runtime.site.config.models import ParquetSink, Secret, WebhookSink
from punctum.runtime.site.delivery import delivery as delivery_module
from punctum.runtime.site.delivery.delivery import Delivery
from punctum.runtime.site.delivery.home_assistant import discovery
from punctum.runtime.site.delivery.make import make_sink
from punctum.runtime.site.delivery.sink import BaseSink, Outcome
from punctum.runtime.site.store.store import Store

from tests.helpers.site import Answer, Receiver, batch, event, wait_for

pytestmark = pytest.mark.slow

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


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


def hook(receiver: Receiver, folder: Path, **changes):
    fields = {"type": "webhook", "url": f"http://127.0.0.1:{receiver.port}/in?a=b", "timeout_s": 0.5} | changes
    return make_sink("out", WebhookSink(**fields), folder)


def test_webhook_signed_and_in_order(tmp_path, store, started, receiver):
    (tmp_path / "key").write_text("s3cret\n")
    started(store, hook(receiver, tmp_path, secret=Secret(file="key")))
    add(store, 0, 5)
    add(store, 5, 6, phase="open")  # not among the phases
    wait_for(lambda: store.waiting("out")[0] == 0)
    assert receiver.ids == [f"hall/hall/open/{n}/0" for n in range(5)]
    headers, body = receiver.requests[3]
    assert Event.from_json(body.decode()) == event(3)
    assert headers["Content-Type"] == "application/json"
    stamp, _, digest = headers["Punctum-Signature"].partition(",v1=")
    unix = int(stamp.removeprefix("t="))
    assert abs(unix - time.time()) < 60
    assert digest == hmac.new(b"s3cret", f"{unix}.".encode() + body, hashlib.sha256).hexdigest()


def test_webhook_retries_and_refusals(tmp_path, store, started, receiver):
    answers = {
        "hall/hall/open/0/0": [Answer(500, body=b"oops"), Answer(503), Answer(204)],
        "hall/hall/open/1/0": [Answer(400, body=b"\x1b[31mbad\nfield")],
        "hall/hall/open/2/0": [Answer(302, {"Location": "http://u:pw@127.0.0.1:1/x"}), Answer(200)],
        "hall/hall/open/3/0": [Answer(drop=True), Answer(200)],
        "hall/hall/open/4/0": [Answer(429, {"Retry-After": "0"}), Answer(200, body=b"x" * 500_000)],
        "hall/hall/open/5/0": [Answer(hang_s=1.5), Answer(200)],
    }
    receiver.answer = lambda ident, body: answers.get(ident, []).pop(0) if answers.get(ident) else Answer()
    one = started(store, hook(receiver, tmp_path))
    add(store, 0, 8)
    wait_for(lambda: store.waiting("out")[0] == 0)
    seen = [int(ident.split("/")[3]) for ident in receiver.ids]
    assert seen == [0, 0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7]
    stats = one.stats()
    assert (stats.delivered, stats.refused, stats.retried) == (7, 1, 6)
    why = store.refused("out")[0].why
    assert "answers 400" in why
    assert "\x1b" not in why


def test_webhook_answers_that_never_end(tmp_path, receiver):
    receiver.answer = lambda ident, body: Answer(drip=True)
    sink = hook(receiver, tmp_path, timeout_s=0.3)
    start = time.monotonic()
    outcome = sink.deliver(batch(0, 1))
    assert outcome.error
    assert time.monotonic() - start < 20  # the answer never ends
    receiver.answer = lambda ident, body: Answer()
    assert sink.deliver(batch(0, 1)).delivered == [0]
    sink.close()


def test_webhook_without_a_receiver_shows_no_secret(tmp_path, store, started):
    config = WebhookSink(type="webhook", url="http://user:hushhush@127.0.0.1:1/in?token=hushhush", timeout_s=0.5)
    one = started(store, make_sink("out", config, tmp_path))
    add(store, 0, 1)
    wait_for(lambda: one.stats().retried > 1)
    assert "cannot be reached" in one.stats().last_error
    assert "hushhush" not in one.stats().last_error


def test_webhook_one_failing_camera(tmp_path, store, started, receiver):
    bad = [True]
    receiver.answer = lambda ident, body: Answer(500 if ident.startswith("bad/") and bad[0] else 200)
    add(store, 0, 3, camera="bad")
    add(store, 0, 3, camera="good")
    one = started(store, hook(receiver, tmp_path))
    wait_for(lambda: one.stats().delivered == 3)
    wait_for(lambda: one.stats().state == "failing")
    bad[0] = False
    wait_for(lambda: store.waiting("out")[0] == 0)
    order = [ident for ident in receiver.ids if ident.startswith("bad/")]
    assert order[-2:] == ["bad/hall/open/1/0", "bad/hall/open/2/0"]
    assert set(order[:-2]) == {"bad/hall/open/0/0"}


def test_webhook_retry_after_is_obeyed(tmp_path, receiver):
    sink = hook(receiver, tmp_path)
    for text, expected in [("7", 7), ("999999", 3600), ("soon", None), ("-5", None)]:
        receiver.answer = lambda ident, body, text=text: Answer(503, {"Retry-After": text})
        assert sink.deliver(batch(0, 1)).retry_s == expected
    receiver.answer = lambda ident, body: Answer(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert sink.deliver(batch(0, 1)).retry_s == 0
    sink.close()


# Parquet


def rows_of(folder: Path) -> list[dict]:
    pq = pytest.importorskip("pyarrow.parquet")
    return [row for path in sorted(folder.rglob("*.parquet")) for row in pq.ParquetFile(path).read().to_pylist()]


def test_parquet_by_the_hour(tmp_path, store, started):
    pytest.importorskip("pyarrow")
    sink = make_sink("out", ParquetSink(type="parquet", folder="p"), tmp_path)
    sink.pace_s = 0.0
    started(store, sink)
    add(store, 0, 5)
    add(store, 5, 7, start_utc="2026-05-01T11:00:00.000Z", end_utc="2026-05-01T11:00:01.000Z")
    add(store, 7, 8, phase="open")
    wait_for(lambda: store.waiting("out")[0] == 0)
    add(store, 8, 9)  # late
    add(store, 9, 10, start_utc=None, end_utc=None)
    wait_for(lambda: store.waiting("out")[0] == 0)
    found = rows_of(tmp_path / "p")
    assert sorted(row["event"] for row in found) == sorted(f"hall/open/{n}" for n in range(10) if n != 7)
    hours = {p.parent.relative_to(tmp_path / "p").as_posix(): p for p in (tmp_path / "p").rglob("*.parquet")}
    assert {"date=2026-05-01/hour=10", "date=2026-05-01/hour=11"} < set(hours)
    assert len(rows_of(hours["date=2026-05-01/hour=10"].parent)) == 6
    first = next(row for row in found if row["event"] == "hall/open/0")
    assert first["start_utc"].isoformat() == "2026-05-01T10:00:10+00:00"
    assert (first["camera"], first["label"], first["score"], first["interrupted"]) == ("hall", "open", 0.5, False)
    dataset = pytest.importorskip("pyarrow.dataset").dataset(tmp_path / "p", partitioning="hive")
    assert dataset.to_table(columns=["hour", "event"]).num_rows == 9


def test_parquet_after_a_crash_has_no_row_twice(tmp_path):
    pytest.importorskip("pyarrow")
    config = ParquetSink(type="parquet", folder="p")
    make_sink("out", config, tmp_path).deliver(batch(0, 5))  # killed before it was recorded
    folder = tmp_path / "p" / "date=2026-05-01" / "hour=10"
    (folder / ".events.parquet.0a1b2c3d").write_bytes(b"PAR1 half of a file")
    assert make_sink("out", config, tmp_path).deliver(batch(0, 8)).delivered == list(range(8))
    assert [row["event"] for row in rows_of(tmp_path / "p")] == [f"hall/open/{n}" for n in range(8)]
    assert [path.name for path in folder.iterdir()] == ["events.parquet"]


def test_parquet_of_two_sites_in_one_folder(tmp_path):
    pytest.importorskip("pyarrow")
    config = ParquetSink(type="parquet", folder="p")
    together = threading.Barrier(2)

    def site(first: int) -> None:
        sink = make_sink("out", config, tmp_path)
        for n in range(first, first + 20):
            together.wait(60)
            assert sink.deliver(batch(n, n + 1)).error == ""

    sites = [threading.Thread(target=site, args=(first,)) for first in (0, 100)]
    for one in sites:
        one.start()
    for one in sites:
        one.join()
    assert len(rows_of(tmp_path / "p")) == 40


def test_parquet_folder_that_is_held(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("punctum.runtime.site.delivery.parquet.LOCK_S", 0.1)
    sink = make_sink("out", ParquetSink(type="parquet", folder="p"), tmp_path)
    (tmp_path / "p").mkdir()
    with (tmp_path / "p" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "Another process holds" in sink.deliver(batch(0, 1)).error
    assert sink.deliver(batch(0, 1)).delivered == [0]


def test_home_assistant_with_a_class_named_like_the_entity_of_all():
    message = discovery("punctum", "hall", ["actions", "open"])
    parts = message["components"]
    assert len(parts) == 3 and parts["actions"]["platform"] == "event"
    assert len({part["unique_id"] for part in parts.values()}) == 3
    assert sorted(p["name"] for p in parts.values() if p["platform"] == "binary_sensor") == ["actions", "open"]


def test_parquet_damaged_and_foreign_files(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    sink = make_sink("out", ParquetSink(type="parquet", folder="p"), tmp_path)
    sink.deliver(batch(0, 5))
    path = next((tmp_path / "p").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:200])
    assert len(sink.deliver(batch(5, 8)).delivered) == 3
    assert len(rows_of(tmp_path / "p")) == 3
    assert len(list(path.parent.glob("events.parquet.damaged-*"))) == 1
    pq.write_table(pa.table({"x": [1]}), path)
    outcome = sink.deliver(batch(8, 9))
    assert outcome.delivered == []
    assert "another schema" in outcome.error
    assert json.loads(json.dumps(rows_of(tmp_path / "p"))) == [{"x": 1}]


def test_parquet_waits_to_write_many_rows_at_once(tmp_path, store, started):
    pytest.importorskip("pyarrow")
    sink = make_sink("out", ParquetSink(type="parquet", folder="p"), tmp_path)
    sink.pace_s = 1000.0
    one = started(store, sink)
    add(store, 0, 1)
    wait_for(lambda: store.waiting("out")[0] == 0)
    add(store, 1, 5)
    time.sleep(0.1)
    assert store.waiting("out")[0] == 4
    one.stop()
    assert store.waiting("out")[0] == 0
    assert len(rows_of(tmp_path / "p")) == 5
