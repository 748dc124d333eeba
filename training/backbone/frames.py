"""Frames for training: every video once through the sampling and preprocessing of the runtime, kept as files.

A stretch is what lies between two gaps of a video: frames on the grid without a hole. Values are 16-bit, so that a
dark scene keeps its shades; the files are memory-mapped, so hours of video need no memory. Training reads maps of
motion (motion.py), which are computed from the frames once and kept beside them: 17 kB a frame of 48 x 64.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from punctum.runtime.backbone.preprocess import Preprocessor
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.datasets.extraction import TIME_RULE
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write

from .motion import CHANNELS, MAPS_VERSION, log_light, motion_maps

U16 = npt.NDArray[np.uint16]
F16 = npt.NDArray[np.float16]
_BLOCK = 256  # frames that are collected before they go to disk


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames uint16 [T, H, W] (65535 is white) of one video from `start_s` on, at the spec's rate."""

    video: str
    start_s: float
    frames: U16
    file: Path | None = None


class FrameStore:
    """Prepared frames of videos in one folder; what is there already is not decoded again."""

    def __init__(self, folder: Path, spec: BackboneSpec) -> None:
        self.folder, self.spec = folder, spec

    def add(self, video: str, path: Path, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Decode `path` unless this was done. False after a stop request. Raises InputError for a broken file."""
        record, expected = self.folder / f"{video}.json", self._source(path)
        if _kept(record).get("source") == expected:
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        prepare = Preprocessor(self.spec)
        starts: list[float] = []
        files: list[str] = []
        writer: _Writer | None = None
        try:
            for at, item in _stretches(path, self.spec):
                if stop():
                    return False
                if at is not None:
                    if writer is not None:
                        writer.close()
                    files.append(f"{video}.{len(files)}.u16")
                    starts.append(at)
                    writer = _Writer(self.folder / files[-1])
                elif writer is not None:
                    writer.add(prepare(item.image, item.aspect)[0])
        finally:
            if writer is not None:
                writer.close()
        if not starts:
            raise InputError("video-empty", f"{path} holds no frame", "a video with pictures", "take it off the lists")
        fact = {"source": expected, "starts": starts, "files": files}
        atomic_write(record, json.dumps(fact) + "\n")
        return True

    def stretches(self, video: str) -> list[Stretch]:
        """What `add` kept of a video; stretches shorter than a snippet are left out."""
        record = _kept(self.folder / f"{video}.json")
        shape = (-1, self.spec.height, self.spec.width)
        found = []
        for start_s, name in zip(record["starts"], record["files"], strict=True):
            if (self.folder / name).stat().st_size == 0:
                continue
            frames = np.memmap(self.folder / name, np.uint16, "r").reshape(shape)
            if len(frames) >= self.spec.snippet_frames:
                found.append(Stretch(video, float(start_s), frames, self.folder / name))
        return found

    def _source(self, path: Path) -> dict[str, Any]:
        """What makes kept frames stale: another file, or another way to prepare it."""
        facts = path.stat()
        fields = {"fps", "height", "width", "resize", "colour", "mean", "std"}
        return {
            "size": facts.st_size,
            "modified_ns": facts.st_mtime_ns,
            "time": TIME_RULE,
            "spec": self.spec.model_dump(mode="json", include=fields),
        }


def _kept(path: Path) -> dict[str, Any]:
    """The record of prepared frames; {} where there is none that is whole, so that they are prepared again."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        lists = record["starts"], record["files"]
        whole = all(isinstance(x, list) for x in lists) and len(lists[0]) == len(lists[1])
        whole = whole and all(isinstance(at, int | float) for at in lists[0])
        names = all(isinstance(x, str) and Path(x).name == x and (path.parent / x).is_file() for x in lists[1])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return record if whole and names else {}


def stretch_maps(stretch: Stretch, floor: float) -> F16:
    """Maps of motion [T + 1, CHANNELS, h, w] of a stretch: [j] is the change from frame j - 1 to frame j.

    The first and the last are of frames that stand still: what a clip sees that reaches beyond the stretch. Kept
    beside the frames where those are in a file.
    """
    if stretch.file is None:
        return np.concatenate(list(_compute(stretch.frames, floor)))
    height, width = stretch.frames.shape[1:]
    shape = (len(stretch.frames) + 1, CHANNELS, height // 2, width // 2)
    facts = f"{stretch.file.stat().st_mtime_ns} {floor!r} {MAPS_VERSION}"
    kept = stretch.file.with_suffix(f".{hashlib.sha256(facts.encode()).hexdigest()[:12]}.f16")
    if not kept.is_file():
        for stale in kept.parent.glob(f"{stretch.file.stem}.*.f16"):
            stale.unlink()
        draft = kept.with_suffix(".part")
        with draft.open("wb") as stream:
            for part in _compute(stretch.frames, floor):
                stream.write(part.tobytes())
        draft.replace(kept)
    return np.memmap(kept, np.float16, "r").reshape(shape)


def _compute(frames: U16, floor: float) -> Iterator[F16]:
    count = len(frames)
    for begin in range(0, count + 1, _BLOCK):
        index = np.clip(np.arange(begin - 1, min(begin + _BLOCK, count + 1)), 0, count - 1)
        shown = torch.from_numpy(np.asarray(frames[index], np.float32) / 65535.0)
        with torch.no_grad():
            yield motion_maps(log_light(shown[None], floor))[0].numpy().astype(np.float16)


class _Writer:
    """Appends frames to a file, block by block."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._block: list[U16] = []

    def add(self, plane: npt.NDArray[np.float32]) -> None:
        self._block.append(np.rint(np.clip(plane, 0.0, 1.0) * 65535.0).astype(np.uint16))
        if len(self._block) == _BLOCK:
            self._write()

    def close(self) -> None:
        self._write()
        self._stream.close()

    def _write(self) -> None:
        if self._block:
            self._stream.write(np.stack(self._block).tobytes())
            self._block.clear()


def _stretches(path: Path, spec: BackboneSpec) -> Iterator[tuple[float | None, Any]]:
    """(start, None) where a stretch begins, then (None, `Sampled`) for its frames."""
    from punctum.runtime.video import Gap, open_frames

    source = open_frames(str(path), fps=spec.fps)
    try:
        begun = False
        for item in source.frames():
            if item is None:
                continue
            if isinstance(item, Gap):
                yield item.at, None
                begun = True
                continue
            if not begun:
                yield item.at, None
                begun = True
            yield None, item
    finally:
        source.close()
