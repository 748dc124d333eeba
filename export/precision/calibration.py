"""Calibration data: inputs of the fp32 graphs, recorded while the bundle runs on training videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.runtime import Bundle, Dataset, Localizer
from punctum.runtime.backends.open import open_backend
from punctum.runtime.bundle.precision import Part
from punctum.runtime.errors import InputError
from punctum.runtime.session.engine import Backend
from punctum.training.arrays import F32, I64

from .recordings import Reader, open_reader

Feed = dict[str, npt.NDArray[Any]]
WINDOWS, RUNS, CLIPS, VIDEOS = 64, 256, 32, 100
"""Largest numbers of recorded windows, runs of the center scorer, clips, and of videos to run on."""
TOLERANCE = 0.5
"""Largest deviation of mean and standard deviation from the training features, in their standard deviations."""


@dataclass(frozen=True, slots=True)
class Feeds:
    """Inputs of each graph as the engine receives them.

    Attributes:
        locator: of the locator.
        center: of the center scorer.
        backbone: of the backbone.
        record: where they come from, for the manifest.
    """

    locator: list[Feed]
    center: list[Feed]
    backbone: list[Feed]
    record: dict[str, Any]

    def of(self, part: Part) -> list[Feed]:
        """Inputs of one part of the bundle."""
        feeds: list[Feed] = getattr(self, part)
        return feeds


class _Sample:
    """A uniform sample of a stream of unknown length (reservoir sampling)."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.items: list[Feed] = []
        self._size, self._seen, self._rng = size, 0, rng

    def offer(self, **arrays: npt.NDArray[Any]) -> None:
        """Count one item and keep a copy of it if it is drawn."""
        self._seen += 1
        place = len(self.items) if len(self.items) < self._size else int(self._rng.integers(self._seen))
        if place < self._size:
            self.items[place : place + 1] = [{name: array.copy() for name, array in arrays.items()}]


class _RecordingBackend:
    """A backend that records a sample of its inputs. Batches of windows (`locate_many`) are not recorded."""

    def __init__(self, inner: Backend, locator: _Sample, center: _Sample) -> None:
        self._inner, self._locator, self._center = inner, locator, center

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def locate(self, features: F32) -> tuple[F32, F32]:
        self._locator.offer(features=features[None])
        return self._inner.locate(features)

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        if len(labels):
            self._center.offer(features=features, tracks=tracks, segments=segments, labels=labels)
        return self._inner.score(features, tracks, segments, labels)


def collect(bundle: Bundle, data: Dataset, *, split: str | None = None, seed: int = 0) -> Feeds:
    """Run the fp32 bundle on at most `VIDEOS` training videos, evenly spread, and record a sample of its inputs.

    Args:
        bundle: the bundle.
        data: a data set that fits it.
        split: split folder of the data set, for the record.
        seed: of the sample.

    Raises:
        InputError: the data set lists no training videos, or its features are not those of the bundle.
    """
    videos = _spread(data.train, VIDEOS)
    if not videos:
        raise InputError(
            "calibration-empty",
            f"{data.folder} lists no training videos",
            required="a train.txt: int8 ranges are measured on training videos, never on the test videos",
            next_step="check `split`",
        )
    rng = np.random.default_rng(seed)
    locator, center, clips = _Sample(WINDOWS, rng), _Sample(RUNS, rng), _Sample(CLIPS, rng)
    spec = bundle.manifest.backbone
    observe = None if spec is None else lambda batch: _offer_clips(clips, spec.input, batch)
    reader = open_reader(bundle, data, observe=observe)
    localizer = Localizer.around(_RecordingBackend(open_backend(bundle), locator, center), bundle)
    mean, std = _run(localizer, reader, videos)
    _check_features(bundle, data, mean, std)
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


def _offer_clips(sample: _Sample, name: str, clips: F32) -> None:
    for clip in clips:
        sample.offer(**{name: clip[None]})


def _spread(videos: tuple[str, ...], most: int) -> tuple[str, ...]:
    """At most `most` of the videos, evenly spread."""
    if len(videos) <= most:
        return videos
    return tuple(videos[int(k)] for k in np.linspace(0, len(videos) - 1, most))


def _run(localizer: Localizer, reader: Reader, videos: tuple[str, ...]) -> tuple[float, float]:
    """Localize every video. Returns mean and standard deviation of all features."""
    count, total, squares = 0, 0.0, 0.0
    for video in videos:
        features = reader(video)
        localizer.localize(features, stream=video)
        values = features.data.astype(np.float64)
        count, total, squares = count + values.size, total + values.sum(), squares + (values**2).sum()
    mean = total / max(count, 1)
    return mean, float(np.sqrt(max(squares / max(count, 1) - mean**2, 0.0)))


def _check_features(bundle: Bundle, data: Dataset, mean: float, std: float) -> None:
    """Raise InputError if mean and standard deviation are not those that the bundle was trained on."""
    known = bundle.manifest.features.fingerprint
    if known is None:
        return
    if abs(mean - known.mean) > TOLERANCE * known.std or abs(std - known.std) > TOLERANCE * known.std:
        raise InputError(
            "calibration-features",
            f"Training features of {data.name} have mean {mean:.3g} and standard deviation {std:.3g}",
            required=f"about {known.mean:.3g} and {known.std:.3g}, as in the training of the bundle",
            next_step="use the data set that the run was trained on",
        )
