"""The store of a site: what kills, damage, torn files and full disks leave behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from punctum.runtime import InputError
from punctum.runtime.site.store.database import StoreDamagedError, StoreError, StoreFullError
from punctum.runtime.site.store.rows import EventQuery
from punctum.runtime.site.store.store import Store

from tests.helpers.site import event


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as one:
        yield one


def add(store: Store, *events, camera: str = "hall", sinks=("file",), at: float = 100.0):
    return store.add(camera, "default", events, sinks, at)


def test_one_process_at_a_time_and_versions(tmp_path, store):
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path / "state")
    assert caught.value.code == "site-in-use"
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        add(store, event(0))
    path = tmp_path / "state" / "site.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path / "state")
    assert caught.value.code == "site-store-version"
    assert path.exists()


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path / "file")
    assert caught.value.code == "site-store-failed"


@pytest.mark.parametrize("damage", ["garbage", "text", "truncated", "middle", "foreign", "header"])
def test_a_damaged_database_is_moved_aside(tmp_path, damage):
    folder = tmp_path / "state"
    with Store.open(folder) as store:
        identity = store.identity
        add(store, *(event(n) for n in range(500)))
    path = folder / "site.db"
    data = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(random.Random(0).randbytes(100_000))
    elif damage == "text":
        path.write_text("hello\n" * 1000)
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "middle":
        path.write_bytes(data[:20_000] + b"\xff" * 40_000 + data[60_000:])
    elif damage == "header":
        path.write_bytes(b"\0" * 100 + data[100:])
    else:
        path.unlink()
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE other (x)")
        db.close()
    with Store.open(folder) as store:
        assert "was damaged" in store.damage
        assert "a new one was begun" in store.damage
        assert store.identity != identity
        assert add(store, event(9000))
    aside = list(folder.glob("damaged-*/site.db"))
    assert len(aside) == 1
    assert str(aside[0].parent) in store.damage
    with Store.open(folder) as store:
        assert store.damage == ""
        assert store.event("hall", event(9000).id) is not None


def test_files_cut_at_any_point_open(tmp_path):
    """What a loss of power leaves: the files as they were at some moment, with torn ends."""
    folder = tmp_path / "state"
    dice = random.Random(1)
    copies = []
    with Store.open(folder) as store:
        for n in range(40):
            add(store, *(event(10 * n + k) for k in range(10)))
            if n % 4 == 0:
                target = tmp_path / f"copy{n}"
                target.mkdir()
                for part in ("site.db", "site.db-wal"):
                    if (folder / part).exists():
                        shutil.copy(folder / part, target / part)
                copies.append((target, 10 * n + 10))
            if n == 20:
                store.compact()
    intact = 0
    for target, _ in copies:
        wal = target / "site.db-wal"
        if wal.exists() and wal.stat().st_size:
            data = wal.read_bytes()
            cut = dice.randrange(len(data))
            torn = bytearray(data[: cut + dice.randrange(200)])
            for _ in range(20):
                torn[-1 - dice.randrange(min(len(torn), 100))] = dice.randrange(256)
            wal.write_bytes(torn)
        with Store.open(target) as store:
            intact += not store.damage
            found = sorted(int(row.id.rpartition("/")[2]) for row in store.events(EventQuery(limit=1000)).items)
            assert found == list(range(len(found)))  # whole transactions, without a hole
            assert len(found) % 10 == 0
            assert store.waiting("file")[0] == len(found)
            assert add(store, event(9999))
    assert intact >= len(copies) - 2


WRITER = """
import sys
from pathlib import Path
from tests.helpers.site import event
from punctum.runtime.site.store.store import Store
folder, first = Path(sys.argv[1]), int(sys.argv[2])
store = Store.open(folder)
print("open", flush=True)
n = first
while True:
    store.add("hall", "default", [event(n, phase="open"), event(n, 1)], ["a", "b"], 1.0)
    print(n, flush=True)
    if n % 3 == 0:
        store.delivered("a", [row for row, _ in store.pending("a", 2)])
    n += 1
"""


@pytest.mark.slow
def test_killed_twenty_times(tmp_path):
    folder, dice, committed = tmp_path / "state", random.Random(2), 0
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"PYTHONPATH": str(root)}
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(committed)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert process.stdout.readline() == "open\n"
        timer = threading.Timer(dice.uniform(0.01, 0.25), process.send_signal, [signal.SIGKILL])
        timer.start()
        said = [int(line) for line in process.stdout if line.endswith("\n")]
        process.wait()
        timer.cancel()
        process.stdout.close()
        with Store.open(folder) as store:
            assert store.damage == ""
            stored = [r.event for r in store.reports(0, 10**6)]
            keys = [(e.id, e.revision) for e in stored]
            assert len(keys) == len(set(keys))
            finals = [int(e.id.rpartition("/")[2]) for e in stored if e.phase == "final"]
            assert finals == list(range(len(finals)))
            assert len(stored) == 2 * len(finals)  # whole transactions
            if said:
                assert len(finals) >= said[-1] + 1
            assert store.waiting("b")[0] == len(stored)
            committed = len(finals)
    assert committed > 20


def test_a_full_disk_leaves_nothing_half_written(store):
    add(store, event(0))
    pages = store._db._writer.execute("PRAGMA page_count").fetchone()[0]
    store._db.set_limit(pages + 10)
    n = 1
    with pytest.raises(StoreFullError) as caught:
        while n < 10_000:
            add(store, *(event(n + k) for k in range(20)))
            n += 20
    assert caught.value.code == "site-disk-full"
    before = store.last_report()
    assert before == n
    assert store.waiting("file")[0] == n
    with pytest.raises(StoreFullError):
        add(store, *(event(n + k) for k in range(20)))
    store.delivered("file", [row for row, _ in store.pending("file", 10)])  # what makes room still works
    store._db.set_limit(0)
    assert len(add(store, *(event(n + k) for k in range(20)))) == 20


def test_damage_that_appears_while_it_runs(store):
    add(store, *(event(n) for n in range(2000)))
    store.compact()
    with store._db.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (store._db.path.stat().st_size - 4096))
    store._db._writer.execute("PRAGMA shrink_memory")
    with pytest.raises((StoreDamagedError, StoreError)):
        for n in range(100):
            store.events(EventQuery(limit=1000))
            add(store, *(event(10_000 + 50 * n + k) for k in range(50)))
