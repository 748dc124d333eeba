"""What each stage of a live video costs, and what decoding in a thread of its own gains.

    python benchmarks/video_stages.py [BUNDLE] [--video CLIP] [--seconds 40] [--rounds 3] [--max-delay 1] [--json FILE]

BUNDLE: with a backbone; "default" if left out. Without a clip one is made: a procedural scene as 1280x720 at 25 frames
a second, H.264. The clip is run as a live stream in two ways that take turns: "overlapped", as `punctum run --stream`
does (one thread decodes and prepares, one runs the engine), and "in turn", the same calls in one thread. Stages are
timed in the second way, where nothing else runs beside them: decode and preprocess a frame, backbone, locator and
scorer a run of the graph, post (proposals, islands, fusion, suppression, reports) a look at the stream.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from punctum import kernels
from punctum.runtime import Bundle, Localizer
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.extractor import Extractor
from punctum.runtime.live import LiveOptions
from punctum.runtime.sources.open import video_source
from punctum.runtime.video import VideoOptions, open_frames
from result_file import add_json, rows_of, save

STAGES = ("decode", "preprocess", "backbone", "locator", "scorer", "post")
SEED = 77


def make_clip(path: Path, seconds: float) -> None:
    """A procedural scene drawn at 720p, with its noise: compressing and decoding it is real work."""
    from punctum.runtime.synthetic.video.dataset import encode
    from punctum.runtime.synthetic.video.scene import render

    encode(render(SEED, seconds=seconds, size=(720, 1280), fps=25.0), path)


class Timed:
    """An engine that notes how long each of its runs took."""

    def __init__(self, backend: Any, spent: dict[str, list[float]]) -> None:
        self._backend, self._spent = backend, spent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def locate(self, features: Any) -> Any:
        with note(self._spent["locator"]):
            return self._backend.locate(features)

    def score(self, *given: Any) -> Any:
        with note(self._spent["scorer"]):
            return self._backend.score(*given)


@contextmanager
def note(into: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    into.append(time.perf_counter() - began)


def overlapped(bundle: Bundle, localizer: Localizer, clip: Path, live: LiveOptions) -> tuple[float, int]:
    """Seconds and final events of the clip as `punctum run --stream` runs it."""
    began = time.perf_counter()
    source = video_source(str(clip), bundle)
    finals = sum(event.phase == "final" for event in localizer.stream(source, live=live))
    source.close()
    return time.perf_counter() - began, finals


def in_turn(
    bundle: Bundle, localizer: Localizer, clip: Path, live: LiveOptions, spent: dict[str, list[float]]
) -> tuple[float, int]:
    """The same in one thread, each call timed."""
    backbone = VideoBackbone.open(bundle)
    localizer = localizer.with_backend(Timed(localizer.backend, spent))  # type: ignore[arg-type]
    began = time.perf_counter()
    prepare, extractor, session = (
        backbone.preprocessor(),
        Extractor(backbone, batch=8),
        localizer.session(live=live),
    )
    frames = open_frames(str(clip), fps=backbone.spec.fps, options=VideoOptions())
    events, images = [], frames.frames()
    while True:
        with note(spent["decode"]):
            frame: Any = next(images, None)
        if frame is None:
            break
        with note(spent["preprocess"]):
            plane = prepare(frame.image)
        before = extractor.backbone_s
        rows = extractor.push_prepared(plane)
        if extractor.backbone_s > before:
            spent["backbone"].append(extractor.backbone_s - before)
        if len(rows):
            events += _look(session.push, spent, rows)
    tail = extractor.flush()
    frames.close()
    events += session.push(tail) if len(tail) else []
    events += _look(session.flush, spent)
    return time.perf_counter() - began, sum(event.phase == "final" for event in events)


def _look(step: Any, spent: dict[str, list[float]], *given: Any) -> list[Any]:
    """A push or flush; what it takes besides the engine is "post"."""
    engine = sum(spent["locator"]) + sum(spent["scorer"])
    began = time.perf_counter()
    events: list[Any] = step(*given)
    took = time.perf_counter() - began
    spent["post"].append(took - (sum(spent["locator"]) + sum(spent["scorer"]) - engine))
    return events


def measure(bundle: Bundle, clip: Path, *, seconds: float, rounds: int, live: LiveOptions) -> dict[str, Any]:
    """Figures of all rounds; the first one, which nobody counts, warms both ways up."""
    localizer = Localizer(bundle)
    spent: dict[str, list[float]] = defaultdict(list)
    walls: dict[str, list[float]] = {"overlapped": [], "in turn": []}
    finals = set()
    for turn in range(rounds + 1):
        if turn == 1:
            spent.clear()
        took, found = overlapped(bundle, localizer, clip, live)
        walls["overlapped"].append(took)
        finals.add(found)
        took, found = in_turn(bundle, localizer, clip, live, spent)
        walls["in turn"].append(took)
        finals.add(found)
    media = seconds * rounds
    wall = {way: float(np.median(times[1:])) for way, times in walls.items()}
    rows = {}
    for stage in STAGES:
        times = np.asarray(spent[stage] or [0.0])
        p50, p99 = np.percentile(times, (50, 99))
        rows[stage] = {"ms_a_second": 1e3 * times.sum() / media, "p50_ms": 1e3 * p50, "p99_ms": 1e3 * p99}
    total = sum(row["ms_a_second"] for row in rows.values())
    for row in rows.values():
        row["share"] = row["ms_a_second"] / total
    return {
        "bundle": bundle.id,
        "cores": len(os.sched_getaffinity(0)),
        "media_s": seconds,
        "rounds": rounds,
        "stages": rows,
        "real_time_factor": {way: took / seconds for way, took in wall.items()},
        "overlap_gain": wall["in turn"] / wall["overlapped"],
        "equal_finals": len(finals) == 1,
    }


def table(found: dict[str, Any]) -> str:
    lines = [f"| stage ({found['bundle']}) | ms a second of media | share | p50 ms | p99 ms |", "|---|---|---|---|---|"]
    for stage, row in found["stages"].items():
        lines.append(
            f"| {stage} | {row['ms_a_second']:.2f} | {row['share']:.0%} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} |"
        )
    factor = found["real_time_factor"]
    return "\n".join(
        [
            *lines,
            "",
            f"real-time factor {factor['overlapped']:.4f} overlapped, {factor['in turn']:.4f} in turn: "
            f"{found['overlap_gain']:.2f} times as fast; {found['cores']} cores; "
            f"final events equal: {found['equal_finals']}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="default")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-delay", type=float, default=1.0)
    add_json(parser)
    given = parser.parse_args()
    kernels.warm_up()
    bundle, live = Bundle.load(given.bundle), LiveOptions(max_delay_s=given.max_delay)
    with tempfile.TemporaryDirectory() as folder:
        clip, seconds = given.video, given.seconds
        if clip is None:
            clip = Path(folder) / "scene-720p25.mp4"
            make_clip(clip, seconds)
        else:
            seconds = _length(clip)
        found = measure(bundle, clip, seconds=seconds, rounds=given.rounds, live=live)
    print(table(found))
    save(given.json, rows_of(found), details=found)


def _length(clip: Path) -> float:
    frames = open_frames(str(clip), fps=1.0)
    try:
        return max(sum(1 for frame in frames.frames() if frame is not None), 1)
    finally:
        frames.close()


if __name__ == "__main__":
    main()
