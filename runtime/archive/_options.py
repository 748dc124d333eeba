"""What a run may be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from ..backends.options import EngineOptions, EngineSpec
from ..errors import InputError
from ..video import MAX_RATE

FORMATS = ("parquet", "jsonl", "activitynet")
KINDS = ("auto", "features", "video", "all")


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """How an archive is scored. Raises InputError for values that make no sense.

    The first four, and fps, are part of what a result is: a folder holds results of one choice of them.
    workers: processes, or actors on Ray; 0: as many as affinity and control groups leave cores for. kind: what a folder
    stands for; "auto": its features where it has any, else its videos. group_items: most items that share runs of the
    engine and a commit; 0: by the size of the archive. fps: of videos that carry no time stamps. split: of a data set.
    root: names of items are paths below it. gpus: of a Ray actor, may be a part.
    """

    device: str = "cpu"
    precision: str = "fp32"
    min_score: float = 0.0
    labels: tuple[str, ...] = ()
    threads: int = 1
    engine_options: EngineOptions | None = None
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    workers: int = 0
    gpus: float = 0.0
    formats: tuple[str, ...] = ("parquet",)
    kind: str = "auto"
    split: str | None = None
    root: str | None = None
    group_items: int = 0
    retry_failed: bool = False
    replace: bool = False
    rehash: bool = False
    fps: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min_score) and 0 <= self.min_score <= 1):
            raise InputError("min-score", f"min_score={self.min_score}", "0 to 1", "set --min-score")
        for name, most in (("workers", 4096), ("group_items", 4096)):
            if not 0 <= getattr(self, name) <= most:
                raise InputError(name.replace("_", "-"), f"{name}={getattr(self, name)}", f"0 to {most}", "correct it")
        if self.fps is not None and not 0.01 <= self.fps <= MAX_RATE:
            raise InputError("video-option", f"fps={self.fps}", f"0.01 to {MAX_RATE:g} frames a second", "set --fps")
        if self.threads < 1:
            raise InputError("threads", f"threads={self.threads}", "1 or more", "set --threads")
        if not (math.isfinite(self.gpus) and self.gpus >= 0):
            raise InputError("gpus", f"gpus={self.gpus}", "0 or more", "set --gpus-per-worker")
        for given, allowed, option in (
            (self.formats, FORMATS, "format"),
            ((self.kind,), KINDS, "kind"),
            ((self.engine,), ("local", "ray"), "engine"),
        ):
            for value in given:
                if value not in allowed:
                    raise InputError(option, f"{option} {value!r}", ", ".join(allowed), f"set --{option}")

    @property
    def spec(self) -> EngineSpec:
        """What the engines are opened with."""
        return EngineSpec(self.device, self.precision, self.threads, self.engine_options or EngineOptions())

    def settings(self) -> dict[str, Any]:
        """The part that results depend on, for JSON."""
        settings = {
            "device": self.device,
            "precision": self.precision,
            "min_score": self.min_score,
            "labels": sorted(self.labels),
        }
        return settings if self.fps is None else {**settings, "fps": self.fps}
