"""Options of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from ..arguments import SIZE_LIMIT, check_flag, check_number, check_size, check_text, check_type
from ..backends.options import EngineOptions, EngineSpec
from ..bundle.operating_point import OperatingPoint
from ..errors import InputError
from ..video import DECODERS, MAX_RATE, SOFTWARE

FORMATS = ("parquet", "jsonl", "activitynet")
KINDS = ("auto", "features", "video", "all")


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """Options of `score_archive`.

    The first seven, `fps` and `decoder` determine the results: all results in a folder have the same values of these.

    Attributes:
        device: Device of the inference engine.
        precision: Precision of the graphs.
        min_score: Minimum score of events to keep; None: the default of the bundle.
        target_precision: Instead of a minimum score: see `OperatingPoint`.
        target_recall: Likewise.
        false_alarms_per_hour: Likewise.
        labels: Classes to keep; empty: all.
        threads: Threads of the inference engine in each worker.
        engine_options: Options of the inference engine.
        engine: "local" for processes on this machine, or "ray".
        address: Address of a Ray cluster; None: RAY_ADDRESS, or a new cluster on this machine.
        workers: Number of processes or Ray actors; 0: as many as usable cores or the cluster allow.
        gpus: GPUs of each Ray actor; may be a fraction.
        formats: "parquet", and additionally "jsonl" or "activitynet".
        kind: What to use in folders: "features", "video", "all", or "auto" for features if there are any.
        split: Split of a data set folder.
        root: Folder to which the names of items are relative.
        group_items: Maximum number of items that share engine runs and a commit; 0: by the size of the archive.
        retry_failed: Score items again that failed before.
        replace: Discard results of another bundle or other options in the folder.
        rehash: Read all files to detect changes, instead of comparing size and time.
        fps: Frame rate of videos without timestamps.
        decoder: Decoder of videos, see `VideoOptions`. None: software.

    Raises:
        InputError: A value is out of range.
    """

    device: str = "cpu"
    precision: str = "fp32"
    min_score: float | None = None
    target_precision: float | None = None
    target_recall: float | None = None
    false_alarms_per_hour: float | None = None
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
    decoder: str | None = None

    def __post_init__(self) -> None:
        check_number("gpus", self.gpus)
        for name in ("min_score", "target_precision", "target_recall", "false_alarms_per_hour", "fps"):
            check_number(name, getattr(self, name), optional=True)
        for name in ("workers", "group_items", "threads"):
            check_size(name, getattr(self, name), least=-SIZE_LIMIT)
        for name in ("device", "precision", "engine", "kind"):
            check_text(name, getattr(self, name))
        for name in ("decoder", "address", "split", "root"):
            check_text(name, getattr(self, name), optional=True)
        for name in ("labels", "formats"):
            check_type(name, getattr(self, name), (tuple, list), "a sequence of texts")
        check_type("engine_options", self.engine_options, EngineOptions, "EngineOptions", optional=True)
        for name in ("retry_failed", "replace", "rehash"):
            check_flag(name, getattr(self, name))
        _ = self.operating_point  # checks the values
        for name, most in (("workers", 4096), ("group_items", 4096)):
            if not 0 <= getattr(self, name) <= most:
                value = getattr(self, name)
                raise InputError(name.replace("_", "-"), f"`{name}` is {value}", f"0 to {most}", f"change `{name}`")
        if self.fps is not None and not 0.01 <= self.fps <= MAX_RATE:
            raise InputError(
                "video-option", f"`fps` is {self.fps}", f"0.01 to {MAX_RATE:g} frames per second", "change `fps`"
            )
        if self.decoder not in (None, *DECODERS):
            raise InputError("decoder", f"`decoder` is {self.decoder!r}", ", ".join(DECODERS), "change `decoder`")
        if self.threads < 1:
            raise InputError("threads", f"`threads` is {self.threads}", "1 or more", "change `threads`")
        if not (math.isfinite(self.gpus) and self.gpus >= 0):
            raise InputError("gpus", f"`gpus` is {self.gpus}", "0 or more", "change `gpus`")
        for values, allowed, option in (
            (self.formats, FORMATS, "format"),
            ((self.kind,), KINDS, "kind"),
            ((self.engine,), ("local", "ray"), "engine"),
        ):
            for value in values:
                if value not in allowed:
                    raise InputError(option, f"`{option}` is {value!r}", ", ".join(allowed), f"change `{option}`")

    @property
    def operating_point(self) -> OperatingPoint:
        """Which events are kept. Raises InputError for values that do not go together or are out of range."""
        return OperatingPoint(self.min_score, self.target_precision, self.target_recall, self.false_alarms_per_hour)

    @property
    def spec(self) -> EngineSpec:
        """Device, precision and threads of the engines."""
        return EngineSpec(self.device, self.precision, self.threads, self.engine_options or EngineOptions())

    def settings(self) -> dict[str, Any]:
        """The options that results depend on, for JSON."""
        settings: dict[str, Any] = {
            "device": self.device,
            "precision": self.precision,
            "min_score": self.min_score,
            "labels": sorted(self.labels),
        }
        if self.fps is not None:
            settings["fps"] = self.fps
        if self.decoder not in (None, SOFTWARE):
            settings["decoder"] = self.decoder
        for name in ("target_precision", "target_recall", "false_alarms_per_hour"):
            if getattr(self, name) is not None:
                settings[name] = getattr(self, name)
        return settings
