"""A process that stores and delivers is killed again and again: each final event is in each output exactly once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from punctum.runtime import Event

from tests.helpers.exhaustive import examples

pq = pytest.importorskip("pyarrow.parquet", reason="a Parquet sink needs pyarrow")
pytestmark = pytest.mark.slow

CHILD = """
import sys, time
from pathlib import Path
from tests.helpers.site import event
from punctum.runtime.site.config.models import JsonLinesSink, ParquetSink
from punctum.runtime.site.delivery.delivery import Delivery
from punctum.runtime.site.delivery.make import make_sink
from punctum.runtime.site.store.store import Store
folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = Store.open(folder / "state")
file = make_sink("file", JsonLinesSink(type="jsonl", path="events.jsonl"), folder)
parquet = make_sink("parquet", ParquetSink(type="parquet", folder="parquet"), folder)
file.most, parquet.most, parquet.pace_s = 5, 3, 0.0
running = [Delivery(store, file).start(), Delivery(store, parquet).start()]
print("open", flush=True)
n = first
while n < last:
    store.add("hall", "default", [event(n, phase="open"), event(n, 1)], ["file", "parquet"], 1.0)
    n += 1
while any(store.waiting(name)[0] for name in ("file", "parquet")):
    time.sleep(0.01)
for one in running:
    one.stop()
print("done", flush=True)
"""


def test_killed_again_and_again(tmp_path):
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    dice = random.Random(3)

    def start(first: int, last: int) -> subprocess.Popen:
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(first), str(last)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout.readline() == "open\n"
        return process

    def lines() -> int:
        file = tmp_path / "events.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    first = 0
    for kills in range(10):
        if kills >= examples(4, 10) and lines() > 100:  # a slow machine needs more rounds for as many events
            break
        process = start(first, first + 1000)
        time.sleep(dice.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        first += 1000
    process = start(first, first + 10)
    assert process.stdout.readline() == "done\n"
    process.wait(60)
    process.stdout.close()
    written = [Event.from_json(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    keys = [(one.id, one.revision) for one in written]
    assert len(keys) == len(set(keys))
    finals = [one.id for one in written if one.phase == "final"]
    assert len(finals) > 50
    rows = [
        row["event"] for path in (tmp_path / "parquet").rglob("*.parquet") for row in pq.read_table(path).to_pylist()
    ]
    assert sorted(rows) == sorted(finals)
    for thousand in range(first // 1000 + 1):  # no hole within what one process stored
        part = sorted(int(one.rpartition("/")[2]) for one in finals if int(one.rpartition("/")[2]) // 1000 == thousand)
        assert part == list(range(1000 * thousand, 1000 * thousand + len(part)))
