"""Many streams on one engine: 64 in a pool against 64 sessions on their own, in one run; and the cost of a push.

    python benchmarks/streams.py BUNDLE DATA [--streams 64] [--seconds 60] [--chunk 1] [--max-delay 1.0]
                                 [--device cpu] [--precision fp32] [--json]

Every stream plays another recording, shifted. Both ways get the same features in the same order, one chunk a stream
and round; rounds of pool and sessions take turns, so that a busy machine slows both. "rate": snippets a second, and
how many times the real rate of all streams that is. "push to event": compute seconds from handing in a chunk to the
report that it caused, p50 and p99 over the reports. The last rows measure a push that changes nothing: quiet
features, with the engine's own time taken out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from punctum import kernels
from punctum.runtime import Bundle, Dataset, Localizer
from punctum.runtime.backends.options import EngineOptions
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.pool import Pool, PoolOptions

LEAD_S = 30.0


def spread(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, (50, 99)) if seconds else (np.nan, np.nan)
    return {"p50_ms": 1e3 * float(p50), "p99_ms": 1e3 * float(p99)}


def compare(
    localizer: Localizer, reels: list[np.ndarray], chunk: int, live: LiveOptions, rounds: int, lead: int
) -> dict:
    """Pool against sessions on `rounds` chunks of every reel, after `lead` snippets that are not counted.

    Only streams that have run for a while have full windows, which can be stacked.
    """
    names = [f"cam-{k:02d}" for k in range(len(reels))]
    pool = Pool(
        localizer.plan, localizer.backend, PoolOptions(live=live, turn_s=max(1.0, chunk * localizer.plan.stride_s))
    )
    alone = {name: localizer.session(stream=name, live=live) for name in names}
    spent = {"pool": 0.0, "alone": 0.0}
    waits: dict[str, list[float]] = {"pool": [], "alone": []}
    said: dict[str, list] = {"pool": [], "alone": []}
    for name, reel in zip(names, reels, strict=True):
        pool.put(name, reel[:lead])
        said["alone"] += alone[name].push(reel[:lead])
        said["pool"] += pool.drain()
    for step in range(rounds):
        parts = [reel[lead + step * chunk : lead + (step + 1) * chunk] for reel in reels]
        began = time.perf_counter()
        handed = []
        for name, rows in zip(names, parts, strict=True):
            handed.append(time.perf_counter())
            pool.put(name, rows)
        events = pool.step()
        ended = time.perf_counter()
        spent["pool"] += ended - began
        index = {name: k for k, name in enumerate(names)}
        waits["pool"] += [ended - handed[index[e.stream]] for e in events]
        said["pool"] += events
        # Sessions on their own: all chunks of a round came at once, so the last one waits for all before it.
        began = time.perf_counter()
        for name, rows in zip(names, parts, strict=True):
            events = alone[name].push(rows)
            waits["alone"] += [time.perf_counter() - began] * len(events)
            said["alone"] += events
        spent["alone"] += time.perf_counter() - began
    for events in said.values():
        events.sort(key=lambda e: (e.stream, e.emitted_at, e.id, e.revision))
    equal = [(e.stream, e.id, e.phase, e.revision) for e in said["pool"]] == [
        (e.stream, e.id, e.phase, e.revision) for e in said["alone"]
    ]
    snippets = rounds * chunk * len(reels)
    real = len(reels) / localizer.plan.stride_s
    return {
        "streams": len(reels),
        "chunk": chunk,
        "snippets": snippets,
        "events": len(said["pool"]),
        "same_events": equal,
        **{
            way: {"rate": snippets / s, "times_real_rate": snippets / s / real, **spread(waits[way])}
            for way, s in spent.items()
        },
        "speedup": spent["alone"] / spent["pool"],
    }


class _Timed:
    """Takes the engine's time apart."""

    def __init__(self, backend) -> None:
        self._backend, self.spent = backend, 0.0

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def locate(self, features):
        began = time.perf_counter()
        found = self._backend.locate(features)
        self.spent += time.perf_counter() - began
        return found


class _Quiet:
    """An engine that finds nothing, at once."""

    requested = actual = "quiet"

    def __init__(self, classes: int) -> None:
        self._row = np.full((1, classes), 1e-3, np.float32)

    def locate(self, features):
        return np.repeat(self._row, len(features), 0), np.full(len(features), 1e-3, np.float32)

    def score(self, features, tracks, segments, labels):
        raise AssertionError("nothing to score")


def quiet_push(localizer: Localizer, live: LiveOptions | None, pushes: int = 20_000) -> float:
    """Microseconds of a one-snippet push beside the graph run, when nothing happens: median over blocks."""
    timed = _Timed(_Quiet(len(localizer.labels)))
    plan = localizer.plan
    quiet = Localizer.from_parts(
        timed,
        labels=plan.labels,
        dim=plan.dim,
        stride_s=plan.stride_s,
        post=plan.post,
        receptive_field=(plan.left, plan.right),
    )
    session = quiet.session(live=live)
    row = np.zeros((1, plan.dim), np.float32)
    for _ in range(1000):
        session.push(row)
    blocks = []
    for _ in range(20):
        timed.spent, began = 0.0, time.perf_counter()
        for _ in range(pushes // 20):
            session.push(row)
        blocks.append(1e6 * (time.perf_counter() - began - timed.spent) / (pushes // 20))
    return float(np.median(blocks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default=None)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--chunk", type=int, default=1)
    parser.add_argument("--max-delay", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--engines", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = Dataset.open(options.data, split=options.split)
    localizer = Localizer(
        Bundle.load(options.bundle),
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        options=EngineOptions(engines=options.engines),
    )
    kernels.warm_up()
    stride = localizer.plan.stride_s
    rounds, lead = round(options.seconds / stride / options.chunk), round(LEAD_S / stride)
    videos = [data.features(v).data for v in data.test]
    need = lead + rounds * options.chunk
    tape = np.concatenate(videos)
    tape = np.concatenate([tape] * (-(-need // len(tape)) + 1))
    step = max(len(tape) - need, 1) // options.streams
    reels = [tape[k * step : k * step + need] for k in range(options.streams)]
    live = LiveOptions(max_delay_s=options.max_delay)
    compare(localizer, reels[:4], options.chunk, live, min(rounds, 40), lead)  # warm
    record = compare(localizer, reels, options.chunk, live, rounds, lead)
    record["quiet_push_us"] = {"final only": quiet_push(localizer, None), "live": quiet_push(localizer, live)}
    print(json.dumps(record, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
