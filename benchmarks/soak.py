"""24 hours of a sensor stream as fast as it goes: flat memory, as many events at the end as at the start, exact times.

    python benchmarks/soak.py BUNDLE DATA [--hours 24] [--chunk 25] [--max-delay 1.0] [--json FILE]

Recordings of the data set (training and test, in turn, for ever) are joined to one stream and pushed in chunks. The
resident memory is sampled every half hour of media; the slope is that of a straight line through the samples after
the first two hours. The tape is repeated a whole number of times an hour, so that equal hours hold equal features:
their events have to be equal to the last digit that float64 can carry, which is what "exact" means here.
Memory is sampled every half hour of media, or twelve times in a shorter run; "rss_growth_in_24_hours" is then a
straight line through the samples after the first quarter: an extrapolation, and noise of a page is multiplied by it.
Exit code 1 when memory grows by more than 1 MiB in 24 hours, or the events of two hours differ.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from punctum.runtime import Bundle, Dataset, Localizer
from punctum.runtime.live import LiveOptions
from result_file import add_json, rows_of, save


def tape(data: Dataset, snippets: int) -> np.ndarray:
    """Recordings end to end, cut to `snippets` rows: one hour."""
    parts, have = [], 0
    while have < snippets:
        for video in data.train + data.test:
            parts.append(data.features(video).data)
            have += len(parts[-1])
            if have >= snippets:
                break
    return np.concatenate(parts)[:snippets]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default=None)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--chunk", type=int, default=25)
    parser.add_argument("--max-delay", type=float, default=1.0, help="0: final events only")
    add_json(parser)
    options = parser.parse_args()
    data = Dataset.open(options.data, split=options.split)
    localizer = Localizer(Bundle.load(options.bundle))
    stride = localizer.plan.stride_s
    per_hour = round(3600 / stride)
    total = round(options.hours * per_hour)
    reel = tape(data, per_hour)
    live = LiveOptions(max_delay_s=options.max_delay) if options.max_delay else None
    session = localizer.session(stream="soak", live=live)
    process = psutil.Process()
    whole = max(math.floor(options.hours), 1)
    counts = [0] * (whole + 1)
    kept: dict[int, list[tuple[str, float, float]]] = {min(1, whole - 1): [], whole - 1: []}  # two hours to compare
    memory: list[tuple[float, float]] = []
    state, told, at, next_look, began = 0, 0, 0, 0.0, time.perf_counter()

    def keep(events) -> int:
        for e in events:
            if e.phase == "final":
                hour = int(e.start // 3600)
                counts[hour] += 1
                begin = 3600.0 * hour
                # What touches the seam between two hours belongs to neither.
                if hour in kept and e.start - begin >= 60.0 and e.end - begin <= 3540.0:
                    kept[hour].append((e.label, e.start - begin, e.end - begin))
        return len(events)

    while at < total:
        low = at % per_hour
        rows = reel[low : min(low + options.chunk, per_hour, low + total - at)]
        told += keep(session.push(rows))
        at += len(rows)
        state = max(state, session.state_bytes)
        if at * stride / 3600 >= next_look:
            memory.append((at * stride / 3600, process.memory_info().rss))
            next_look += min(0.5, options.hours / 12)
    spent = time.perf_counter() - began
    clock_error = abs(session.now_s - total * stride)
    told += keep(session.flush())
    steady = [m for m in memory if m[0] >= min(2.0, options.hours / 4)]
    slope = float(np.polyfit([h for h, _ in steady], [m for _, m in steady], 1)[0]) if len(steady) > 2 else 0.0
    first, last = (sorted(kept[hour]) for hour in (min(1, whole - 1), whole - 1))
    same = [e[0] for e in first] == [e[0] for e in last]
    pairs = [(x, y) for a, b in zip(first, last, strict=False) for x, y in zip(a[1:], b[1:], strict=True)]
    shift = max((abs(x - y) for x, y in pairs), default=0.0)
    record = {
        "snippets": session.stats.snippets,
        "media_hours": session.stats.media_s / 3600,
        "wall_s": spent,
        "times_real_time": session.stats.media_s / spent,
        "us_per_snippet": 1e6 * spent / max(session.stats.snippets, 1),
        "events_told": told,
        "finals_first_hour": counts[0],
        "finals_second_hour": counts[min(1, whole - 1)],
        "finals_last_hour": counts[whole - 1],
        "largest_time_difference_s": shift,
        "now_s_error": clock_error,
        "rss_mib": [round(m / 2**20, 1) for _, m in memory[:: max(len(memory) // 8, 1)]],
        "rss_slope_kib_per_hour": slope / 1024,
        "rss_growth_in_24_hours_mib": 24 * slope / 2**20,
        "events_provisional": told - sum(counts),
        "largest_state_kib": state / 1024,
    }
    print(json.dumps(record, indent=1))
    save(options.json, rows_of({k: v for k, v in record.items() if k != "rss_mib"}), details=record)
    flat = slope * 24 <= 2**20
    return 0 if flat and same and shift < 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
