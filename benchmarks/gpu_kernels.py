"""ABA, soft-NMS and fusion of many (video, class) groups on a GPU against the CPU kernels, in one run.

python benchmarks/gpu_kernels.py [--json FILE] [--groups 64 1280 8192]

Arrays are on the device before the clock starts and results stay there, which is what the kernels are for; moving them
there and back is a row of its own. Every case is checked against the CPU first. Needs an NVIDIA GPU and numba-cuda.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from punctum import kernels
from result_file import add_json, rows_of, save

CLASSES = 20


def case(groups: int, seed: int) -> tuple[Any, Any, Any]:
    """Proposals in nested clusters, as thresholds make them; 50 to 600 in a group, a few groups of thousands."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(50, 600, groups)
    sizes[rng.integers(0, groups, max(1, groups // 200))] = 3000
    offsets = np.cumsum([0, *sizes])
    total = int(offsets[-1])
    span = np.repeat(sizes, sizes) / 2
    center = np.floor(rng.random(total) * span / 5) * 5 + rng.normal(0, 0.5, total)
    length = rng.lognormal(1.0, 0.6, total)
    return np.stack([center - length / 2, center + length / 2], 1), rng.random(total) ** 2, offsets


def median(call: Callable[[], object], *, least: int = 5, seconds: float = 1.0) -> float:
    """Median seconds of a call; a call that works on the GPU waits for it."""
    call()
    spent: list[float] = []
    while len(spent) < least or (sum(spent) < seconds and len(spent) < 100):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def measure(groups: int, seed: int) -> dict[str, float]:
    from numba import cuda

    segments, scores, offsets = case(groups, seed)
    there = [cuda.to_device(part) for part in (segments, scores, offsets)]
    moved, moved_there = kernels.adapt_groups(segments, scores, offsets), kernels.adapt_groups(*there)
    apart = float(np.abs(moved_there.copy_to_host() - moved).max())
    picks = kernels.suppress_groups(moved, scores, offsets, min_score=0.001)
    same = cuda.to_device(moved)
    for mine, expected in zip(kernels.suppress_groups(same, *there[1:], min_score=0.001), picks, strict=True):
        if not np.array_equal(mine.copy_to_host(), expected):
            sys.exit(f"{groups} groups: soft-NMS on the GPU differs from the CPU")
    if apart > 1e-9:
        sys.exit(f"{groups} groups: ABA on the GPU is {apart} s from the CPU")

    def carried() -> None:
        given = [cuda.to_device(part) for part in (segments, scores, offsets)]
        found = kernels.suppress_groups(kernels.adapt_groups(*given), *given[1:], min_score=0.001)
        for part in found:
            part.copy_to_host()

    row = {"groups": groups, "proposals": int(offsets[-1]), "aba_apart_s": apart}
    rng = np.random.default_rng(seed)
    head = (rng.random((len(scores), CLASSES)), rng.random(len(scores)), rng.random(len(scores)))
    head_there = [cuda.to_device(part) for part in head]
    pairs = {
        "aba": (
            lambda: kernels.adapt_groups(segments, scores, offsets),
            lambda: kernels.adapt_groups(*there),
        ),
        "soft_nms": (
            lambda: kernels.suppress_groups(moved, scores, offsets, min_score=0.001),
            lambda: kernels.suppress_groups(same, *there[1:], min_score=0.001),
        ),
        "fusion": (lambda: kernels.fuse_confidence(*head), lambda: kernels.fuse_confidence(*head_there)),
    }
    for name, (cpu, gpu) in pairs.items():
        row[f"{name}_cpu_ms"], row[f"{name}_gpu_ms"] = median(cpu) * 1e3, median(gpu) * 1e3
    row["both_with_copies_gpu_ms"] = median(carried) * 1e3
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, nargs="+", default=[64, 1280, 8192])
    add_json(parser)
    options = parser.parse_args()
    from numba import cuda

    if not cuda.is_available():
        sys.exit("no CUDA device that Numba reaches")
    rows = [measure(groups, seed) for seed, groups in enumerate(options.groups)]
    name = cuda.get_current_device().name
    print("one CPU thread against", name.decode() if isinstance(name, bytes) else name)
    for row in rows:
        print(f"{row['groups']} groups, {row['proposals']} proposals; ABA at most {row['aba_apart_s']:.1e} s apart")
        for part in ("aba", "soft_nms", "fusion"):
            cpu, gpu = row[f"{part}_cpu_ms"], row[f"{part}_gpu_ms"]
            print(f"  {part:9} CPU {cpu:9.2f} ms, GPU {gpu:8.3f} ms, {cpu / gpu:7.1f} times as fast")
        both = row["aba_cpu_ms"] + row["soft_nms_cpu_ms"]
        carried = row["both_with_copies_gpu_ms"]
        print(f"  ABA and soft-NMS, copies both ways included: {carried:.2f} ms, {both / carried:.1f} times as fast")
    save(options.json, rows_of({f"{row['groups']} groups": row for row in rows}), details={"rows": rows})


if __name__ == "__main__":
    main()
