"""The store of a site: reports once, outboxes, queries, and what kills, damage and full disks leave behind."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.site.store.outbox import Bounds
from punctum.runtime.site.store.rows import EventQuery, GapPage, GapRow, Review
from punctum.runtime.site.store.store import Store

from tests.helpers.site import EVENT, event


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as one:
        yield one


def add(store: Store, *events, camera: str = "hall", sinks=("file",), at: float = 100.0):
    return store.add(camera, "default", events, sinks, at)


def test_reports_once_in_order_with_their_outbox(store):
    first = add(store, event(0, phase="open"), event(0, 1, "update"), sinks=("a", "b"))
    assert [(r.id, r.event.phase, r.camera, r.bundle) for r in first] == [
        (1, "open", "hall", "default"),
        (2, "update", "hall", "default"),
    ]
    again = add(store, event(0, phase="open"), event(0, 1, "update"), event(0, 2), event(1), sinks=("a",), at=200.0)
    assert [(r.id, r.event.revision) for r in again] == [(3, 2), (4, 0)]
    assert [r.id for _, r in store.pending("a", 10)] == [1, 2, 3, 4]
    assert [r.id for _, r in store.pending("b", 10)] == [1, 2]
    assert store.pending("a", 2)[1][1].event == event(0, 1, "update")
    assert store.waiting("a") == (4, 100.0)
    assert store.waiting("nobody") == (0, None)
    rows = [row for row, _ in store.pending("a", 3)]
    store.delivered("b", rows)  # rows of another sink
    store.delivered("a", rows)
    assert store.waiting("a") == (1, 200.0)
    assert store.waiting("b")[0] == 2
    assert store.reports(2, 10) == again
    assert store.reports(0, 10, cameras=["yard"]) == store.reports(0, 10, cameras=[]) == []
    assert (store.first_report(), store.last_report()) == (1, 4)
    assert store.forget_sink("b") == 2
    assert store.sinks() == ["a"]
    assert add(store, event(0, 1, "update")) == []  # late and out of order


def test_an_event_is_its_latest_report(store):
    add(store, event(0, phase="open", end=11.0, end_utc="2026-05-01T10:00:11.000Z", ended=False), at=5.0)
    assert store.open_actions("hall")[0].phase == "open"
    assert store.open_actions("yard") == []
    add(store, event(0, 1), at=9.0)
    row = store.event("hall", "hall/open/0")
    assert (row.event, row.first_unix, row.updated_unix) == (event(0, 1), 5.0, 9.0)
    assert (row.start_unix, row.end_unix) == (1777629610.0, 1777629614.0)
    assert store.open_actions("hall") == []
    assert store.event("yard", "hall/open/0") is None


def test_queries_and_pages(store):
    for n in range(30):
        utc = f"2026-05-01T10:{n:02d}:00.000Z"
        one = event(n, label="open" if n % 3 else "close", score=n / 30, start_utc=utc, end_utc=utc)
        add(store, one, camera="hall" if n % 2 else "yard", at=1000.0 + n)
    add(store, event(99, start_utc=None, end_utc=None), at=1777629600.0 + 1.5 * 60)
    everything = [row.id for row in store.events(EventQuery(limit=100)).items]
    assert len(everything) == 31
    assert everything[-2] == "hall/open/99" or everything.index("hall/open/99") == 28  # by when it was received
    found, cursor = [], None
    while True:
        page = store.events(EventQuery(limit=7, before=cursor))
        found += [row.id for row in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == everything
    base = 1777629600.0
    page = store.events(EventQuery(start_unix=base + 300, end_unix=base + 600))
    assert [row.id for row in page.items] == [f"hall/open/{n}" for n in (9, 8, 7, 6, 5)]
    assert {row.camera for row in store.events(EventQuery(cameras=("yard",))).items} == {"yard"}
    assert {row.event.label for row in store.events(EventQuery(labels=("close",))).items} == {"close"}
    assert min(row.event.score for row in store.events(EventQuery(min_score=0.8)).items) >= 0.8
    assert store.events(EventQuery(bundles=("other",))).items == []
    assert store.events(EventQuery(phases=("open",))).items == []
    assert sum(store.counts(0, 2e9).values()) == 31
    for wrong in (
        EventQuery(limit=0),
        EventQuery(limit=10**6),
        EventQuery(before="x"),
        EventQuery(before="bmFuLzE"),
        EventQuery(before="a" * 1000),
        EventQuery(before="\u00e9"),
        EventQuery(min_score=float("nan")),
    ):
        with pytest.raises(InputError) as caught:
            store.events(wrong)
        assert caught.value.code == "site-query"


@pytest.mark.parametrize("second", [9, 59])
def test_pages_have_each_event_once_though_starts_change(store, second):
    """An action that runs gets another start between two pages: one that is earlier, or later, than all others."""
    starts = {n: f"2026-05-01T10:00:{10 + n}.000Z" for n in range(6)}
    for n, utc in starts.items():
        add(store, event(n, phase="open", start_utc=utc, end_utc=utc))
    found, cursor = [], None
    while True:
        page = store.events(EventQuery(limit=2, before=cursor))
        found += [row.id for row in page.items]
        for n in (0, 5):
            utc = f"2026-05-01T10:00:{second:02d}.500Z"
            add(store, event(n, len(found), "update", start_utc=utc, end_utc=utc))
        cursor = page.next
        if cursor is None:
            break
    assert found == [f"hall/open/{n}" for n in (5, 4, 3, 2, 1, 0)]
    assert store.event("hall", "hall/open/0").start_unix % 60 == second + 0.5
    # Each event is in one of two spans, whenever they are asked for.
    edge = 1777629613.0
    spans = (EventQuery(start_unix=edge, limit=9), EventQuery(end_unix=edge, limit=9))
    assert [len(store.events(one).items) for one in spans] == [3, 3]


@given(st.text(max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_cursor_is_taken_or_refused(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp() / "cursors"
    with Store.open(folder) as one:
        try:
            one.events(EventQuery(before=text))
        except InputError as error:
            assert error.code == "site-query"


@pytest.mark.parametrize(
    "changes",
    [
        {"score": float("nan")},
        {"start": float("inf")},
        {"revision": -1},
        {"revision": 1 << 70},
        {"id": ""},
        {"id": "x" * 5000},
        {"label": "\ud800"},
        {"phase": "closed"},
        {"score": "0.5"},
        {"raw_score": float("nan")},
    ],
)
def test_impossible_events_are_refused_with_all_of_their_batch(store, changes):
    with pytest.raises(InputError) as caught:
        add(store, event(1), replace(event(2), **changes))
    assert caught.value.code == "site-report"
    assert store.last_report() == 0
    assert store.pending("file", 10) == []


def test_text_of_any_kind_comes_back(store):
    one = event(0, label="'; DROP TABLE events; --\u202e\U0001f600", bundle="b\n1")
    add(store, one, camera="caf\u00e9", sinks=("it's",))
    assert store.event("caf\u00e9", one.id).event == one
    assert store.pending("it's", 1)[0][1].event == one


def test_a_full_outbox_loses_provisional_reports_first(tmp_path):
    with Store.open(tmp_path, bounds=Bounds(rows=32, bytes=1 << 30)) as store:
        for n in range(20):
            add(store, event(n, phase="open"), event(n, 1), sinks=("a", "b"))
            store.delivered("b", [row for row, _ in store.pending("b", 10)])
        kept = [r.event for _, r in store.pending("a", 100)]
        assert store.waiting("b") == (0, None)
        assert store.lost("b") == (0, 0)
        assert len(kept) <= 32
        assert [e.id for e in kept if e.phase == "final"] == [f"hall/open/{n}" for n in range(20)]
        provisional, final = store.lost("a")
        assert (provisional, final) == (40 - len(kept), 0)
        for n in range(20, 60):
            add(store, event(n), sinks=("a",))
        kept = [r.event.id for _, r in store.pending("a", 100)]
        assert kept[-1] == "hall/open/59"
        provisional, final = store.lost("a")
        assert provisional == 20
        assert final == 60 - len(kept)
        assert store.events(EventQuery(limit=100)).items[-1].id == "hall/open/0"  # the events themselves stay
    with Store.open(tmp_path, bounds=Bounds(rows=1000, bytes=2000)) as store:
        add(store, event(100), sinks=("c",))
        add(store, *(event(n) for n in range(101, 120)), sinks=("c",))
        assert 1 <= store.waiting("c")[0] <= 5
        assert store.lost("a") == (provisional, final)


def test_without_provisional_reports(store):
    store.keep_provisional = False
    new = add(store, event(0, phase="open"), event(0, 1, "update"), event(0, 2), event(1, 3, "retracted"))
    assert [r.event.phase for r in new] == ["final", "retracted"]


def test_media_gaps_and_cameras(store):
    add(store, event(0))
    store.add_media("hall", EVENT.id, "clip", "/c.mp4", 100, 7.0, 17.0, unix=50.0)
    store.add_media("hall", EVENT.id, "picture", None, 0, 12.0, 12.0, "the camera was lost")
    row = store.event("hall", EVENT.id)
    assert (row.clip.path, row.clip.bytes, row.picture.path, row.picture.why) == (
        "/c.mp4",
        100,
        None,
        "the camera was lost",
    )
    assert store.media("hall", EVENT.id, "clip") == row.clip
    assert store.media("hall", "nope", "clip") is None
    assert store.media_bytes() == 100
    assert [(m.media.path, m.label) for m in store.media_by_age(10)] == [("/c.mp4", "open")]
    store.drop_media("hall", EVENT.id, "clip")
    assert (store.media("hall", EVENT.id, "clip").path, store.media_bytes()) == (None, 0)
    assert store.add_gap("hall", 1.0, 2.0, 101.0, 102.0, 8, "the source was lost")
    assert not store.add_gap("hall", 1.0, 2.0, 101.0, 102.0, 8, "the source was lost")  # replayed
    store.add_gap("yard", 1.0, 2.0, 201.0, 202.0, 8, "overload")
    assert [gap.camera for gap in store.gaps(0, 1000).items] == ["yard", "hall"]
    assert [gap.snippets for gap in store.gaps(101.5, 150).items] == [8]
    assert store.gaps(0, 1000, cameras=["x"]) == store.gaps(0, 1000, cameras=[]) == GapPage([], None)
    assert store.camera_state("hall") == {}
    store.set_camera_state("hall", {"epoch_unix": 5.5, "position": {"file": "a", "row": 3}})
    assert store.camera_state("hall")["position"] == {"file": "a", "row": 3}
    with pytest.raises(ValueError, match="JSON"):
        store.set_camera_state("hall", {"x": float("nan")})


def test_pages_of_gaps_have_each_gap_once(store):
    def gap(number: int) -> GapRow:
        return GapRow("hall", float(number), number + 0.5, 1000.0 + number // 3, 1001.0 + number // 3, 1, "lost")

    store.add_rows([], [gap(n) for n in range(12_000)])
    found, cursor = [], None
    while True:
        page = store.gaps(-1e12, 1e12, before=cursor)
        found += [int(one.start_s) for one in page.items]
        store.add_rows([], [gap(20_000 + len(found))])  # newer ones that come meanwhile
        cursor = page.next
        if cursor is None:
            break
    assert found == list(range(11_999, -1, -1)), "the newest first, also among those that begin together"
    assert len(store.gaps(1000.0, 1002.0, limit=4).items) == 4
    for wrong in ({"limit": 0}, {"limit": 1001}, {"before": "x"}):
        with pytest.raises(InputError) as caught:
            store.gaps(0, 1, **wrong)
        assert caught.value.code == "site-query"


def test_lists_in_parts_pass_over_nothing_that_has_the_same_time(store):
    for n in range(5):
        add(store, event(n))
        store.add_media("hall", f"hall/open/{n}", "clip", f"/{n}.mp4", 1, 0.0, 1.0, unix=50.0)
        store.review("hall", f"hall/open/{n}", Review("right", unix=5.0))
    media, row = [], None
    while found := store.media_by_age(2, after=row):
        media += [one.media.path for one in found]
        row = found[-1].media
    assert media == [f"/{n}.mp4" for n in range(5)]
    reviews, last = [], None
    while some := store.reviews(after=last, limit=2):
        reviews += [one.event for one in some]
        last = some[-1]
    assert reviews == [f"hall/open/{n}" for n in range(5)]


def test_the_file_of_a_camera_that_could_not_be_written_is_written_later(tmp_path, store, caplog):
    store.set_camera_state("hall", {"ended": False})
    path = store.folder / "cameras" / "hall.json"
    path.unlink()
    (path / "x").mkdir(parents=True)  # in the place of the file
    for _ in range(2):
        store.set_camera_state("hall", {"ended": True})
    store.mirror_cameras()
    assert caplog.text.count("in the database only") == 1
    (path / "x").rmdir()
    path.rmdir()
    store.mirror_cameras()
    assert '"ended": true' in path.read_text()
    path.write_text('{"ended": false}')  # as after a kill between the database and the file
    store.close()
    with Store.open(tmp_path / "state"):
        assert '"ended": true' in path.read_text()


def test_reviews(store):
    add(store, event(0), event(1))
    done = store.review("hall", EVENT.id, Review("class", label="close", by="ann"))
    assert done.unix > 0
    assert store.event("hall", EVENT.id).review == done
    assert [row.id for row in store.events(EventQuery(reviewed=True)).items] == [EVENT.id]
    assert [row.id for row in store.events(EventQuery(reviewed=False)).items] == ["hall/open/1"]
    add(store, event(0, 1))  # a later report keeps the review
    assert store.event("hall", EVENT.id).review == done
    store.review("hall", "hall/open/1", Review("edges", start=1.0, end=2.0, unix=5.0))
    assert [(r.camera, r.event, r.review.verdict) for r in store.reviews()] == [
        ("hall", "hall/open/1", "edges"),
        ("hall", EVENT.id, "class"),
    ]
    assert store.review("hall", EVENT.id, None) is None
    assert store.event("hall", EVENT.id).review is None
    with pytest.raises(InputError, match="has no event"):
        store.review("hall", "nope", Review("right"))
    for wrong in (
        Review("good"),
        Review("class"),
        Review("right", label="x"),
        Review("edges"),
        Review("edges", start=2.0, end=1.0),
        Review("edges", start=float("nan"), end=1.0),
        Review("right", start=1.0, end=2.0),
        Review("class", label="a\nb"),
        Review("right", note="x" * 5000),
    ):
        with pytest.raises(InputError) as caught:
            store.review("hall", "hall/open/1", wrong)
        assert caught.value.code == "site-review"


def test_prune(store):
    for n in range(10):
        utc = f"2026-05-0{n % 9 + 1}T10:00:00.000Z"
        add(store, event(n, start_utc=utc, end_utc=utc), at=1000.0 + n)
    add(store, event(50, phase="open", start_utc="2026-05-01T00:00:00Z"), sinks=(), at=1000.0)
    store.add_media("hall", "hall/open/1", "clip", "/c.mp4", 5, 0, 1)
    store.add_gap("hall", 0, 1, 0, 1, 1, "x")
    store.delivered("file", [row for row, _ in store.pending("file", 4)])
    assert store.prune(1.9e9) == 9  # not the running one; the media row keeps event 1
    assert [r.event.id for _, r in store.pending("file", 10)] == [f"hall/open/{n}" for n in range(4, 10)]
    assert store.gaps(0, 10).items == []
    assert {row.id for row in store.events(EventQuery()).items} == {"hall/open/50", "hall/open/1"}
    assert len(store.reports(0, 100)) == 6
    store.delivered("file", [row for row, _ in store.pending("file", 10)])
    store.prune(1.9e9)
    assert store.reports(0, 100) == []
    assert add(store, event(60))[0].id == 12  # ids never come again
    store.compact()


@pytest.mark.slow
def test_many_threads(store):
    wrong: list[BaseException] = []

    def write(camera: str) -> None:
        try:
            for n in range(30):
                add(store, event(n), camera=camera)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            wrong.append(error)

    def read() -> None:
        try:
            for _ in range(60):
                page = store.events(EventQuery(limit=100))
                assert len({(row.camera, row.id) for row in page.items}) == len(page.items)
                store.reports(0, 50)
                store.waiting("file")
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(f"c{n}",)) for n in range(4)]
    threads += [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert store.last_report() == 120


def test_listeners(store):
    calls = []
    remove = store.on_add(lambda: calls.append(1))
    add(store, event(0))
    add(store, event(0))  # nothing new
    remove()
    remove()
    add(store, event(1))
    assert calls == [1]


@pytest.mark.slow
def test_a_hundred_thousand_events_stay_fast(store):
    for k in range(100):
        events = []
        for i in range(1000):
            utc = time.strftime("2026-05-01T%H:%M:%S.000Z", time.gmtime((k * 1000 + i) % 86400))
            events.append(event(1000 * k + i, label=f"l{i % 10}", score=i % 100 / 100, start_utc=utc, end_utc=utc))
        store.add(f"cam{k % 16}", "default", events, ["a", "b"], 1e9)
    queries = [
        EventQuery(),
        EventQuery(cameras=("cam3",)),
        EventQuery(labels=("l3",), min_score=0.9),
        EventQuery(cameras=("cam1", "cam2"), labels=("l1",)),
        EventQuery(start_unix=1777629600.0, end_unix=1777633200.0),
        EventQuery(reviewed=True),
    ]
    for query in queries:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            store.events(query)
            times.append(time.perf_counter() - start)
        assert sorted(times)[2] < 0.15, query  # 0.05 on an idle machine
    times = []
    for k in range(30):
        start = time.perf_counter()
        add(store, *(event(200_000 + 10 * k + i) for i in range(10)), sinks=("a", "b"))
        times.append(time.perf_counter() - start)
    assert sorted(times)[15] < 0.06  # 0.02 on an idle machine
