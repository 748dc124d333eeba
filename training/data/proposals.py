"""Training proposals of the center-score head: from our locator, or from any base locator's result file.

Pitfalls: zero-length, swapped and non-finite segments never get in (P4); a video without proposals is left out
(P3); the cut to a maximum happens where the labels are made, not inside a model (P2).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime.datasets.dataset import read_json
from punctum.runtime.datatypes import by_value
from punctum.runtime.errors import InputError
from punctum.runtime.text.name_index import NameIndex

from ..arrays import F64, I64
from .videos import Sample

SHORTEST = 1e-3  # snippets


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VideoProposals:
    """segments float64 [M, 2] in snippet-centre coordinates, label int64 [M], base score float64 [M]."""

    segments: F64
    label: I64
    base: F64

    def __len__(self) -> int:
        return len(self.label)


def clean(segments: F64, label: I64, base: F64, *, snippets: int) -> tuple[VideoProposals, int]:
    """Drop what is no segment, cut the rest to the video [-0.5, T - 0.5]. Also returns how many were dropped."""
    good = np.isfinite(segments).all(1) & np.isfinite(base)
    segments = np.clip(np.where(good[:, None], segments, 0.0), -0.5, snippets - 0.5)
    good &= segments[:, 1] - segments[:, 0] > SHORTEST
    return VideoProposals(segments[good], label[good], base[good]), int((~good).sum())


def read_proposals(
    path: Path, samples: Sequence[Sample], labels: Sequence[str], *, stride_s: float
) -> dict[str, VideoProposals]:
    """Proposals of the given videos from an ActivityNet-form file: results.<video>: [{label, segment, score}].

    Seconds become snippet-centre coordinates. Videos without proposals, classes that the data set does not have
    and segments that are none are left out, with one warning each. Raises InputError where the file is unreadable,
    of another form, or has nothing for any of the videos.
    """
    record = read_json(path)
    results = record.get("results") if isinstance(record, Mapping) else None
    if not isinstance(results, Mapping):
        raise _form(path, 'there is no object "results"')
    index, known = {name: i for i, name in enumerate(labels)}, NameIndex(labels)
    names = NameIndex(results, media=True)
    found: dict[str, VideoProposals] = {}
    absent, dropped, unknown = [], 0, set()
    for sample in samples:
        rows: list[tuple[float, float, int, float]] = []
        for row, item in enumerate(_rows(results, names, path, sample.video)):
            start, end, label, score = _entry(item, path, sample.video, row)
            if (name := known.find(label)) is None:
                unknown.add(label)
                continue
            rows.append((start, end, index[name], score))
        table = np.array(rows, np.float64).reshape(-1, 4)
        segments = (table[:, :2] - sample.start_s) / stride_s - 0.5
        kept, bad = clean(segments, table[:, 2].astype(np.int64), table[:, 3], snippets=len(sample.features))
        dropped += bad
        if len(kept):
            found[sample.video] = kept
        else:
            absent.append(sample.video)
    if not found:
        raise InputError(
            "proposals-empty",
            f"{path} has no usable proposal for any of the {len(samples)} training videos",
            "results.<video> with segments in seconds and classes of the data set",
            "check that the video names and classes are those of the data set",
        )
    if absent:
        _warn(f"{path}: {len(absent)} training videos without proposals are left out ({_few(absent)})")
    if dropped:
        _warn(f"{path}: {dropped} segments dropped: not finite, not start < end, or outside the video")
    if unknown:
        _warn(f"{path}: proposals of unknown classes dropped ({_few(sorted(unknown))})")
    return found


def _rows(results: Mapping[str, Any], names: NameIndex, path: Path, video: str) -> list[Any]:
    found = names.find(video)
    if found is None and (alike := names.alike(video)):
        raise _form(path, f"it names {' and '.join(map(repr, alike[:2]))}, and the data set {video!r}")
    value = [] if found is None else results[found]
    if not isinstance(value, list):
        raise _form(path, f"results.{video} is no list")
    return value


def _entry(item: Any, path: Path, video: str, row: int) -> tuple[float, float, str, float]:
    try:
        start, end = (float(x) for x in item["segment"])
        return start, end, str(item["label"]), float(item.get("score", 1.0))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _form(path, f"results.{video}[{row}]: {error!r}") from None


def _form(path: Path, problem: str) -> InputError:
    return InputError(
        "proposals-form",
        f"{path} is not in ActivityNet form: {problem}",
        'results.<video>: [{"label": ..., "segment": [start_s, end_s], "score": ...}]',
        "correct the file",
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)
