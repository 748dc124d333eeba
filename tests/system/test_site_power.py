"""Simulated loss of power: all processes end at once, and only synced parts of files are certain to survive."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

for library in ("yaml", "fastapi", "uvicorn", "urllib3", "prometheus_client", "onnxruntime"):
    pytest.importorskip(library, reason=f"punctum serve needs {library}")

from punctum.runtime import Bundle, Localizer  # noqa: E402
from punctum.runtime.sources.framing import encode_record  # noqa: E402
from punctum.runtime.synthetic.sensors import make_sequence  # noqa: E402

from tests.helpers.site_senders import ROWS, STRIDE_S, dial, head  # noqa: E402
from tests.helpers.sites import Site, finals, lines  # noqa: E402

pytestmark = pytest.mark.slow
DEMO = Path(__file__).parents[2] / "runtime" / "assets" / "demo"
NAMES = ("hall", "yard")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("SYNCED_LOG", str(tmp_path / "synced"))
    shim = str(Path(__file__).parents[1] / "helpers" / "synced")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([shim, *filter(None, [os.environ.get("PYTHONPATH")])]))
    cameras = {}
    for seed, name in enumerate(NAMES):
        np.save(tmp_path / f"{name}.npy", make_sequence(seed=seed, seconds=400).features)
        cameras[name] = {"source": f"{name}.npy", "bundles": ["demo"], "min_score": 0.0}
    sinks = {"file": {"type": "jsonl", "path": "events.jsonl"}, "other": {"type": "jsonl", "path": "other.jsonl"}}
    site = Site(tmp_path, {"bundles": {"demo": {"path": str(DEMO)}}, "cameras": cameras, "sinks": sinks})
    yield site
    site.close()


def processes(site: Site) -> list[int]:
    found = [site.process.pid]
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == found[0]:
                found.append(int(entry.name))
    return found


def lose_power(site: Site, dice: random.Random) -> int:
    """Stop everything at one moment, and take away a part of what was not synced. Returns the bytes that are lost."""
    pids = processes(site)
    dice.shuffle(pids)
    for number in (signal.SIGSTOP, signal.SIGKILL):  # a child that its parent's end wakes up would still write
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    site.process.wait()
    site.process = None
    time.sleep(0.2)
    synced: dict[int, int] = {}
    for line in (site.folder / "synced").read_text().splitlines():
        inode, _, size = line.partition(" ")
        synced[int(inode)] = int(size)
    lost = 0
    for path in [*(site.folder / "state").rglob("*"), site.folder / "events.jsonl", site.folder / "other.jsonl"]:
        if not path.is_file() or path.name.startswith("site.db"):  # SQLite syncs each transaction by itself
            continue
        size = path.stat().st_size
        certain = min(synced.get(path.stat().st_ino, 0), size)
        kept = dice.choice((certain, size, dice.randint(certain, size)))
        filled = dice.choice((kept, size))  # a file system may have the length, and zeros in place of the data
        lost += size - kept
        with path.open("r+b") as file:
            file.truncate(kept)
            file.truncate(filled)
    return lost


def ended(site: Site, names: tuple[str, ...] = NAMES) -> bool:
    states = site.states()
    return all(states[name] == "ended" for name in names) and not any(s["waiting"] for s in site.get("/sinks")["sinks"])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_loss_of_power_loses_and_repeats_nothing(site, seed):
    dice = random.Random(seed)
    for _ in range(7):
        site.start()
        wanted = len(lines(site.folder / "events.jsonl")) + dice.randint(0, 60)
        site.until(lambda wanted=wanted: len(lines(site.folder / "events.jsonl")) >= wanted or ended(site), 120)
        time.sleep(dice.uniform(0.0, 0.5))
        lose_power(site, dice)  # on a fast machine, all may be synced by then
    site.start()
    site.until(lambda: ended(site), 300)
    assert site.stop() == 0
    assert "Traceback" not in site.text()
    for file in ("events.jsonl", "other.jsonl"):
        told = lines(site.folder / file)
        assert len({(one["event"], one["revision"]) for one in told}) == len(told)
        last = {one["event"]: one["phase"] for one in told}
        assert set(last.values()) <= {"final", "retracted"}  # no action is left open
        for name in NAMES:
            expected = Localizer(Bundle.load(DEMO)).localize(np.load(site.folder / f"{name}.npy"))
            wanted = sorted((e.start, e.label) for e in expected if e.phase == "final")
            found = sorted((e["start"], e["label"]) for e in finals(site.folder / file, name))
            assert [label for _, label in found] == [label for _, label in wanted]
            np.testing.assert_allclose([at for at, _ in found], [at for at, _ in wanted], atol=1e-4)


def test_a_loss_of_power_leaves_declared_gaps_of_a_live_camera(site):
    """A sender that goes on with its own clock: what was lost, and what it did not send, is declared."""
    dice, at, holes = random.Random(3), 0, []
    path = site.folder / "dock"
    site.config["cameras"]["dock"] = {"source": f"unix://{path}", "bundles": ["demo"], "min_score": 0.0}
    site.write()
    for number in range(4):
        site.start()
        with dial(path, 120.0) as sender:
            rows = np.take(ROWS, range(at, at + 200), axis=0, mode="wrap")
            sender.sendall(head(at * STRIDE_S) + encode_record(rows[:150]))
            site.until(lambda: site.get("/cameras/dock")["stats"].get("engine demo", {}).get("snippets", 0) >= 150, 60)
            sender.sendall(encode_record(rows[150:]))  # may be lost, or not
            time.sleep(dice.uniform(0.0, 0.3))
            if number < 3:
                lose_power(site, dice)
        if number < 3:
            holes.append(((at + 200) * STRIDE_S, (at + 300) * STRIDE_S))
        at += 300
    site.until(lambda: ended(site, ("hall", "yard")), 300)
    assert site.stop() == 0
    with contextlib.closing(sqlite3.connect(site.folder / "state" / "site.db")) as db:
        gaps = db.execute("SELECT start_s, end_s FROM gaps WHERE camera = 'dock' ORDER BY start_s").fetchall()
    assert len(gaps) == len(holes)
    for (begin, end), (first, last) in zip(gaps, holes, strict=True):
        assert begin <= first + STRIDE_S and abs(end - last) < STRIDE_S
    told = lines(site.folder / "events.jsonl")
    assert len({(one["event"], one["revision"]) for one in told}) == len(told)
    assert any(one["stream"] == "dock" for one in told)
