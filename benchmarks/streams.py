"""Many streams on one engine: how many fit a core, and how long a report takes.

    python benchmarks/streams.py BUNDLE DATA [--streams 1,8,64,256] [--seconds 30] [--max-delay 1.0]
                                 [--device cpu] [--precision fp32,int8] [--threads 1] [--workers 2]
                                 [--spread] [--json FILE]

Every stream plays another part of the test recordings; snippets come one by one. Each number of streams runs with
final events only and with early reports (`--max-delay`), in every precision, in two ways:

    unpaced  as fast as it goes. "real time": how many times the rate of the streams; "cpu": CPU seconds for each
             second of one stream, all threads; "per core": streams that one core could serve, the reciprocal.
    paced    by the clock, at the rate of the streams. "p50", "p99": milliseconds from the arrival of a snippet to the
             report that it caused; "busy": CPU seconds a second; "late": rounds that began after the next was due.

All streams get their snippets at the same moment, which is the worst case; with `--spread` the arrivals are spread over
the stride, in as many groups as it has hundredths of a second. "energy": joules for each second of one stream, where
the machine tells its consumption. The last rows measure a push that changes nothing, with the engine taken out.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from punctum.runtime import Bundle, Dataset, Localizer
from punctum.runtime.backends.options import EngineOptions
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.pool import Pool, PoolOptions
from punctum.runtime.warmup import warm_up
from result_file import add_json, rows_of, save

LEAD_S = 12.0  # of each stream, before it is measured
SINGLE = 8  # snippets at the end of that, one by one
COUNTERS = "/sys/class/powercap"


def joules() -> float | None:
    """Energy that the processors have used, from an arbitrary beginning; None where the machine does not tell."""
    files = [path for path in Path(COUNTERS).glob("*-rapl:*/energy_uj") if path.parent.name.count(":") == 1]
    try:
        return sum(int(path.read_text()) for path in files) / 1e6 if files else None
    except OSError:
        return None


class Reels:
    """What each stream plays: test recordings end to end, from another place for each stream."""

    def __init__(self, data: Dataset, streams: int, seconds: float, workers: int = 1) -> None:
        stride, self.workers = data.stride_s, workers
        self.lead, self.rounds = round(LEAD_S / stride), round(seconds / stride)
        need = self.lead + self.rounds
        tape = np.concatenate([data.features(video).data for video in data.test])
        tape = np.concatenate([tape] * (-(-(need + streams) // len(tape)) + 1))
        step = max((len(tape) - need) // streams, 1)
        self.rows = [tape[k * step : k * step + need] for k in range(streams)]
        self.names = [f"cam-{k:03d}" for k in range(streams)]

    def pool(self, localizer: Localizer, live: LiveOptions | None) -> Pool:
        """A pool whose streams have run for a while: only those have full windows, and actions that run."""
        pool = localizer.pool(PoolOptions(live=live, workers=self.workers))
        for name, rows in zip(self.names, self.rows, strict=True):
            pool.put(name, rows[: self.lead - SINGLE])
            pool.drain()
        for turn in range(-SINGLE, 0):  # the first step of a stream runs its whole window
            self.put(pool, turn, range(len(self.names)))
            pool.step()
        return pool

    def put(self, pool: Pool, turn: int, streams: range) -> None:
        for k in streams:
            pool.put(self.names[k], self.rows[k][self.lead + turn : self.lead + turn + 1])


def unpaced(localizer: Localizer, reels: Reels, live: LiveOptions | None) -> dict[str, float]:
    pool, everyone = reels.pool(localizer, live), range(len(reels.names))
    energy, began, cpu, events = joules(), time.perf_counter(), time.process_time(), 0
    for turn in range(reels.rounds):
        reels.put(pool, turn, everyone)
        events += len(pool.step())
    cpu, wall, used = time.process_time() - cpu, time.perf_counter() - began, joules()
    media = reels.rounds * localizer.plan.stride_s * len(reels.names)
    found = {
        "real_time": media / wall / len(reels.names),
        "cpu_s_per_stream_s": cpu / media,
        "streams_per_core": media / cpu,
        "events": events,
    }
    if energy is not None and used is not None:
        found["joules_per_stream_s"] = (used - energy) / media
    return found


def paced(localizer: Localizer, reels: Reels, live: LiveOptions | None, groups: int) -> dict[str, float]:
    """groups: of streams, which get their snippets one group after the other within a stride."""
    pool, count = reels.pool(localizer, live), len(reels.names)
    stride, groups = localizer.plan.stride_s, min(groups, count)
    parts = [range(g * count // groups, (g + 1) * count // groups) for g in range(groups)]
    group_of = {reels.names[k]: g for g, part in enumerate(parts) for k in part}
    waits, late = list[float](), 0
    begin, cpu = time.perf_counter() + stride, time.process_time()
    for turn in range(reels.rounds):
        for g, part in enumerate(parts):
            due = begin + (turn + g / groups) * stride
            now = time.perf_counter()
            if now < due:
                time.sleep(due - now)
            late += now > due + stride / groups
            reels.put(pool, turn, part)
            events = pool.step()
            ended = time.perf_counter()
            waits += [ended - (begin + (turn + group_of[event.stream] / groups) * stride) for event in events]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
    p50, p99 = 1e3 * np.percentile(waits, (50, 99)) if waits else (np.nan, np.nan)
    return {"p50_ms": float(p50), "p99_ms": float(p99), "busy_cores": cpu / wall, "late": late, "events": len(waits)}


class _Quiet:
    """An engine that finds nothing, at once."""

    requested = actual = "quiet"

    def __init__(self, classes: int) -> None:
        self._row, self.spent = np.full((1, classes), 1e-3, np.float32), 0.0

    def locate(self, features):
        began = time.process_time()
        found = np.repeat(self._row, len(features), 0), np.full(len(features), 1e-3, np.float32)
        self.spent += time.process_time() - began
        return found

    def score(self, features, tracks, segments, labels):
        raise AssertionError("nothing to score")


def quiet_push(localizer: Localizer, live: LiveOptions | None, pushes: int = 20_000) -> float:
    """Microseconds of a one-snippet push beside the graph run, when nothing happens: median over blocks."""
    plan, engine = localizer.plan, _Quiet(len(localizer.labels))
    session = localizer.with_backend(engine).session(live=live)
    row, blocks = np.zeros((1, plan.dim), np.float32), []
    for _ in range(21):
        engine.spent, began = 0.0, time.process_time()
        for _ in range(pushes // 20):
            session.push(row)
        blocks.append(1e6 * (time.process_time() - began - engine.spent) / (pushes // 20))
    return float(np.median(blocks[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default=None)
    parser.add_argument("--streams", default="1,8,64,256")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--max-delay", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--engines", type=Path)
    parser.add_argument("--spread", action="store_true")
    parser.add_argument("--way", choices=("both", "unpaced", "paced"), default="both")
    parser.add_argument("--mode", choices=("both", "final", "live"), default="both")
    add_json(parser)
    options = parser.parse_args()
    data, bundle = Dataset.open(options.data, split=options.split), Bundle.load(options.bundle)
    early = LiveOptions(max_delay_s=options.max_delay)
    modes = {"final": None, "live": early}
    modes = modes if options.mode == "both" else {options.mode: modes[options.mode]}
    rows = []
    for precision in options.precision.split(","):
        localizer = Localizer(
            bundle,
            device=options.device,
            precision=precision,
            threads=options.threads,
            options=EngineOptions(engines=options.engines),
        )
        groups = round(100 * localizer.plan.stride_s) if options.spread else 1
        for mode, live in modes.items():
            warm_up(localizer, live)
            for streams in map(int, options.streams.split(",")):
                reels = Reels(data, streams, options.seconds, options.workers)
                row = {"precision": precision, "mode": mode, "streams": streams, "load": os.getloadavg()[0]}
                if options.way != "paced":
                    row["unpaced"] = unpaced(localizer, reels, live)
                if options.way != "unpaced":
                    row["paced"] = paced(localizer, reels, live, groups)
                rows.append(row)
                print(line_of(row), flush=True)
    quiet = {mode: quiet_push(localizer, live) for mode, live in modes.items()}
    print("a push that changes nothing:", ", ".join(f"{us:.1f} µs ({mode})" for mode, us in quiet.items()))
    if options.json:
        record = {
            "rows": rows,
            "quiet_push_us": quiet,
            "threads": options.threads,
            "workers": options.workers,
            "energy": joules() is not None,
        }
        named = {f"{row['precision']}, {row['mode']}, {row['streams']} streams": row for row in rows}
        save(options.json, rows_of(named | {"a push that changes nothing, us": quiet}), details=record)


def line_of(row: dict) -> str:
    text = f"{row['precision']:5} {row['mode']:5} {row['streams']:4} streams"
    if "unpaced" in row:
        fast = row["unpaced"]
        text += f"  unpaced {fast['real_time']:7.2f}x real time, {1e3 * fast['cpu_s_per_stream_s']:6.2f} ms CPU,"
        text += f" {fast['streams_per_core']:6.1f} per core"
        text += f", {fast['joules_per_stream_s']:.3f} J" if "joules_per_stream_s" in fast else ""
    if "paced" in row:
        slow = row["paced"]
        text += f"  paced p50 {slow['p50_ms']:6.1f} p99 {slow['p99_ms']:6.1f} ms, busy {slow['busy_cores']:.2f},"
        text += f" late {slow['late']}, {slow['events']} events"
    return f"{text}  (load {row['load']:.1f})"


if __name__ == "__main__":
    main()
