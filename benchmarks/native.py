"""libpunctum against the Python session (Numba kernels) on the same tracks in one run: time of a push, memory.

    python benchmarks/native.py [--library FILE] [--data DATASET] [--chunk 1] [--snippets 6000] [--json FILE]

Both get settled tracks, so no engine is in the figures. They take turns every 200 pushes, so that a busy machine slows
both. libpunctum is driven by a C function (native_driver.c, compiled on the spot), push and polls together; the
Python session by its `push`. "quiet": pushes that said nothing, the median; "saying": the median of those that said
something; "event": all that was spent, an event; "rate": snippets a second over all. Memory: growth of the process's
resident size by 1,000 sessions, a thousandth of it, before the first push and after 300 snippets each, ten at a time.
`--data`: also the test recordings of a data set, through a simple locator.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from punctum import kernels
from punctum.runtime import Dataset, PostProcess
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.plan import Plan
from punctum.runtime.session.session import Session
from result_file import add_json, rows_of, save

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.native import binding  # noqa: E402

TURN, SESSIONS, SETTLED = 200, 1000, 300


class Tracks:
    """A locator whose features are tracks already."""

    requested = actual = "tracks"

    def locate(self, rows):
        return rows[:, :-1], rows[:, -1]


def generated(snippets: int, classes: int = 20) -> tuple[Plan, np.ndarray]:
    """Noise below the lowest threshold with an action every eight seconds on average, 1 to 6 s long."""
    rng, stride = np.random.default_rng(5), 0.16
    tracks = rng.uniform(0.0, 0.045, (snippets, classes))
    at = 0
    while at < snippets:
        length = int(rng.integers(6, 38))
        level = rng.uniform(0.3, 0.95) * np.sin(np.linspace(0.2, 2.9, length)) + rng.normal(0, 0.05, length)
        part = tracks[at : at + length, rng.integers(classes)]
        part[:] = np.clip(level[: len(part)], 0.0, 1.0)
        at += length + int(rng.exponential(8.0 / stride))
    rows = np.concatenate([tracks, tracks.max(axis=1, keepdims=True)], axis=1).astype(np.float32)
    return plan_of(tuple(f"class-{c}" for c in range(classes)), stride), rows


def recorded(path: Path) -> tuple[Plan, np.ndarray]:
    """All test recordings end to end, through the locator of tests/system/test_real_streams.py."""
    from tests.system import test_real_streams as real

    data = Dataset.open(path)
    locator = real.NearestMean(data)
    class_track, actionness = locator.locate(np.concatenate([data.features(v).data for v in data.test]))
    return plan_of(data.labels, data.stride_s), np.concatenate([class_track, actionness[:, None]], axis=1)


def plan_of(labels: tuple[str, ...], stride_s: float) -> Plan:
    return Plan(tuple(labels), len(labels) + 1, stride_s, 0, 0, PostProcess(max_island_s=8.0), "benchmark")


class Native:
    """Sessions in tracks mode, driven from C."""

    def __init__(self, library: Path, plan: Plan, folder: Path) -> None:
        driver, include = folder / "driver.so", ROOT / "kernels" / "native" / "include"
        source = Path(__file__).with_name("native_driver.c")
        flags = ["-O2", "-shared", "-fPIC", f"-I{include}", f"-Wl,-rpath,{library.parent}"]
        subprocess.run(["cc", *flags, str(source), str(library), "-o", str(driver)], check=True)
        self.driver, self.library, self.python = ctypes.CDLL(str(driver)), binding.Library(library), plan
        self.plan = self.library.plan(binding.manifest_of(plan))

    def session(self, live: LiveOptions | None) -> binding.NativeSession:
        return binding.NativeSession(
            self.plan, self.python, None, mode=binding.TRACKS, stream="s", live=live, keep_features=False
        )

    def push(self, session: binding.NativeSession, rows: np.ndarray, chunk: int) -> tuple[np.ndarray, np.ndarray]:
        pushes = -(-len(rows) // chunk)
        micros, said, error = np.zeros(pushes), np.zeros(pushes, np.int32), binding.Error()
        sizes = (ctypes.c_size_t(n) for n in (*rows.shape, chunk))
        places = micros.ctypes.data_as(ctypes.c_void_p), said.ctypes.data_as(ctypes.c_void_p)
        status = self.driver.drive(session.handle, binding.f32(rows), *sizes, *places, ctypes.byref(error))
        if status < 0:
            raise binding.NativeError(status, error.code.decode(), error.message.decode())
        return micros, said


def push_python(session: Session, rows: np.ndarray, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    micros, said = [], []
    for at in range(0, len(rows), chunk):
        part = rows[at : at + chunk]
        began = time.perf_counter()
        events = session.push(part)
        micros.append(1e6 * (time.perf_counter() - began))
        said.append(len(events))
    return np.array(micros), np.array(said)


def compare(native: Native, rows: np.ndarray, chunk: int, live: LiveOptions | None) -> dict[str, Any]:
    one, two = Session(native.python, Tracks(), stream="s", live=live), native.session(live)
    turns = [rows[at : at + TURN * chunk] for at in range(0, len(rows), TURN * chunk)]
    found: dict[str, list] = {"python": [], "native": []}
    for part in turns:
        found["python"].append(push_python(one, part, chunk))
        found["native"].append(native.push(two, part, chunk))
    record: dict[str, Any] = {}
    for name, parts in found.items():
        micros, said = (np.concatenate(column) for column in zip(*parts, strict=True))
        quiet = np.median(micros[said == 0])
        record[name] = {
            "quiet_us": quiet,
            "saying_us": np.median(micros[said > 0]),
            "p99_us": np.percentile(micros, 99),
            "event_us": micros.sum() / said.sum(),
            "snippets_per_s": 1e6 * len(rows) / micros.sum(),
            "events": int(said.sum()),
        }
    if record["python"]["events"] != record["native"]["events"]:
        raise SystemExit(f"other events: {record}")
    record["times"] = {
        name: record["python"][name] / record["native"][name] for name in ("quiet_us", "saying_us", "event_us")
    }
    return record


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(native: Native | None, plan: Plan, rows: np.ndarray, live: LiveOptions | None) -> dict[str, float]:
    """KB of a session, in this process, which has to be fresh."""
    parts = [np.ascontiguousarray(rows[at : at + 10]) for at in range(0, SETTLED, 10)]

    def make(count: int) -> list:
        if native:
            return [native.session(live) for _ in range(count)]
        return [Session(plan, Tracks(), stream="s", live=live) for _ in range(count)]

    def feed(sessions: list) -> None:
        for part in parts:
            if native:
                handles = (ctypes.c_void_p * len(sessions))(*(s.handle.value for s in sessions))
                sizes = ctypes.c_size_t(len(sessions)), binding.f32(part), ctypes.c_size_t(len(part))
                native.driver.drive_all(handles, *sizes, ctypes.byref(binding.Error()))
            else:
                for session in sessions:
                    session.push(part)

    feed(make(20))  # all code and pools are there
    before = resident()
    sessions = make(SESSIONS)
    made = resident()
    feed(sessions)
    return {"made_kb": (made - before) / SESSIONS / 1e3, "settled_kb": (resident() - before) / SESSIONS / 1e3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, default=ROOT / "build" / "ci" / "kernels" / "native" / "libpunctum.so")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--chunk", type=int, default=1)
    parser.add_argument("--snippets", type=int, default=6000)
    add_json(parser)
    parser.add_argument("--memory", choices=("python", "native"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.library.exists() or not shutil.which("cc"):
        raise SystemExit(f"no {options.library}, or no C compiler: cmake --preset ci && cmake --build --preset ci")
    live = LiveOptions(max_delay_s=1.0)
    ways = {"final events only": None, "early reports within 1 s": live}
    kernels.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        plan, rows = generated(options.snippets)
        if options.memory:
            native = Native(options.library, plan, Path(folder)) if options.memory == "native" else None
            print(json.dumps(memory(native, plan, rows, live)))
            return
        record: dict[str, Any] = {}
        sources = {"generated": (plan, rows)}
        if options.data:
            sources[options.data.name] = recorded(options.data)
        for name, (plan, rows) in sources.items():
            native = Native(options.library, plan, Path(folder))
            compare(native, rows[: 5 * TURN], options.chunk, live)  # warm
            for way, setting in ways.items():
                rows = np.ascontiguousarray(rows[: options.snippets], np.float32)
                record[f"{name}, {way}"] = compare(native, rows, options.chunk, setting)
    command = [sys.executable, __file__, "--library", str(options.library), "--memory"]
    record["memory of a session"] = {
        name: json.loads(subprocess.run([*command, name], check=True, capture_output=True, text=True).stdout)
        for name in ("python", "native")
    }
    save(options.json, rows_of(record), details=record)
    for name, part in record.items():
        print(name)
        for who, values in part.items():
            print(f"  {who:8}", "  ".join(f"{key} {value:.3g}" for key, value in values.items()))


if __name__ == "__main__":
    main()
