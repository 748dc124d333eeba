"""Footage in files: motion maps and labels of many clips, as training reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from punctum.training.backbone.augment import augment
from punctum.training.backbone.config import BackboneConfig
from punctum.training.backbone.motion import CHANNELS, log_light, motion_maps

from .clip import Clip, make_clip
from .labels import LABEL
from .picture import develop
from .raster import F32

RECORDINGS = 2
"""Recordings of every clip, with other exposure, noise and compression."""
_CUT_EVERY = 5  # one clip in five is made of two halves with a cut between them
_SECONDS = 20.0
_MAPS, _LABELS = "maps.f16", "labels.npz"


class Footage:
    """What `write_people` or `write_recordings` wrote: maps and labels [T, L], and measures [T, M] if there are any."""

    def __init__(self, folder: Path, config: BackboneConfig) -> None:
        self.config = config
        with np.load(folder / _LABELS) as table:
            self.lengths, self.labels, measures = table["lengths"], table["labels"], table["measures"]
        self.measures = measures if measures.size else None
        shape = (-1, CHANNELS, config.height // 2, config.width // 2)
        self._maps = np.memmap(folder / _MAPS, np.float16, "r").reshape(shape)
        self._first = np.concatenate([[0], np.cumsum(self.lengths)])

    def window(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """A random window: augmented maps [F, CHANNELS, h, w], labels [S, L] and measures [S, M] of its snippets."""
        config, i = self.config, int(rng.integers(len(self.lengths)))
        size, span, length = config.snippet_frames, config.window, int(self.lengths[i])
        first = int(rng.integers(0, max(1, length // size - span + 1)))
        begin, end = int(self._first[i]) + i, int(self._first[i + 1]) + i + 1  # one map more than frames
        index = np.clip(np.arange((first + 1) * size - config.reach, (first + span) * size), 0, end - begin - 1)
        maps = torch.from_numpy(np.asarray(self._maps[begin + index[0] : begin + index[-1] + 1], np.float32))
        shown = augment(maps, config.augmentation, rng)[torch.from_numpy(index - index[0])]
        rows = np.minimum(self._first[i] + np.arange(first * size, (first + span) * size), self._first[i + 1] - 1)
        labels = self.labels[rows].reshape(span, size, -1).max(1).astype(np.float32)
        if self.measures is None:
            return shown, torch.from_numpy(labels), None
        return shown, torch.from_numpy(labels), torch.from_numpy(self.measures[rows].reshape(span, size, -1).mean(1))


def write_people(folder: Path, *, first: int, count: int, floor: float, say: Callable[[str], None] = print) -> None:
    """Render clips `first` to `first + count - 1` into a folder, each in `RECORDINGS` recordings."""

    def recordings() -> Iterable[tuple[F32, F32, F32]]:
        for number in range(first, first + count):
            parts = _parts(number)
            for draw in range(RECORDINGS):
                yield _recorded(parts, number, draw)
            if (number - first) % 20 == 0:
                say(f"clip {number - first} of {count}")

    write_recordings(folder, recordings(), floor)


def write_recordings(folder: Path, recordings: Iterable[tuple[F32, F32, F32]], floor: float) -> None:
    """Write maps and labels of recordings (frames [T, h, w] in 0..1, labels [T, L], measures [T, M], M may be 0)."""
    folder.mkdir(parents=True, exist_ok=True)
    labels, measures, lengths = [], [], []
    with (folder / _MAPS).open("wb") as stream:
        for frames, rows, numbers in recordings:
            stream.write(_maps_of(frames, floor).tobytes())
            labels.append(rows.astype(np.uint8))
            measures.append(numbers.astype(np.float32))
            lengths.append(len(frames))
    table = {"labels": np.concatenate(labels), "measures": np.concatenate(measures), "lengths": np.array(lengths)}
    np.savez_compressed(folder / _LABELS, **table)


def written(folder: Path) -> bool:
    """Whether the footage of a folder is complete."""
    return (folder / _LABELS).is_file()


def _parts(number: int) -> list[Clip]:
    if number % _CUT_EVERY:
        return [make_clip(2 * number, _SECONDS)]
    return [make_clip(2 * number + half, _SECONDS / 2) for half in range(2)]


def _recorded(parts: list[Clip], number: int, draw: int) -> tuple[F32, F32, F32]:
    frames, labels = [], []
    for k, part in enumerate(parts):
        shown, rows = develop(part.frames, part.labels, np.random.default_rng([8, number, draw, k]))
        if k:
            rows[:2, LABEL["cut"]] = 1
        frames.append(shown)
        labels.append(rows)
    return np.concatenate(frames), np.concatenate(labels), np.concatenate([part.measures for part in parts])


def _maps_of(frames: F32, floor: float) -> np.ndarray:
    """Motion maps [T + 1, CHANNELS, h, w], laid out as in `training.backbone.frames.span_maps`."""
    count = len(frames)
    padded = torch.from_numpy(np.ascontiguousarray(frames[np.clip(np.arange(-1, count + 1), 0, count - 1)]))
    with torch.no_grad():
        return motion_maps(log_light(padded[None], floor))[0].numpy().astype(np.float16)
