"""One bundle on several devices, in several precisions: does each give the answers of the CPU, at what mAP, how fast.

    python benchmarks/devices.py BUNDLE DATA --on cuda --on cuda/fp16 --on tensorrt/fp16 [--engines FOLDER] [--split S]

Tensors and events are compared with fp32 on the CPU over all test videos: the largest difference of a track or a score
of the head (the same proposals, those of the CPU), and how many events differ in label or by more than --tolerance
seconds or score. Times are of whole recordings, in turns; ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from punctum import kernels
from punctum.runtime import Bundle, Dataset, Localizer, evaluate
from punctum.runtime.backends.options import EngineOptions
from punctum.runtime.errors import PunctumError
from punctum.runtime.evaluation.average_precision import Detections
from result_file import add_json, rows_of, save

REFERENCE = "cpu/fp32"


class Recorder:
    """A backend that keeps what it was asked, so that another can be asked the same."""

    def __init__(self, backend: Any) -> None:
        self._backend, self.scored = backend, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def score(self, *given: Any) -> Any:
        found = self._backend.score(*given)
        self.scored.append((given, found))
        return found


def tensors(backend: Any, tracks: list[Any], videos: list[Any], scored: list[Any]) -> dict[str, float]:
    """Largest differences from the reference's answers to the same questions."""
    apart = {"tracks": 0.0, "head": 0.0}
    for video, expected in zip(videos, tracks, strict=True):
        for mine, wanted in zip(backend.locate(video.data), expected, strict=True):
            apart["tracks"] = max(apart["tracks"], float(np.abs(mine - wanted).max()))
    for given, expected in scored:
        for mine, wanted in zip(backend.score(*given), expected, strict=True):
            if wanted.size:
                apart["head"] = max(apart["head"], float(np.abs(mine - wanted).max()))
    return apart


def unmatched(found: list[Any], wanted: list[Any], tolerance: float) -> int:
    """Events of either side without a twin on the other: same label, start, end and score within the tolerance."""
    left, alone = list(wanted), 0
    for event in found:
        twin = next(
            (
                k
                for k, other in enumerate(left)
                if other.label == event.label
                and abs(other.start - event.start) <= tolerance
                and abs(other.end - event.end) <= tolerance
                and abs(other.score - event.score) <= tolerance
            ),
            None,
        )
        if twin is None:
            alone += 1
        else:
            left.pop(twin)
    return alone + len(left)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--on", action="append", default=[], metavar="DEVICE[/PRECISION]")
    parser.add_argument("--engines", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    add_json(parser)
    options = parser.parse_args()
    bundle, data = Bundle.load(options.bundle), Dataset.open(options.data, split=options.split)
    truth = data.truth()
    videos = [data.features(name) for name in truth.videos]
    media = sum(len(v.data) for v in videos) * bundle.manifest.features.stride_s
    kernels.warm_up()

    engines = EngineOptions(engines=options.engines)
    opened: dict[str, Localizer] = {REFERENCE: Localizer(bundle)}
    rows: dict[str, dict[str, Any]] = {REFERENCE: {}}
    for name in options.on:
        device, _, precision = name.partition("/")
        began = time.perf_counter()
        try:
            opened[name] = Localizer(bundle, device=device, precision=precision or "fp32", options=engines)
        except PunctumError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        rows[name] = {"open_s": time.perf_counter() - began}

    reference = opened[REFERENCE]
    plain, recorder = reference.backend, Recorder(reference.backend)
    recorded = reference.with_backend(recorder)
    wanted = {v: recorded.localize(f, stream=v) for v, f in zip(truth.videos, videos, strict=True)}
    tracks = [plain.locate(video.data) for video in videos]
    for name, localizer in opened.items():
        row = rows[name]
        events = {v: localizer.localize(f, stream=v) for v, f in zip(truth.videos, videos, strict=True)}
        row["runs_on"] = localizer.backend.actual
        row["map"] = float(evaluate(truth, Detections.from_events(events, truth)).average)
        row["events"] = sum(map(len, events.values()))
        row["events_apart"] = sum(unmatched(events[v], wanted[v], options.tolerance) for v in events)
        row["apart"] = tensors(localizer.backend, tracks, videos, recorder.scored)
    times: dict[str, list[float]] = {name: [] for name in opened}
    for turn in range(options.rounds):
        order = list(opened)
        random.Random(turn).shuffle(order)
        for name in order:
            began = time.perf_counter()
            for video in videos:
                opened[name].localize(video)
            times[name].append(time.perf_counter() - began)
    print(f"{bundle.id}: {len(videos)} recordings, {media:.0f} s of media")
    for name, row in rows.items():
        row["ms_a_second_of_media"] = 1e3 * statistics.median(times[name]) / media
        row["times_as_fast"] = statistics.median(
            base / own for base, own in zip(times[REFERENCE], times[name], strict=True)
        )
        print(
            f"{name:18} {row['ms_a_second_of_media']:8.3f} ms/s x{row['times_as_fast']:.2f}  mAP {100 * row['map']:.2f}"
            f"  tracks within {row['apart']['tracks']:.1e}, head {row['apart']['head']:.1e}"
            f"  {row['events_apart']} of {row['events']} events apart"
            + (f"  opened in {row['open_s']:.1f} s" if "open_s" in row else "")
        )
    save(options.json, rows_of(rows), details=rows)


if __name__ == "__main__":
    main()
