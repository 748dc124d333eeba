"""What the graphs see on training videos: inputs of the fp32 graphs, recorded while the bundle runs over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.runtime import Bundle, Dataset, Localizer
from punctum.runtime.bundle.precision import Part
from punctum.runtime.errors import InputError
from punctum.runtime.session.engine import Backend

from .recordings import Reader, open_reader

F32 = npt.NDArray[np.float32]
Feed = dict[str, npt.NDArray[Any]]
WINDOWS, RUNS, CLIPS, VIDEOS = 64, 256, 32, 100
FAR = 0.5  # of the training features' deviation


@dataclass(frozen=True, slots=True)
class Feeds:
    """Inputs of each graph, as the engine gets them; record: where they come from."""

    locator: list[Feed]
    center: list[Feed]
    backbone: list[Feed]
    record: dict[str, Any]

    def of(self, part: Part) -> list[Feed]:
        found: list[Feed] = getattr(self, part)
        return found


class _Sample:
    """An even sample of a stream that keeps at most `size` items (reservoir)."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.items: list[Feed] = []
        self._size, self._seen, self._rng = size, 0, rng

    def offer(self, **arrays: npt.NDArray[Any]) -> None:
        self._seen += 1
        place = len(self.items) if len(self.items) < self._size else int(self._rng.integers(self._seen))
        if place < self._size:
            kept = {name: array.copy() for name, array in arrays.items()}
            self.items[place : place + 1] = [kept]


class _Watched:
    """A backend that keeps a sample of what it is given."""

    def __init__(self, inner: Backend, locator: _Sample, center: _Sample) -> None:
        self._inner, self._locator, self._center = inner, locator, center

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def locate(self, features: F32) -> tuple[F32, F32]:
        self._locator.offer(features=features[None])
        return self._inner.locate(features)

    def score(self, features: F32, tracks: F32, segments: F32, labels: Any) -> tuple[F32, F32, F32]:
        if len(labels):
            self._center.offer(features=features, tracks=tracks, segments=segments, labels=labels)
        return self._inner.score(features, tracks, segments, labels)


def collect(bundle: Bundle, data: Dataset, *, split: str | None = None, seed: int = 0) -> Feeds:
    """Run the fp32 bundle over training videos (at most VIDEOS of them, evenly spread) and keep a sample of its inputs.

    Raises InputError where the data set lists no training videos, and where its features are not the bundle's.
    """
    videos = _spread(data.train, VIDEOS)
    if not videos:
        raise InputError(
            "calibration-empty",
            f"{data.folder} lists no training videos",
            "a train.txt: int8 ranges are measured on training videos, never on those that judge",
            "check --split",
        )
    rng = np.random.default_rng(seed)
    locator, center, clips = _Sample(WINDOWS, rng), _Sample(RUNS, rng), _Sample(CLIPS, rng)
    spec = bundle.manifest.backbone
    reader = open_reader(bundle, data, watch=None if spec is None else lambda x: _offer(clips, spec.input, x))
    plain = Localizer(bundle)
    localizer = plain.with_backend(_Watched(plain.backend, locator, center))
    rows = _run(localizer, reader, videos)
    _check_features(bundle, data, rows)
    record = {
        "dataset": data.name,
        "split": split,
        "subset": "train",
        "videos": len(videos),
        "windows": len(locator.items),
        "proposal_runs": len(center.items),
        "clips": len(clips.items),
    }
    return Feeds(locator.items, center.items, clips.items, record)


def _offer(sample: _Sample, name: str, clips: F32) -> None:
    for clip in clips:
        sample.offer(**{name: clip[None]})


def _spread(videos: tuple[str, ...], most: int) -> tuple[str, ...]:
    if len(videos) <= most:
        return videos
    return tuple(videos[int(k)] for k in np.linspace(0, len(videos) - 1, most))


def _run(localizer: Localizer, reader: Reader, videos: tuple[str, ...]) -> tuple[float, float]:
    """Localize every video; mean and deviation of all features."""
    count, total, squares = 0, 0.0, 0.0
    for video in videos:
        features = reader(video)
        localizer.localize(features, stream=video)
        values = features.data.astype(np.float64)
        count, total, squares = count + values.size, total + values.sum(), squares + (values**2).sum()
    mean = total / max(count, 1)
    return mean, float(np.sqrt(max(squares / max(count, 1) - mean**2, 0.0)))


def _check_features(bundle: Bundle, data: Dataset, rows: tuple[float, float]) -> None:
    known = bundle.manifest.features.fingerprint
    if known is None:
        return
    mean, std = rows
    if abs(mean - known.mean) > FAR * known.std or abs(std - known.std) > FAR * known.std:
        raise InputError(
            "calibration-features",
            f"training features of {data.name} have mean {mean:.3g} and deviation {std:.3g}",
            f"about {known.mean:.3g} and {known.std:.3g}, as those that the bundle was trained on",
            "give the data set that the run was trained on",
        )
