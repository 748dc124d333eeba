"""Reviews as a folder that the readers of data sets take: clicks and certified background in the clips of events."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from punctum.runtime.datasets.background import read_background
from punctum.runtime.datasets.dataset import Dataset
from punctum.runtime.datasets.labeled import read_labeling
from punctum.runtime.datasets.tables import read_points
from punctum.runtime.labeling.clicks import read_clicks
from punctum.runtime.site.config.models import Retention
from punctum.runtime.site.retention.retention import Housekeeper
from punctum.runtime.site.store.rows import Review
from punctum.runtime.site.store.store import Store

from tests.helpers.site import event

LABELS = {0: "open", 1: "close", 2: "open", 3: "open", 4: "open"}


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as one:
        for number, label in LABELS.items():
            one.add("hall", "default", [event(number, label=label)], [], 1.0)
        yield one


def add_clip(store: Store, number: int, start_s: float = 7.0, end_s: float = 17.0) -> Path:
    path = store.folder / "media" / "hall" / f"{number}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes([number]))
    store.add_media("hall", f"hall/open/{number}", "clip", str(path), 13, start_s, end_s)
    return path


def review(store: Store, number: int, verdict: str, **fields) -> None:
    store.review("hall", f"hall/open/{number}", Review(verdict, by="ann", unix=1777700000.0, **fields))


def folder(store: Store) -> Path:
    return store.folder / "reviews" / "hall"


def videos(store: Store) -> dict[int, str]:
    """Name of the video of each event."""
    return {path.read_bytes()[-1]: path.stem for path in (folder(store) / "videos").iterdir()}


def test_every_verdict_as_the_data_set_reads_it(store):
    for number in LABELS:
        add_clip(store, number)
    review(store, 0, "right", note="a\nnote, with a comma")
    review(store, 1, "wrong")
    review(store, 2, "class", label="fall")
    review(store, 3, "edges", start=11.0, end=13.5)
    review(store, 4, "edges", start=9.0, end=20.0)
    # Readers refuse classes without a click: the span waits.
    assert {row.label for row in read_background(folder(store) / "background.csv")} == {"open"}
    assert Dataset.open(folder(store), need_features=False).background()
    store.add("hall", "default", [event(5, label="close")], [], 1.0)
    add_clip(store, 5)
    review(store, 5, "right")
    name = videos(store)
    data = Dataset.open(folder(store), need_features=False)
    assert set(data.train) == set(name.values())
    assert data.only_videos
    assert all(data.video_file(video).is_file() for video in data.train)
    clicks = {video: [(data.labels[p.label], p.time_s) for p in points] for video, points in data.points().items()}
    assert clicks == {
        name[0]: [("open", 5.0)],  # 10 to 14 s, in a clip that begins at 7 s
        name[2]: [("fall", 5.0)],
        name[3]: [("open", 5.25)],
        name[4]: [("open", 6.0)],  # 9 to 17 s: the clip shows no more
        name[5]: [("close", 5.0)],
    }
    spans = {v: [(s.start_s, s.end_s, s.label) for s in spans] for v, spans in data.background().items()}
    assert {video: [one[:2] for one in found] for video, found in spans.items()} == {
        name[1]: [(3.0, 7.0)],
        name[3]: [(3.0, 4.0), (6.5, 7.0)],
    }
    assert [span.label for span in data.background()[name[1]]] == [data.labels.index("close")]
    assert data.partly() == frozenset(name.values())
    assert set(read_labeling(folder(store)).classes) == {"open", "close", "fall"}
    found = {click.video: click for click in read_clicks(folder(store) / "points.csv")}
    assert found[name[0]].note == "a note, with a comma"
    assert (found[name[3]].extra["start_s"], found[name[3]].extra["end_s"]) == ("4.000", "6.500")
    assert {click.annotator for click in found.values()} == {"ann"}


def test_a_later_review_replaces_the_earlier_one(store):
    add_clip(store, 0)
    review(store, 0, "right")
    review(store, 0, "wrong")
    assert read_points(folder(store) / "points.csv") == []
    assert len(read_background(folder(store) / "withheld.csv")) == 1
    review(store, 0, "class", label="fall")
    assert [row.label for row in read_points(folder(store) / "points.csv")] == ["fall"]
    assert read_background(folder(store) / "withheld.csv") == []
    store.review("hall", "hall/open/0", None)
    assert read_points(folder(store) / "points.csv") == []


def test_the_clip_may_come_later_and_may_be_deleted(store):
    review(store, 0, "right")
    assert not folder(store).exists()
    path = add_clip(store, 0)
    assert len(read_points(folder(store) / "points.csv")) == 1
    path.unlink()
    store.drop_media("hall", "hall/open/0", "clip")
    assert list(videos(store)) == [0]  # kept for training
    review(store, 0, "wrong")
    assert read_points(folder(store) / "points.csv") == []
    assert len(read_background(folder(store) / "withheld.csv")) == 1


def test_rows_of_others_stay(store):
    add_clip(store, 0)
    review(store, 0, "right")
    points = folder(store) / "points.csv"
    text = points.read_text()
    points.write_text(
        text.replace("class,", "label,", 1).replace("\n", ",extra\n", 1) + "own,x,1.5,bob,,mine,,,,kept\n"
    )
    review(store, 0, "class", label="fall")
    rows = {row.label: row for row in read_points(points)}
    assert set(rows) == {"own", "fall"}
    clicks = {click.label: click for click in read_clicks(points)}
    assert (clicks["own"].id, clicks["own"].annotator, clicks["own"].extra["extra"]) == ("mine", "bob", "kept")


def test_a_clip_without_the_action_gives_no_click(store):
    add_clip(store, 0, start_s=100.0, end_s=110.0)
    review(store, 0, "right")
    review(store, 0, "wrong")
    assert not (folder(store) / "points.csv").exists()
    assert not (folder(store) / "background.csv").exists()


def test_files_that_cannot_be_read_lose_no_review(store, caplog):
    add_clip(store, 0)
    folder(store).mkdir(parents=True)
    (folder(store) / "points.csv").write_bytes(b"\xff\xfe\x00garbage\x00")
    review(store, 0, "right")
    assert store.event("hall", "hall/open/0").review.verdict == "right"
    assert "is not in the files for training" in caplog.text
    (folder(store) / "points.csv").unlink()
    assert store.file_reviews() == 1
    assert len(read_points(folder(store) / "points.csv")) == 1
    assert store.file_reviews() == 0


def test_reviews_of_a_process_that_was_killed_are_filed_at_the_next_start(tmp_path, store, monkeypatch):
    add_clip(store, 0)
    monkeypatch.setattr(store, "_file_review", lambda *_: False)
    review(store, 0, "right")
    store.close()
    with Store.open(tmp_path / "state") as again:
        assert len(read_points(folder(again) / "points.csv")) == 1


def test_a_review_that_was_withdrawn_or_changed_while_its_files_failed_is_filed_later(tmp_path, store, caplog):
    for number in (0, 1):
        add_clip(store, number)
        review(store, number, "right")
    points = folder(store) / "points.csv"
    good = points.read_bytes()
    points.write_bytes(b"\xff\xfe\x00garbage\x00")
    store.review("hall", "hall/open/0", None)
    review(store, 1, "wrong")
    assert len(store.troubles) == 1 and "hall" in store.troubles[0]
    for _ in range(3):
        assert store.file_reviews() == 0
    assert caplog.text.count("is not in the files for training") <= 2, "said once for each review at most"
    store.close()
    with Store.open(tmp_path / "state") as again:
        points.write_bytes(good)
        assert again.file_reviews() == 1
        assert again.troubles == []
        assert read_points(points) == []
        assert [row.label for row in read_background(folder(again) / "withheld.csv")] == ["close"]


def test_a_withdrawal_is_filed_though_its_event_was_deleted(store):
    add_clip(store, 0)
    review(store, 0, "right")
    points = folder(store) / "points.csv"
    good = points.read_bytes()
    points.write_bytes(b"\xff\xfe\x00garbage\x00")
    store.review("hall", "hall/open/0", None)
    store.drop_media("hall", "hall/open/0", "clip")
    store.prune(1e12)
    assert store.event("hall", "hall/open/0") is None
    points.write_bytes(good)
    store.file_reviews()
    assert read_points(points) == []


def test_a_changed_review_without_its_clip_is_filed_later_and_keeps_its_event_until_then(store):
    path = add_clip(store, 0)
    review(store, 0, "right")
    path.unlink()
    store.drop_media("hall", "hall/open/0", "clip")
    points = folder(store) / "points.csv"
    good = points.read_bytes()
    points.write_bytes(b"\xff\xfe\x00garbage\x00")
    review(store, 0, "wrong")
    store.prune(1e12)
    points.write_bytes(good)
    assert store.file_reviews() == 1
    assert read_points(points) == []
    store.prune(1e12)
    assert store.event("hall", "hall/open/0") is None


@pytest.mark.parametrize("withdrawn", [False, True])
def test_a_kill_between_the_database_and_the_files(tmp_path, store, monkeypatch, withdrawn):
    add_clip(store, 0)
    review(store, 0, "right")
    monkeypatch.setattr(store, "_file_review", lambda *_: False)
    if withdrawn:
        store.review("hall", "hall/open/0", None)
    else:
        review(store, 0, "wrong")
    store.close()
    with Store.open(tmp_path / "state") as again:
        assert read_points(folder(again) / "points.csv") == []


def test_retention_files_what_could_not_be_filed(store):
    add_clip(store, 0)
    folder(store).mkdir(parents=True)
    points = folder(store) / "points.csv"
    points.write_bytes(b"\xff\xfe\x00garbage\x00")
    review(store, 0, "right")
    points.unlink()
    Housekeeper(store, Retention(days=36500.0, event_days=36500.0, free_gb=0.0), store.folder / "media").run()
    assert len(read_points(points)) == 1


def test_a_clip_without_a_review_touches_no_file_of_reviews(store):
    add_clip(store, 0)
    review(store, 0, "right")
    points = folder(store) / "points.csv"
    before = points.stat().st_mtime_ns, points.stat().st_ino
    add_clip(store, 1)
    assert (points.stat().st_mtime_ns, points.stat().st_ino) == before


def test_a_database_of_the_first_version(tmp_path, store):
    """It is brought to this version on opening, and what its service could not file is filed."""
    add_clip(store, 0)
    review(store, 0, "right")
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "site.db")) as old:
        old.execute("DROP TABLE withdrawn")
        old.execute("DROP INDEX reviews_unfiled")
        old.execute("UPDATE reviews SET filed = 0, verdict = 'wrong'")
        old.execute("PRAGMA user_version = 1")
        old.commit()
    with Store.open(tmp_path / "state") as again:
        assert again.damage == ""
        assert read_points(folder(again) / "points.csv") == []
        again.review("hall", "hall/open/0", None)
        assert again.event("hall", "hall/open/0").review is None
    with Store.open(tmp_path / "state") as again:
        assert again.damage == ""


def test_odd_names(store):
    store.add("hall", "default", [replace(event(7), id="a/../../b\n", label='x,"y"')], [], 1.0)
    path = store.folder / "c.mp4"
    path.write_bytes(b"x")
    store.add_media("hall", "a/../../b\n", "clip", str(path), 1, 7.0, 17.0)
    store.review("hall", "a/../../b\n", Review("right", by='a,"b'))
    row = read_points(folder(store) / "points.csv")[0]
    assert (row.label, row.annotator) == ('x,"y"', 'a,"b')
    assert Dataset.open(folder(store), need_features=False).points()
