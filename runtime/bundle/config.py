"""Fields of a manifest: feature spec, graphs, post-processing. Validated once, when a bundle is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..errors import InputError
from ..text.display import shown
from . import limits

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
"""Quantiles of the features that a fingerprint states."""


class Model(BaseModel):
    """Base of the fields: immutable; unknown keys are ignored, infinite numbers and NaN are rejected."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Settings(Model):
    """Fields that a user states in Python. The constructor refuses unknown names, which a manifest may contain."""

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, **values: Any) -> None:
            kind, known = type(self).__name__, type(self).model_fields
            unknown = next((name for name in values if name not in known), None)
            if unknown is not None:
                raise InputError(
                    "setting-unknown",
                    f"{kind} has no setting {shown(unknown, 60)}",
                    ", ".join(known),
                    "correct the name",
                )
            for name, value in values.items():
                inner = known[name].annotation
                if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, Settings):
                    values[name] = inner(**value)
            try:
                super().__init__(**values)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False, include_context=False)[0]
                where = shown(".".join(str(part) for part in first["loc"]), 120)
                message = str(first["msg"]).removeprefix("Value error, ")
                if len(first["loc"]) == 1:
                    where += f" is {shown(repr(values.get(str(first['loc'][0]))), 60)}"
                raise InputError(
                    "setting-invalid", f"{kind}: {where}: {message}", next_step="correct the value"
                ) from None

        # pydantic then calls it for constructors only, and not for the fields of a manifest that is read.
        __init__.__pydantic_base_init__ = True

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values, checked as by the constructor.

        Raises:
            InputError: A setting has an unknown name or an invalid value.
        """
        if update:
            fields = {name: getattr(self, name) for name in type(self).model_fields}
            checked = type(self)(**fields | dict(update))
            update = {name: getattr(checked, name) for name in update}
        return super().model_copy(update=update, deep=deep)


class Fusion(Settings):
    """Exponents of the fused score, the product of term ** exponent; 0 omits a term.

    The published rule is class_probability = attention = center = 1 and all others 0.
    """

    class_probability: float = Field(default=0.0, ge=0, le=limits.EXPONENT)
    attention: float = Field(default=0.0, ge=0, le=limits.EXPONENT)
    center: float = Field(default=0.0, ge=0, le=limits.EXPONENT)
    contrast: float = Field(default=1.0, ge=0, le=limits.EXPONENT)
    base: float = Field(default=0.0, ge=0, le=limits.EXPONENT)

    @property
    def needs_head(self) -> bool:
        return self.class_probability > 0 or self.attention > 0 or self.center > 0


class PostProcess(Settings):
    """From tracks to events. Lengths in seconds; thresholds on tracks in 0..1."""

    class_thresholds: tuple[float, ...] = tuple(round(0.05 * k, 2) for k in range(1, 19))
    """Levels of the class track at which proposals are formed; the lowest bounds the islands."""
    actionness_thresholds: tuple[float, ...] = ()
    """Levels of the actionness track at which proposals are formed, clipped to an island."""
    contrast_margin: float = Field(default=0.25, ge=0, le=limits.FACTOR)
    context: float = Field(default=0.25, ge=0, le=limits.FACTOR)
    right_context_s: float = Field(default=2.0, ge=0, le=limits.CONTEXT_S)
    """Upper bound of the pooling context and the contrast margin, on both sides. It bounds the delay."""
    max_island_s: float = Field(default=20.0, gt=0, le=limits.ISLAND_S)
    fusion: Fusion = Fusion()
    adapt: bool = True
    adapt_iou: float = Field(default=0.4, gt=0, lt=1)
    suppression: Literal["soft", "hard", "none"] = "soft"
    sigma: float = Field(default=0.3, ge=limits.LEAST_SIGMA, le=limits.MOST_SIGMA)
    nms_iou: float = Field(default=0.7, gt=0, le=1)
    min_score: float = Field(default=0.001, ge=0, le=1)
    max_proposals: int = Field(default=500, ge=1, le=limits.PROPOSALS)
    gate: Literal["none", "video"] = "none"
    """"video" is the published whole-video class gate, for comparisons offline; a stream refuses it."""
    gate_threshold: float = Field(default=0.5, ge=0, le=1)

    @field_validator("class_thresholds", "actionness_thresholds")
    @classmethod
    def _levels(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not (math.isfinite(level) and 0 < level < 1) for level in value) or list(value) != sorted(set(value)):
            raise ValueError("thresholds must rise and lie strictly between 0 and 1")
        if len(value) > limits.THRESHOLDS:
            raise ValueError(f"{len(value):,} thresholds, at most {limits.THRESHOLDS:,} are allowed")
        return value

    @field_validator("class_thresholds")
    @classmethod
    def _some(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("at least one class threshold is needed")
        return value


class Fingerprint(Model):
    """Statistics of the training features, used to detect features from another extractor."""

    mean: float
    std: float
    quantiles: tuple[float, ...] = Field(default=(), max_length=limits.STATISTICS)


class FeatureSpec(Model):
    """The features: one row of `dim` columns per `stride_s` seconds, made by `backbone`."""

    dim: int = Field(ge=1, le=limits.DIMENSION)
    stride_s: float = Field(ge=limits.LEAST_STRIDE_S, le=limits.MOST_STRIDE_S)
    backbone: str = Field(default="", max_length=limits.TEXT_CHARACTERS)
    backbone_sha256: str = Field(default="", max_length=limits.NAME_CHARACTERS)
    fingerprint: Fingerprint | None = None


class Graph(Model):
    """One ONNX graph: its file and, for the locator, its receptive field in snippets."""

    file: str
    left: int = Field(default=0, ge=0, le=limits.FIELD)
    right: int = Field(default=0, ge=0, le=limits.FIELD)


class FileRecord(Model):
    """Hash and size of one file."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0, le=limits.FILE_BYTES)
