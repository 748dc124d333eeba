"""Repair of a damaged database: what is kept, what is reported as lost, and the effect of a kill during the repair."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from punctum.runtime.site.delivery.jsonl import JsonLines
from punctum.runtime.site.store import repair as repairing
from punctum.runtime.site.store.database import StoreDamagedError, StoreError
from punctum.runtime.site.store.rows import EventQuery, Review
from punctum.runtime.site.store.store import Store

from tests.helpers.site import batch, event

PAGE = 4096


def fill(folder: Path, number: int = 600) -> None:
    with Store.open(folder) as store:
        for n in range(0, number, 100):  # one transaction for many: each waits for the disk
            some = [one for k in range(n, min(n + 100, number)) for one in (event(k, phase="open"), event(k, 1))]
            store.add("hall", "default", some, ["file", "other"], 100.0 + n)
        store.delivered("file", [row for row, _ in store.pending("file", number)])
        store.set_camera_state("hall", {"epoch_unix": 5.5, "ended": True})
        store.set_sink_state("file", {"cameras": ["hall"]})
        store.review("hall", event(3).id, Review("right", by="me"))
        store.add_gap("hall", 1.0, 2.0, 3.0, 4.0, 10, "gap")
        store.compact()


def overwrite(path: Path, pages: list[int], seed: int = 0) -> None:
    dice = random.Random(seed)
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(dice.randbytes(PAGE))


def consistent(store: Store) -> None:
    """The parts of a database say the same, and it can be used."""
    events = {row.id: row for row in store.events(EventQuery(limit=1000)).items}
    for report in store.reports(0, 10**6):
        assert events[report.event.id].event.revision >= report.event.revision
    for sink in ("file", "other"):
        assert len(store.pending(sink, 10**6)) == store.waiting(sink)[0]
    more = [one for n in range(0, 700, 7) for one in (event(n), event(n, 1), event(n, 2))]
    store.add("hall", "default", more, ["file"], 2000.0)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(k, marks=pytest.mark.slow) for k in range(2, 8))])
def test_random_pages_are_lost_and_the_rest_is_kept(tmp_path, seed):
    folder = tmp_path / "state"
    fill(folder)
    path = folder / "site.db"
    pages = path.stat().st_size // PAGE
    overwrite(path, random.Random(seed).sample(range(1, pages), 3), seed)
    with Store.open(folder) as store:
        if not store.damage:  # free pages
            return
        assert "a new one was begun" in store.damage
        assert store.camera_state("hall") == {"epoch_unix": 5.5, "ended": True}
        if "nothing of it could be read" not in store.damage:  # one of the pages that say where all tables are
            assert len(store.reports(0, 10**6)) > 600 or len(store.events(EventQuery(limit=1000)).items) > 400
        consistent(store)
    with Store.open(folder) as store:
        assert store.damage == ""
    assert not list(folder.glob("site.db.*d*"))


def test_the_whole_file_is_lost_and_cameras_are_remembered(tmp_path):
    folder = tmp_path / "state"
    fill(folder, 10)
    (folder / "site.db").write_bytes(b"\xff" * 50_000)
    with Store.open(folder) as store:
        assert "nothing of it could be read" in store.damage
        assert store.camera_state("hall")["ended"]
        assert store.camera_state("yard") == {}


def test_what_is_readable_is_kept_in_full(tmp_path):
    """Damage that the check at the start does not find: the mark of the process that found it says so."""
    folder = tmp_path / "state"
    fill(folder)
    with contextlib.closing(sqlite3.connect(folder / "site.db")) as db, db:
        db.execute("UPDATE reports SET json = 'x' WHERE id = 700")
        db.execute("UPDATE events SET json = CAST(x'ff00ff' AS TEXT) WHERE number = 20")
    with Store.open(folder) as store:
        assert store.damage == ""
        store.check()
        with pytest.raises(StoreDamagedError):
            store.reports(0, 10**6)
        with pytest.raises(StoreDamagedError, match="start the service again"):
            store.check()
        assert not store.intact
    with Store.open(folder) as store:
        assert "600 events" in store.damage  # that of the broken row comes from its report
        assert "reports" in store.damage
        assert len(store.reports(0, 10**6)) == 1199
        assert store.waiting("other")[0] == 1199
        assert store.lost("other") == (0, 1) or store.lost("other") == (1, 0)
        assert store.waiting("file")[0] == 599 or store.lost("file") != (0, 0)
        found = store.event("hall", event(3).id)
        assert found.review is not None
        assert store.sink_state("file") == {"cameras": ["hall"]}
        assert len(store.gaps(0.0, 10.0).items) == 1
        consistent(store)


def test_text_that_is_no_text_is_damage(tmp_path):
    folder = tmp_path / "state"
    fill(folder, 5)
    with contextlib.closing(sqlite3.connect(folder / "site.db")) as db, db:
        db.execute("UPDATE reports SET json = CAST(x'ff00ff' AS TEXT) WHERE id = 8")
    with Store.open(folder) as store, pytest.raises(StoreDamagedError):
        store.pending("file", 100)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_is_gone_is_noticed(tmp_path, how):
    folder = tmp_path / "state"
    with Store.open(folder) as store:
        store.check()
        (folder / "site.db").rename(folder / "elsewhere")
        if how == "replaced":
            (folder / "site.db").write_bytes((folder / "elsewhere").read_bytes())
        with pytest.raises(StoreDamagedError, match="deleted or replaced"):
            store.check()
    assert not (folder / "site.db.damaged").exists()


@pytest.mark.parametrize("step", ["_rebuilt", "_move_aside", "rename", "finish", "forget_mark"])
def test_a_kill_during_the_repair_loses_nothing_more(tmp_path, monkeypatch, step):
    folder = tmp_path / "state"
    fill(folder)
    repairing.mark(folder / "site.db", "a test")

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "rename":  # of one of the parts
            real = Path.rename
            patch.setattr(Path, "rename", lambda a, b: killed() if a.name.endswith("-wal") else real(a, b))
            (folder / "site.db-wal").write_bytes(b"")
        else:
            patch.setattr(repairing, step, killed)
        with pytest.raises(Killed):
            Store.open(folder)
    with Store.open(folder) as store:
        assert len(store.events(EventQuery(limit=1000)).items) == 600
        assert len(store.reports(0, 10**6)) == 1200
        assert store.waiting("other")[0] == 1200
        consistent(store)
    with Store.open(folder) as store:
        assert store.damage == ""


def test_no_room_for_what_could_be_kept(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    fill(folder, 20)
    repairing.mark(folder / "site.db", "a test")

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(repairing, "salvage", full)
    with Store.open(folder) as store:
        assert "nothing of it could be read" in store.damage
        consistent(store)


def test_a_folder_that_cannot_be_changed(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    fill(folder, 5)
    repairing.mark(folder / "site.db", "a test")

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(repairing, "_move_aside", refused)
    with pytest.raises(StoreError, match="cannot be moved aside"):
        Store.open(folder)


def test_json_lines_have_each_report_once_where_the_outbox_is_lost(tmp_path):
    folder, file = tmp_path / "state", tmp_path / "events.jsonl"
    sink = JsonLines("file", file)
    with Store.open(folder) as store:
        store.add("hall", "default", [event(n) for n in range(300)], ["file"], 100.0)
        first = store.pending("file", 200)
        sink.deliver(first)  # and killed before it is recorded
        sink.close()
        assert store.send_again("file", ["hall"], 1 << 20) == 0  # all of them wait
        store._db._writer.execute("DELETE FROM outbox")
        assert store.send_again("file", ["yard"], 1 << 20) == 0
        assert store.send_again("file", ["hall"], 1 << 20) == 300
        again = JsonLines("file", file)
        outcome = again.deliver(store.pending("file", 1000))
        again.close()
        assert len(outcome.delivered) == 300
    lines = file.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 300


def test_a_report_that_was_computed_again_is_the_same_report(tmp_path):
    """Sums in another order differ in the last digits: that must not make a second line."""
    file = tmp_path / "events.jsonl"
    first = JsonLines("file", file)
    first.deliver(batch(0, 50))
    first.close()
    again = JsonLines("file", file)
    outcome = again.deliver(batch(0, 60, score=0.5000001))
    again.close()
    assert len(outcome.delivered) == 60
    assert len(file.read_text().splitlines()) == 60


def test_a_damaged_database_of_the_first_version_lacks_no_table(tmp_path):
    folder = tmp_path / "state"
    fill(folder)
    path = folder / "site.db"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.execute("DROP TABLE withdrawn")
        old.execute("DROP INDEX reviews_unfiled")
        old.execute("PRAGMA user_version = 1")
        old.commit()
    (folder / "site.db.damaged").write_text("found to be damaged")
    with Store.open(folder) as store:
        assert "lost in part" not in store.damage and "600 events" in store.damage
        store.review("hall", event(3).id, None)
