"""Features that a locator is tried on: a sample that the user gives, or random ones at many scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from punctum.runtime import Dataset, Features, InputError
from punctum.runtime.bundle.config import QUANTILES, Fingerprint
from punctum.runtime.features.features import check_features, load_features
from punctum.runtime.text.display import shown

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Sample: TypeAlias = "npt.ArrayLike | Features | Dataset | str | Path"
ROWS, LEAST = 1 << 16, 8
"""Largest and smallest number of rows of a sample."""
SCALES = tuple(10.0 ** (k / 2) for k in range(-4, 11))
OFFSETS = (0.0, 1.0, -1.0, 3.0, -3.0, 10.0, -10.0, 20.0, -20.0, 50.0, -50.0)
"""Random features: deviations, and means in these deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Where features to try a locator on are drawn from: rows of a sample, or a normal distribution.

    Attributes:
        mean: Mean of each column [D].
        deviation: Standard deviation of each column [D].
        rows: The sample [n, D]; None for random features.
    """

    mean: F64
    deviation: F64
    rows: F32 | None = None

    def draw(self, count: int, rng: np.random.Generator) -> F32:
        """A window of `count` rows; for a sample, rows that follow each other."""
        if self.rows is None:
            return self._random(count, rng)
        first = int(rng.integers(len(self.rows)))
        return self.rows[(first + np.arange(count)) % len(self.rows)]

    def other(self, count: int, rng: np.random.Generator) -> F32:
        """`count` rows that do not follow each other, and that differ from those of any window."""
        noise = self._random(count, rng)
        if self.rows is None:
            return noise
        picked = self.rows[rng.integers(len(self.rows), size=count)]
        return (picked + 0.5 * (noise - self.mean)).astype(np.float32)

    def _random(self, count: int, rng: np.random.Generator) -> F32:
        return (self.mean + self.deviation * rng.standard_normal((count, len(self.mean)))).astype(np.float32)


def of_sample(rows: F32) -> Probe:
    """The probe of a sample."""
    wide = rows.astype(np.float64)
    return Probe(wide.mean(axis=0), wide.std(axis=0), rows)


def unit(dim: int) -> Probe:
    """Features of mean 0 and deviation 1."""
    return Probe(np.zeros(dim), np.ones(dim))


def scaled(dim: int) -> Iterator[Probe]:
    """Random features of every scale and offset, and such with a scale and an offset for each column."""
    for scale in SCALES:
        for offset in OFFSETS:
            yield Probe(np.full(dim, scale * offset), np.full(dim, scale))
    rng = np.random.default_rng(1)
    for _ in range(8):
        deviation = 10 ** rng.uniform(-2, 4, dim)
        yield Probe(deviation * rng.uniform(-10, 10, dim), deviation)


def read_sample(sample: Sample, dim: int) -> F32:
    """The rows of a sample [n, dim]: an array, features, a file of them, or a data set (its training recordings first).

    Raises:
        InputError: There are no such features, fewer than `LEAST` rows, or rows that do not differ.
    """
    given: npt.ArrayLike
    if isinstance(sample, str | Path):
        path = Path(sample)
        if path.is_dir():
            given = _rows(Dataset.open(path))
        else:
            given = load_features(path, stride_s=1.0).data
    elif isinstance(sample, Dataset):
        given = _rows(sample)
    else:
        given = sample.data if isinstance(sample, Features) else sample
    rows = check_features(given, name="The features of `sample`")
    if rows.shape[1] != dim:
        raise _unusable(f"has {rows.shape[1]} columns", f"{dim} columns, as `dim` states")
    if len(rows) < LEAST or not np.ptp(rows, axis=0).any():
        what = f"has {len(rows)} rows" if len(rows) < LEAST else "has rows that do not differ"
        raise _unusable(what, f"at least {LEAST} rows of real features, better some hundred")
    return rows[:ROWS]


def fingerprint(rows: F32) -> Fingerprint:
    """Statistics of all values of a sample, as training records those of its features."""
    wide = rows.astype(np.float64)
    quantiles = tuple(float(value) for value in np.quantile(wide, QUANTILES))
    return Fingerprint(mean=float(wide.mean()), std=float(wide.std()), quantiles=quantiles)


def _rows(data: Dataset) -> F32:
    if data.only_videos:
        raise _unusable(f"is a data set of videos ({shown(data.folder)})", "features, such as `punctum features` makes")
    parts: list[F32] = []
    for video in (*data.train, *data.test):
        parts.append(data.features(video).data)
        if sum(map(len, parts)) >= ROWS:
            break
    if not parts:
        raise _unusable(f"is a data set without recordings ({shown(data.folder)})", "a train.txt with recordings")
    return np.concatenate(parts)


def _unusable(problem: str, required: str) -> InputError:
    return InputError("sample", f"`sample` {problem}", required=required, next_step="pass other features as `sample`")
