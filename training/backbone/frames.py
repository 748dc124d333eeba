"""Frames and motion maps for training, prepared once and kept in files.

Every video is decoded once, with the sampling and preprocessing of the runtime. A span is what lies between two gaps
of a video: frames on the sampling grid without a hole. Frames are stored with 16 bits, which keeps the shades of dark
scenes, and are memory-mapped, so hours of video need no memory. Training reads motion maps (motion.py), which are
computed once and stored beside the frames: 17 kB per frame of 48 x 64.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from punctum.runtime.backbone.preprocess import Preprocessor
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.datasets.extraction import TIME_RULE
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write

from ..arrays import F16, F32, U16
from ..records import Record
from .motion import CHANNELS, MAPS_VERSION, log_light, motion_maps

_BLOCK = 256  # frames written or converted at a time


@dataclass(frozen=True, slots=True)
class FrameSpan:
    """Consecutive frames of one video, at the rate of the spec.

    Attributes:
        video: video id.
        start_s: media time of the first frame.
        frames: uint16 [T, H, W]; 65535 is white.
        file: where the frames are stored, or None.
    """

    video: str
    start_s: float
    frames: U16
    file: Path | None = None


class FrameStore:
    """Prepared frames of videos in one folder. A video that is stored already is not decoded again."""

    def __init__(self, folder: Path, spec: BackboneSpec) -> None:
        self.folder, self.spec = folder, spec

    def add(self, video: str, path: Path, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Decode a video unless it is stored.

        Args:
            video: video id.
            path: the file.
            stop: asked before every frame whether to give up.

        Returns:
            False if `stop` said so.

        Raises:
            InputError: the file is damaged or holds no frame.
        """
        record, source = self.folder / f"{video}.json", self._source(path)
        if _read_record(record).get("source") == source:
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        prepare = Preprocessor(self.spec)
        starts: list[float] = []
        files: list[str] = []
        writer: _Writer | None = None
        try:
            for start_s, sampled in _decode(path, self.spec):
                if stop():
                    return False
                if start_s is not None:
                    if writer is not None:
                        writer.close()
                    files.append(f"{video}.{len(files)}.u16")
                    starts.append(start_s)
                    writer = _Writer(self.folder / files[-1])
                elif writer is not None:
                    writer.add(prepare(sampled.image, sampled.aspect)[0])
        finally:
            if writer is not None:
                writer.close()
        if not starts:
            raise InputError(
                "video-empty",
                f"{path} holds no frame",
                required="a video with pictures",
                next_step="remove it from the lists",
            )
        atomic_write(record, json.dumps({"source": source, "starts": starts, "files": files}) + "\n")
        return True

    def spans(self, video: str) -> list[FrameSpan]:
        """The stored spans of a video, without those shorter than a snippet."""
        record = _read_record(self.folder / f"{video}.json")
        shape = (-1, self.spec.height, self.spec.width)
        spans = []
        for start_s, name in zip(record["starts"], record["files"], strict=True):
            if (self.folder / name).stat().st_size == 0:
                continue
            frames = np.memmap(self.folder / name, np.uint16, "r").reshape(shape)
            if len(frames) >= self.spec.snippet_frames:
                spans.append(FrameSpan(video, float(start_s), frames, self.folder / name))
        return spans

    def _source(self, path: Path) -> Record:
        """What stored frames depend on: the file, and how it is prepared."""
        facts = path.stat()
        fields = {"fps", "height", "width", "resize", "colour", "mean", "std"}
        return {
            "size": facts.st_size,
            "modified_ns": facts.st_mtime_ns,
            "time": TIME_RULE,
            "spec": self.spec.model_dump(mode="json", include=fields),
        }


def span_maps(span: FrameSpan, floor: float) -> F16:
    """Motion maps [T + 1, CHANNELS, h, w] of a span; map j is the change from frame j - 1 to frame j.

    The first and the last map are those of a frame that stands still, which is what a clip contains beyond the ends
    of the span. Maps are stored beside the frames if those are in a file. floor: see `BackboneConfig.floor`.
    """
    if span.file is None:
        return np.concatenate(list(_compute_maps(span.frames, floor)))
    height, width = span.frames.shape[1:]
    shape = (len(span.frames) + 1, CHANNELS, height // 2, width // 2)
    facts = f"{span.file.stat().st_mtime_ns} {floor!r} {MAPS_VERSION}"
    path = span.file.with_suffix(f".{hashlib.sha256(facts.encode()).hexdigest()[:12]}.f16")
    if not path.is_file():
        for stale in path.parent.glob(f"{span.file.stem}.*.f16"):
            stale.unlink()
        draft = path.with_suffix(".part")
        with draft.open("wb") as stream:
            for block in _compute_maps(span.frames, floor):
                stream.write(block.tobytes())
        draft.replace(path)
    return np.memmap(path, np.float16, "r").reshape(shape)


def _compute_maps(frames: U16, floor: float) -> Iterator[F16]:
    count = len(frames)
    for begin in range(0, count + 1, _BLOCK):
        index = np.clip(np.arange(begin - 1, min(begin + _BLOCK, count + 1)), 0, count - 1)
        block = torch.from_numpy(np.asarray(frames[index], np.float32) / 65535.0)
        with torch.no_grad():
            yield motion_maps(log_light(block[None], floor))[0].numpy().astype(np.float16)


def _read_record(path: Path) -> Record:
    """The record of stored frames; {} if it or a file that it lists is missing or damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        lists = record["starts"], record["files"]
        valid = all(isinstance(x, list) for x in lists) and len(lists[0]) == len(lists[1])
        valid = valid and all(isinstance(at, int | float) for at in lists[0])
        present = all(isinstance(x, str) and Path(x).name == x and (path.parent / x).is_file() for x in lists[1])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return record if valid and present else {}


class _Writer:
    """Appends frames to a file, block by block."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._block: list[U16] = []

    def add(self, plane: F32) -> None:
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


def _decode(path: Path, spec: BackboneSpec) -> Iterator[tuple[float | None, Any]]:
    """(start_s, None) where a span begins, and (None, `Sampled`) for each of its frames."""
    from punctum.runtime.video import Gap, open_frames

    source = open_frames(str(path), fps=spec.fps)
    try:
        in_span = False
        for item in source.frames():
            if item is None:
                continue
            if isinstance(item, Gap):
                yield item.at, None
                in_span = True
                continue
            if not in_span:
                yield item.at, None
                in_span = True
            yield None, item
    finally:
        source.close()
