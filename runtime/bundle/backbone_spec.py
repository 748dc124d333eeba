"""What a video backbone expects: sampling, clips, preprocessing. Part of a manifest and of `backbone.json`."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from ..text.display import is_plain
from . import limits
from .backbone_part import BackbonePart, check_columns
from .config import Model


class ClipFingerprint(Model):
    """Statistics of a backbone's features for the procedural reference clip of `seed`.

    Attributes:
        seed: Seed of the clip.
        mean: Mean of all features.
        std: Their standard deviation.
        quantiles: Quantiles at 0, 25, 50, 75 and 100 %.
        projection: Eight random projections of all features.
        tolerance: Largest permitted difference, relative to `std`.
    """

    seed: int = Field(ge=0, lt=1 << 32)
    mean: float
    std: float = Field(ge=0)
    quantiles: tuple[float, ...] = Field(max_length=limits.STATISTICS)
    projection: tuple[float, ...] = Field(max_length=limits.STATISTICS)
    tolerance: float = Field(default=1e-3, gt=0, le=1)


class BackboneSpec(Model):
    """A graph that turns clips into features: clips float32 [N, layout] -> features float32 [N, D].

    Snippet t covers frames [t * snippet_frames, (t + 1) * snippet_frames) of a continuous span. Its clip has
    `clip_frames` frames and ends `right_frames` frames after the snippet. Where a clip extends beyond the span, the
    first or last frame is repeated.
    """

    file: str = "backbone.onnx"
    fps: float = Field(ge=1 / limits.MOST_STRIDE_S, le=limits.FPS)
    """Frames per second at which the video is sampled."""
    clip_frames: int = Field(ge=1, le=limits.CLIP_FRAMES)
    snippet_frames: int = Field(ge=1, le=limits.SNIPPET_FRAMES)
    right_frames: int = Field(default=0, ge=0)
    height: int = Field(ge=1, le=limits.SIDE)
    width: int = Field(ge=1, le=limits.SIDE)
    resize: Literal["stretch", "short-side"] = "short-side"
    """short-side: scaled until the image covers height x width, then cropped at the center."""
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    """mean and std per channel of `colour`, for values in 0..1."""
    layout: Literal["NTCHW", "NCTHW"] = "NCTHW"
    input: str = Field(default="clips", max_length=limits.TEXT_CHARACTERS)
    output: str = Field(default="features", max_length=limits.TEXT_CHARACTERS)
    fingerprint: ClipFingerprint | None = None
    parts: tuple[BackbonePart, ...] = Field(default=(), max_length=limits.BACKBONE_PARTS)
    """Parts of a composed backbone, in the order of their columns; empty for a single network."""

    @model_serializer(mode="wrap")
    def _without_parts(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A record without parts is written as before this field was introduced, so ids of bundles stay the same.
        record: dict[str, Any] = dump(self)
        if not self.parts:
            record.pop("parts", None)
        return record

    @field_validator("file")
    @classmethod
    def _file(cls, value: str) -> str:
        path = PurePosixPath(value)
        if len(value) > limits.PATH_CHARACTERS or not is_plain(value):
            raise ValueError("the file name is too long or contains control characters")
        if not value or path.is_absolute() or ".." in path.parts or "\\" in value:
            raise ValueError(f"file name {value!r} is outside the folder")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> BackboneSpec:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} values for color {self.colour!r}")
        if any(value <= 0 for value in self.std):
            raise ValueError("std must be positive")
        if any(abs(value) > limits.SCALE for value in (*self.mean, *self.std)) or min(self.std) < 1 / limits.SCALE:
            raise ValueError(f"mean and std must be within {limits.SCALE:g}, and std at least {1 / limits.SCALE:g}")
        check_columns(self.parts)
        if self.right_frames >= self.clip_frames:
            raise ValueError(f"right_frames must be below clip_frames ({self.clip_frames})")
        values = (self.clip_frames + self.snippet_frames) * self.height * self.width * self.channels
        if values > limits.CLIP_VALUES:
            raise ValueError(
                f"a clip and a snippet of {self.height} x {self.width} have {values:,} values; at most "
                f"{limits.CLIP_VALUES:,} are allowed"
            )
        return self

    @property
    def channels(self) -> int:
        return 1 if self.colour == "gray" else 3

    @property
    def stride_s(self) -> float:
        """Duration of one snippet in seconds."""
        return self.snippet_frames / self.fps

    @property
    def overhang_s(self) -> float:
        """Seconds of media after the end of a snippet that its features depend on."""
        return self.right_frames / self.fps

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """Shape of one clip at the input of the graph."""
        shape = {"T": self.clip_frames, "C": self.channels, "H": self.height, "W": self.width}
        t, c, h, w = (shape[axis] for axis in self.layout[1:])
        return t, c, h, w

    def digest(self, graph_sha256: str) -> str:
        """Identity of backbone and preprocessing: SHA-256 of the graph's hash and everything that decides its input.

        It does not cover `parts`, which describe where networks come from: the graph's hash already covers what they
        compute, and a version of punctum that does not know the field must find the same identity.
        """
        record = self.model_dump(mode="json", exclude={"file", "fingerprint", "parts"})
        text = json.dumps({**record, "graph": graph_sha256}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def fits_stride(self, stride_s: float) -> bool:
        """Whether a locator with this stride can use the features."""
        return math.isclose(self.stride_s, stride_s, rel_tol=1e-6)
