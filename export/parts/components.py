"""Principal components of the features of parts, fitted on footage of the user."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.errors import InputError

from .assemble import assemble
from .canvas import choose_clip
from .part import Components, Part

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
MOST_ROWS = 8_192
"""Rows that are kept; of longer footage every second, fourth, ... run of the network."""


def fit_parts(
    parts: Sequence[Part],
    videos: Sequence[Path],
    *,
    watch: Callable[[Sequence[Path]], Iterable[Path]] | None = None,
    size: tuple[int, int] | None = None,
) -> list[Part]:
    """The parts, with components fitted for those that want them. The videos are read once for all parts.

    Args:
        parts: The parts, at their final rates.
        videos: Footage.
        watch: Wraps the list of videos, for a progress bar.
        size: Of the frames, as for the composed backbone.

    Raises:
        InputError: A video cannot be read, or the footage has too few snippets.
    """
    fitted = [part for part in parts if part.wanted is not None]
    if not fitted:
        return list(parts)
    # Frames as in the composed backbone, so that the components are those of its features.
    spec = choose_clip(parts, size)
    clip = choose_clip(fitted, (spec.height, spec.width)).model_copy(
        update={"resize": spec.resize, "colour": spec.colour, "mean": spec.mean, "std": spec.std}
    )
    rows = sample_rows(assemble(fitted, clip), clip, videos, watch=watch)
    made: dict[str, Part] = {}
    at = 0
    for part in fitted:
        made[part.name] = replace(part, components=fit(rows[:, at : at + part.dim], part.wanted or 1, part.name))
        at += part.dim
    return [made.get(part.name, part) for part in parts]


def fit(rows: F32, count: int, name: str) -> Components:
    """Principal components of rows [N, D], the largest first; their largest weight is positive.

    Raises:
        InputError: There are fewer rows or columns than components.
    """
    if count > min(len(rows) - 1, rows.shape[1]):
        raise InputError(
            "part-components",
            f"Part {name} has {rows.shape[1]} columns, the footage {len(rows)} snippets, and {count} components are "
            "wanted",
            "fewer components than columns and snippets",
            "lower components, or add footage",
        )
    values = rows.astype(np.float64)
    mean = values.mean(axis=0)
    values -= mean
    variance, vectors = np.linalg.eigh(values.T @ values / len(values))
    matrix = vectors[:, ::-1][:, :count]
    strongest = np.abs(matrix).argmax(axis=0)
    matrix = matrix * np.where(matrix[strongest, np.arange(count)] < 0, -1.0, 1.0)
    total = float(variance.clip(min=0).sum())
    kept = float(variance[::-1][:count].clip(min=0).sum()) / total if total > 0 else 1.0
    return Components(mean.astype(np.float32), matrix.astype(np.float32), kept)


def sample_rows(
    graph: bytes,
    clip: BackboneSpec,
    videos: Sequence[Path],
    *,
    watch: Callable[[Sequence[Path]], Iterable[Path]] | None = None,
    most: int = MOST_ROWS,
) -> F32:
    """At most `most` rows of features of the videos, evenly spread over them.

    Raises:
        InputError: A video cannot be read, or none is long enough.
    """
    from punctum.runtime.sources.video import open_video

    network = _Sampling.from_graph(graph, clip, name="the parts")
    network.most = most
    for video in videos if watch is None else watch(videos):
        with contextlib.closing(open_video(str(video), network, overflow="wait")) as source:
            for _ in source.items():
                pass
    if not network.kept:
        raise InputError(
            "part-components",
            "The footage has no whole snippet",
            required=f"videos of at least {network.spec.stride_s:g} s",
            next_step="add footage",
        )
    return np.concatenate(network.kept)


class _Sampling(VideoBackbone):
    """Runs the network for every k-th call only, and keeps what it gives; k doubles when there are too many rows."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kept: list[F32] = []
        self.most = MOST_ROWS
        self._every, self._calls = 1, 0

    def embed(self, clips: F32) -> F32:
        call, self._calls = self._calls, self._calls + 1
        if call % self._every:
            return np.zeros((len(clips), self.dim), np.float32)
        rows = super().embed(clips)
        self.kept.append(rows)
        if sum(map(len, self.kept)) > self.most and len(self.kept) > 1:
            self.kept, self._every = self.kept[::2], 2 * self._every
        return rows
