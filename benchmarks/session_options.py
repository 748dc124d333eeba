"""Options of an ONNX Runtime session on the CPU, measured on the two graphs of a bundle: the reasons for the defaults.

    python benchmarks/session_options.py BUNDLE [BUNDLE ...] [--rounds 15] [--json FILE]

Every variant runs the same work in every round, in a new order; figures are medians of the ratio to the default of the
same round. Work: `live`, the locator's window in its stride and a pause, as in a stream; `long`, a window of 2,048
snippets; `scorer`, windows and numbers of proposals that differ from run to run.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from punctum.runtime import Bundle, Localizer
from punctum.runtime.backends.open import open_backend
from punctum.runtime.backends.options import EngineOptions
from result_file import add_json, rows_of, save

VARIANTS: dict[str, tuple[int, EngineOptions]] = {
    "default": (1, EngineOptions()),
    "default again": (1, EngineOptions()),
    "2 threads": (2, EngineOptions()),
    "2 threads, spinning": (2, EngineOptions(spinning=True)),
    "no arena": (1, EngineOptions(arena=False)),
    "memory pattern": (1, EngineOptions(mem_pattern=True)),
}
RUNS, PAUSE_S = 12, 0.004


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--rounds", type=int, default=15)
    add_json(parser)
    options = parser.parse_args()
    record = {path: measure(path, options.rounds) for path in options.bundles}
    save(options.json, rows_of(record), details=record)


def measure(path: str, rounds: int) -> dict[str, Any]:
    """Ratios of one bundle, printed as they are made."""
    bundle = Bundle.load(path)
    plan = Localizer(bundle).plan
    engines = {
        name: open_backend(bundle, threads=threads, options=given) for name, (threads, given) in VARIANTS.items()
    }
    works = make_works(plan)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for work, (run, pause) in works.items():
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
        for engine in engines.values():
            run(engine)
        for _ in range(rounds):
            order = list(engines)
            random.shuffle(order)
            for name in order:
                spent[name].append(timed(run, engines[name], pause))
        base = spent["default"]
        found[work] = {}
        for name, times in spent.items():
            wall = statistics.median(t[0] / b[0] for t, b in zip(times, base, strict=True))
            cpu = statistics.median(t[1] / b[1] for t, b in zip(times, base, strict=True))
            ms = 1e3 * statistics.median(t[0] for t in times)
            found[work][name] = {"ms": ms, "wall": wall, "cpu": cpu}
            print(f"{bundle.id:40} {work:8} {name:22} {ms:8.2f} ms  wall x{wall:.2f}  cpu x{cpu:.2f}", flush=True)
    return found


def timed(run: Callable[[Any], None], engine: Any, pause: float) -> tuple[float, float]:
    """(wall, CPU) seconds a run, pauses not counted as wall time."""
    wall, before = 0.0, resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(RUNS):
        began = time.perf_counter()
        run(engine)
        wall += time.perf_counter() - began
        if pause:
            time.sleep(pause)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall / RUNS, cpu / RUNS


def make_works(plan: Any) -> dict[str, tuple[Callable[[Any], None], float]]:
    """Name -> (one run, pause after it in seconds)."""
    rng = np.random.default_rng(0)
    classes = len(plan.labels)
    window = plan.left + plan.right + max(int(0.5 / plan.stride_s), 1)
    live = rng.standard_normal((window, plan.dim)).astype(np.float32)
    long = rng.standard_normal((2048, plan.dim)).astype(np.float32)
    jobs = []
    for _ in range(RUNS):
        t, m = int(rng.integers(20, 200)), int(rng.integers(1, 200))
        edges = np.sort(rng.uniform(0, t - 1, (m, 2)), axis=1).astype(np.float32)
        tracks = rng.uniform(0, 1, (t, classes + 1)).astype(np.float32)
        rows = rng.standard_normal((t, plan.dim)).astype(np.float32)
        jobs.append((rows, tracks, edges, rng.integers(0, classes, m)))
    turn = iter(range(sys.maxsize))

    def locate_live(engine: Any) -> None:
        engine.locate(live)

    def locate_long(engine: Any) -> None:
        engine.locate(long)

    def score(engine: Any) -> None:
        engine.score(*jobs[next(turn) % len(jobs)])

    return {"live": (locate_live, PAUSE_S), "long": (locate_long, 0.0), "scorer": (score, 0.0)}


if __name__ == "__main__":
    main()
