"""What is deleted by age, class and size, and the order in which things are given up when the disk is full."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime.site.config.models import LabelRetention, Retention
from punctum.runtime.site.retention.retention import STEPS, Housekeeper
from punctum.runtime.site.store.rows import EventQuery
from punctum.runtime.site.store.store import Store

from tests.helpers.site import event

DAY = 86400.0
NOW = 1777629610.0 + 400 * DAY  # the events of the helpers are 400 days old


class Machine:
    """A clock and a disk."""

    def __init__(self, folder: Path, config: Retention) -> None:
        self.now, self.free = NOW, int(1e12)
        self.media = folder / "media"
        self.store = Store.open(folder / "state")
        self.keeper = Housekeeper(
            self.store, config, self.media, clock=lambda: self.now, usage=lambda path: (int(1e12), 0, self.free)
        )

    def add(self, number: int, age_days: float, size: int = 100, label: str = "open", kind: str = "clip") -> Path:
        path = self.media / "hall" / f"day{int(age_days)}" / f"{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        self.store.add("hall", "default", [event(number, label=label)], [], self.now)
        made = self.now - age_days * DAY
        self.store.add_media("hall", f"hall/open/{number}", kind, str(path), size, 0.0, 1.0, unix=made)
        return path

    def step(self, seconds: float = 10.0):
        self.now += seconds
        return self.keeper.run()


@pytest.fixture
def machine(tmp_path):
    made = []

    def make(**fields) -> Machine:
        made.append(Machine(tmp_path, Retention(**({"event_days": 36500.0} | fields))))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def test_by_age_and_class(machine):
    one = machine(days=10.0, labels={"fall": LabelRetention(days=100.0), "door": LabelRetention(days=1.0)})
    files = {
        (label, age): one.add(n, age, label=label)
        for n, (label, age) in enumerate((la, ag) for la in ("open", "fall", "door") for ag in (0.5, 5.0, 50.0, 200.0))
    }
    done = one.step()
    kept = {key for key, path in files.items() if path.exists()}
    assert kept == {("open", 0.5), ("open", 5.0), ("fall", 0.5), ("fall", 5.0), ("fall", 50.0), ("door", 0.5)}
    assert (done.media, done.freed) == (6, 600)
    row = one.store.event("hall", "hall/open/3")
    assert (row.clip.path, row.clip.why) == (None, "deleted by age")
    assert not (one.media / "hall" / "day200").exists()
    assert one.media.exists()
    assert one.step().media == 0


def test_by_total_size_the_oldest_first(machine):
    one = machine(gb=1e-6)  # 1000 bytes
    files = [one.add(n, age_days=20 - n) for n in range(15)]
    done = one.step()
    assert [path.exists() for path in files] == [False] * 5 + [True] * 10
    assert done.freed == 500
    assert one.store.media_bytes() == 1000


def test_events_after_their_days(machine):
    one = machine(event_days=399.0, days=1.0)
    path = one.add(0, 5.0)
    one.store.add("hall", "default", [event(1, start_utc=None, end_utc=None)], ["out"], one.now)
    one.step()
    assert not path.exists()
    found = {row.id for row in one.store.events(EventQuery()).items}
    assert found == {"hall/open/0", "hall/open/1"}  # what was updated a moment ago stays
    one.step(399 * DAY)
    assert {row.id for row in one.store.events(EventQuery()).items} == set()
    assert one.store.waiting("out")[0] == 1  # what a sink has not received stays


def test_a_full_disk_in_its_order_and_back(machine, caplog):
    caplog.set_level(logging.WARNING)
    one = machine(free_gb=1.0, days=365.0)
    files = [one.add(n, age_days=20 - n) for n in range(5)]
    one.step()
    assert one.keeper.degraded == ()
    one.free = int(0.5e9)
    seen = []
    for _ in range(6):
        one.step()
        seen.append((one.keeper.degraded, one.keeper.keep_pictures, one.keeper.keep_clips, files[0].exists()))
    assert seen[0] == (STEPS[:1], False, True, True)
    assert seen[1] == (STEPS[:2], False, False, True)
    assert seen[2] == (STEPS[:3], False, False, False)
    assert seen[3] == seen[5] == (STEPS, False, False, False)
    new = one.store.add("hall", "default", [event(50, phase="open"), event(50, 1)], ["out"], one.now)
    assert [r.event.phase for r in new] == ["final"]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    one.free = int(1.05e9)  # enough, and too little to begin again
    one.step()
    assert one.keeper.degraded == STEPS
    one.free = int(2e9)
    back = []
    for _ in range(6):
        one.step()
        back.append(len(one.keeper.degraded))
    assert back == [3, 2, 1, 0, 0, 0]
    assert one.store.keep_provisional
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 8
    assert "pictures are no longer stored" in said[0]
    assert "pictures are stored again" in said[7]


def test_only_as_much_as_is_missing_is_deleted(machine):
    one = machine(free_gb=1.0, days=365.0)
    files = [one.add(n, age_days=20 - n, size=1000) for n in range(10)]
    one.free = int(1e9) - 2500
    for _ in range(3):
        one.step()
    assert [path.exists() for path in files] == [False] * 3 + [True] * 7


def test_steps_take_time(machine):
    one = machine()
    one.free = 0
    one.step()
    for _ in range(10):
        one.step(0.1)
    assert len(one.keeper.degraded) == 1


def test_a_write_that_failed_counts_whatever_is_free(machine):
    one = machine()
    one.keeper.disk_full()
    one.step()
    assert one.keeper.degraded == STEPS[:1]
    one.step()
    assert one.keeper.degraded == ()


def test_files_elsewhere_and_files_that_are_gone(machine, tmp_path, caplog):
    one = machine(days=1.0)
    other = tmp_path / "important.txt"
    other.write_text("x")
    gone = one.add(0, 5.0)
    gone.unlink()
    for n, path in enumerate((other, one.media / ".." / "important.txt", "/nope/x", "")):
        one.store.add_media("hall", f"e{n}", "clip", str(path), 1, 0.0, 1.0, unix=one.now - 5 * DAY)
    link = one.media / "hall" / "link.mp4"
    link.symlink_to(other)
    one.store.add_media("hall", "link", "clip", str(link), 1, 0.0, 1.0, unix=one.now - 5 * DAY)
    one.step()
    assert other.read_text() == "x"
    assert one.store.media_by_age(10) == []
    assert "is not below" in caplog.text


def broken(monkeypatch, error: OSError, when=lambda path: True) -> None:
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".clip" and when(path):
            raise error
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.EACCES])
def test_files_that_cannot_be_deleted_are_deleted_later(machine, monkeypatch, caplog, number):
    one = machine(days=30.0, gb=1e-6)
    files = [one.add(n, age_days=100.0 + n, size=500) for n in range(20)]
    with monkeypatch.context() as patch:
        broken(patch, OSError(number, "no"))
        for seconds in (60.0, 10.0, 60.0, 60.0):
            done = one.step(seconds)
            assert (done.media, done.freed) == (0, 0)
        assert one.store.media_bytes() == 20 * 500, "they take room"
        assert one.store.event("hall", "hall/open/0").clip.path is not None
    assert caplog.text.count("cannot be deleted") == 1
    done = one.step(60.0)
    assert (done.media, done.freed) == (20, 10_000)
    assert not any(path.exists() for path in files) and one.store.media_bytes() == 0


def test_a_folder_that_keeps_its_files_does_not_keep_others(machine, monkeypatch):
    """The total holds: newer files go in place of those that cannot."""
    one = machine(days=365.0, gb=1e-6)
    files = [one.add(n, age_days=100.0 - n) for n in range(15)]
    broken(monkeypatch, OSError(errno.EACCES, "no"), lambda path: path.parent.name in ("day100", "day99"))
    one.step()
    assert [path.exists() for path in files] == [True] * 2 + [False] * 5 + [True] * 8


def unnamed(one: Machine, number: int, age_days: float, name: str = "", size: int = 100) -> Path:
    path = one.media / "hall" / "2026-01-01" / (name or f"{number:024x}.mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (one.now - age_days * DAY, one.now - age_days * DAY))
    return path


def test_files_without_a_row_by_age(machine):
    one = machine(days=30.0, labels={"fall": LabelRetention(days=50.0)})
    old, middle, young = (unnamed(one, n, age) for n, age in enumerate((51.0, 40.0, 0.0)))
    draft = unnamed(one, 0, 0.1, f".{7:024x}.mp4.0123abcd")
    fresh = unnamed(one, 0, 0.0, f".{8:024x}.jpg.0123abcd")
    others = [unnamed(one, 0, 900.0, name) for name in ("mine.mp4", f"{9:024x}.txt", ".hidden")]
    kept = unnamed(one, 5, 40.0)  # a row names it, in a folder that was moved since
    one.store.add("hall", "default", [event(5)], [], one.now)
    moved = f"/elsewhere/hall/2026-01-01/{kept.name}"
    one.store.add_media("hall", "hall/open/5", "clip", moved, 100, 0.0, 1.0, unix=one.now)
    done = one.step()
    assert not old.exists() and not draft.exists()
    assert all(path.exists() for path in (middle, young, fresh, kept, *others))
    assert (done.media, done.freed) == (1, 200)
    one.step(12 * DAY)
    assert not middle.exists() and all(path.exists() for path in (young, kept, *others))


def test_files_without_a_row_count_and_go_first(machine):
    one = machine(days=365.0, gb=1e-6, free_gb=1.0)
    files = [one.add(n, age_days=20 - n) for n in range(9)]
    lost = [unnamed(one, n, age_days=5 - n) for n in range(4)]
    one.step()
    assert all(path.exists() for path in files)
    assert [path.exists() for path in lost] == [False] * 3 + [True]
    one.free = int(1e9) - 150
    for _ in range(3):
        one.step()
    assert not lost[3].exists()
    assert [path.exists() for path in files] == [False] + [True] * 8


def test_a_file_whose_row_comes_late_is_kept(machine):
    one = machine(days=30.0)
    late = unnamed(one, 3, 29.99)
    one.step()
    one.store.add("hall", "default", [event(3)], [], one.now)
    one.store.add_media("hall", "hall/open/3", "clip", str(late), 100, 0.0, 1.0, unix=one.now)
    one.step(1800.0)
    assert late.exists()


def test_a_disk_that_does_not_answer(machine, monkeypatch):
    one = machine()

    def usage(path: Path) -> tuple[int, int, int]:
        raise OSError("stale file handle")

    one.keeper._usage = usage
    one.step()
    assert one.keeper.degraded == ()


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 60), st.integers(1, 5000), st.sampled_from(["open", "fall"])), max_size=12))
def test_whatever_there_is_the_rules_hold_afterwards(tmp_path_factory, files):
    one = Machine(
        tmp_path_factory.mktemp("site"),
        Retention(days=30.0, gb=5e-6, event_days=36500.0, labels={"fall": LabelRetention(days=50.0)}),
    )
    try:
        for n, (age, size, label) in enumerate(files):
            one.add(n, age, size, label)
        one.step(0.0)
        left = one.store.media_by_age(100)
        assert one.store.media_bytes() <= 5000
        for item in left:
            assert Path(item.media.path).exists()
            days = 50.0 if item.label == "fall" else 30.0
            assert item.media.created_unix >= one.now - days * DAY
        assert len([path for path in one.media.rglob("*") if path.is_file()]) == len(left)
    finally:
        one.store.close()
