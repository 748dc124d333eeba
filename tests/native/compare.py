"""A bundle's streams over a data set's test videos, in Python and in libpunctum: the same events, or where they differ.

    python -m tests.native.compare BUNDLE DATASET [--split NAME] [--library FILE]

The engine is the bundle's own; each call pushes a random number of snippets, with final events only and with early
reports, in both modes of libpunctum.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime import Bundle, Dataset, Localizer
from punctum.runtime.live import LiveOptions
from punctum.runtime.session.plan import Plan
from punctum.runtime.session.session import Session

from tests.native import binding


class Located:
    """An engine whose features are followed by their tracks; it scores with the real one."""

    requested = actual = "located"

    def __init__(self, backend: Any, classes: int) -> None:
        self.backend, self.classes = backend, classes

    def locate(self, rows):
        return rows[:, -self.classes - 1 : -1], rows[:, -1]

    def score(self, rows, tracks, segments, labels):
        return self.backend.score(np.ascontiguousarray(rows[:, : -self.classes - 1]), tracks, segments, labels)


def chunks(length: int, seed: int) -> list[slice]:
    rng, at, made = np.random.default_rng(seed), 0, []
    while at < length:
        made.append(slice(at, at + int(rng.integers(1, 60))))
        at = made[-1].stop
    return made


def compare(library: Any, plan: Plan, backend: Any, video: str, features: np.ndarray, live: Any, mode: int) -> Counter:
    """Events by phase; raises AssertionError where the two differ."""
    native_plan = library.plan(binding.manifest_of(plan))
    features = np.ascontiguousarray(features, np.float32)
    if mode == binding.TRACKS:
        # The locator over the whole recording, as a pipeline does that runs it itself; its rows ride on the features.
        class_track, actionness = backend.locate(features)
        tracks = np.concatenate([class_track, np.reshape(actionness, (-1, 1))], axis=1, dtype=np.float32)
        rows, classes = np.concatenate([features, tracks], axis=1), len(plan.labels)
        backend = Located(backend, classes)
        overhang = plan.overhang_s + plan.right * plan.stride_s
        python_plan = replace(plan, dim=rows.shape[1], left=0, right=0, overhang_s=overhang)
    else:
        rows, tracks, python_plan = features, None, plan
    python = Session(python_plan, backend, stream=video, live=live)
    native = binding.NativeSession(
        native_plan, python_plan, backend, mode=mode, stream=video, live=live, keep_features=mode == binding.WINDOWS
    )
    said: Counter = Counter()
    for part in [*chunks(len(rows), len(rows)), None]:
        if part is None:
            a, b = python.flush(), native.flush()
        else:
            a = python.push(rows[part])
            b = native.push(rows[part], tracks=None if tracks is None else tracks[part])
        if wrong := binding.difference(a, b):
            raise AssertionError(f"{video}: {wrong}")
        said.update(event.phase for event in a)
    return said


def compare_all(
    library: Any, plan: Plan, backend: Any, data: Dataset, videos: list[str], delays: tuple[float | None, ...]
) -> Counter:
    said: Counter = Counter()
    for video in videos:
        for delay in delays:
            live = None if delay is None else LiveOptions(max_delay_s=delay)
            for mode in (binding.WINDOWS, binding.TRACKS):
                said += compare(library, plan, backend, video, data.features(video).data, live, mode)
                said["sessions"] += 1
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--library", type=Path, default=Path("build/ci/kernels/native/libpunctum.so"))
    options = parser.parse_args()
    data = Dataset.open(options.dataset, split=options.split)
    localizer = Localizer(Bundle.load(options.bundle))
    library = binding.Library(options.library)
    said = compare_all(library, localizer.plan, localizer.backend, data, list(data.test), (None, 1.0))
    sessions = said.pop("sessions")
    print(f"{localizer.plan.bundle_id}: {len(data.test)} videos, {sessions} sessions, equal events: {dict(said)}")


if __name__ == "__main__":
    main()
