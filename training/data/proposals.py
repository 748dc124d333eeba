"""Proposals that the center scorer is trained on: of the run's own locator, or from another base locator's results.

Defects: zero-length, swapped and non-finite segments never get in (P4); a video without proposals is left out
(P3); the number of proposals is limited together with their labels, not inside a model (P2).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime.datasets.proposals import entry, read_results, wrong_form
from punctum.runtime.datatypes import by_value
from punctum.runtime.errors import InputError
from punctum.runtime.text.name_index import NameIndex

from ..arrays import F64, I64
from .videos import Sample

MIN_LENGTH = 1e-3  # snippets


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VideoProposals:
    """Proposals of one video.

    Attributes:
        segments: float64 [M, 2] in snippet-center coordinates.
        label: int64 [M], class indices.
        base: float64 [M], scores of the base locator.
    """

    segments: F64
    label: I64
    base: F64

    def __len__(self) -> int:
        return len(self.label)


def clean(segments: F64, label: I64, base: F64, *, snippets: int) -> tuple[VideoProposals, int]:
    """Drop invalid segments and clip the others to the video, [-0.5, T - 0.5].

    Args:
        segments: [M, 2] in snippet-center coordinates.
        label: class indices [M].
        base: scores [M].
        snippets: length T of the video.

    Returns:
        The valid proposals, and the number of those dropped.
    """
    good = np.isfinite(segments).all(1) & np.isfinite(base)
    segments = np.clip(np.where(good[:, None], segments, 0.0), -0.5, snippets - 0.5)
    good &= segments[:, 1] - segments[:, 0] > MIN_LENGTH
    return VideoProposals(segments[good], label[good], base[good]), int((~good).sum())


def read_proposals(
    path: Path, samples: Sequence[Sample], labels: Sequence[str], *, stride_s: float
) -> dict[str, VideoProposals]:
    """Read proposals from a file in ActivityNet form, results.<video>: [{label, segment, score}], segments in seconds.

    Videos without proposals, unknown classes and invalid segments are left out, with one warning each.

    Args:
        path: the file.
        samples: the videos to read proposals of.
        labels: class names of the data set.
        stride_s: seconds per snippet.

    Returns:
        Video id -> proposals.

    Raises:
        InputError: the file cannot be read, has another form, or holds no usable proposal.
    """
    results = read_results(path)
    index, known = {name: i for i, name in enumerate(labels)}, NameIndex(labels)
    names = NameIndex(results, media=True)
    proposals: dict[str, VideoProposals] = {}
    absent, dropped, unknown = [], 0, set()
    for sample in samples:
        rows: list[tuple[float, float, int, float]] = []
        for row, item in enumerate(_rows(results, names, path, sample.video)):
            start, end, label, score = entry(item, path, sample.video, row)
            if (name := known.find(label)) is None:
                unknown.add(label)
                continue
            rows.append((start, end, index[name], 1.0 if score is None else score))
        table = np.array(rows, np.float64).reshape(-1, 4)
        segments = (table[:, :2] - sample.start_s) / stride_s - 0.5
        valid, invalid = clean(segments, table[:, 2].astype(np.int64), table[:, 3], snippets=len(sample.features))
        dropped += invalid
        if len(valid):
            proposals[sample.video] = valid
        else:
            absent.append(sample.video)
    if not proposals:
        raise InputError(
            "proposals-empty",
            f"{path} has no usable proposal for any of the {len(samples)} training videos",
            required="results.<video> with segments in seconds and classes of the data set",
            next_step="check that the video names and classes are those of the data set",
        )
    if absent:
        _warn(f"{path}: {len(absent)} training videos without proposals are left out ({_few(absent)})")
    if dropped:
        _warn(f"{path}: {dropped} segments dropped: not finite, not start < end, or outside the video")
    if unknown:
        _warn(f"{path}: proposals of unknown classes dropped ({_few(sorted(unknown))})")
    return proposals


def _rows(results: Mapping[str, Any], names: NameIndex, path: Path, video: str) -> list[Any]:
    name = names.find(video)
    if name is None and (alike := names.alike(video)):
        raise wrong_form(path, f"it names {' and '.join(map(repr, alike[:2]))}, the data set {video!r}")
    value = [] if name is None else results[name]
    if not isinstance(value, list):
        raise wrong_form(path, f"results.{video} is not a list")
    return value


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)
