"""Precision variants of a bundle's graphs: files, target engines, differences from fp32, and accuracy."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from . import limits
from .backbone_spec import ClipFingerprint
from .config import Model

REFERENCE = "fp32"
Part = Literal["locator", "center", "backbone"]
Target = Literal["cpu", "cuda", "tensorrt"]
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class AccuracyRecord(Model):
    """mAP of a variant and of fp32 on the same videos.

    Attributes:
        dataset: The data set.
        split: Its split.
        subset: Its subset.
        truth: "annotations": the ground truth of the data set. "fp32-events": there is none, so the events of fp32 take
            its place.
        videos: Number of videos.
        map: mAP of the variant, in 0..1.
        reference_map: mAP of fp32, in 0..1.
        drop: The difference in points (hundredths).
        least_score: Minimum score of the fp32 events that count as ground truth.
    """

    dataset: str
    split: str | None = None
    subset: str = "test"
    truth: Literal["annotations", "fp32-events"] = "annotations"
    videos: int = Field(ge=0)
    map: float = Field(ge=0, le=1)
    reference_map: float = Field(ge=0, le=1)
    drop: float
    least_score: float | None = None


class PrecisionRecord(Model):
    """One variant. Parts that are not in `files` run in fp32.

    Attributes:
        files: Part -> file of its graph.
        targets: The engines it is meant for. Others may run it, without a gain.
        parity: Part -> largest difference of its outputs, in 0..1, from fp32; "worst" is the largest of all.
        accuracy: Its mAP; None where it was not evaluated.
        calibration: On what the ranges of int8 were measured.
    """

    files: dict[Part, str] = Field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    parity: dict[str, float] = Field(default_factory=dict)
    accuracy: AccuracyRecord | None = None
    calibration: dict[str, Any] | None = None
    fingerprint: ClipFingerprint | None = None
    """Fingerprint of the backbone in this precision, if `files` has one. The one in the backbone's spec is for fp32."""
    engine: str = ""
    """The engine that measured it, with its version."""

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: object) -> object:
        """Read {"parity": 1e-7, "backbone_parity": 1e-6} of schema 1.0."""
        if not isinstance(value, dict) or not isinstance(value.get("parity"), int | float):
            return value
        parity = {"worst": value["parity"]}
        if "backbone_parity" in value:
            parity["backbone"] = value["backbone_parity"]
        return {**{k: v for k, v in value.items() if k != "backbone_parity"}, "parity": parity}


def _checked(value: dict[str, PrecisionRecord]) -> dict[str, PrecisionRecord]:
    if len(value) > limits.PRECISIONS:
        raise ValueError(f"{len(value):,} precisions, at most {limits.PRECISIONS} are allowed")
    for name, record in value.items():
        if len(name) > limits.NAME_CHARACTERS or not _NAME.fullmatch(name):
            raise ValueError(f"precision {name[:60]!r} is not a name of lower-case letters, digits and dashes")
        if name == REFERENCE and record.files:
            raise ValueError(f"{REFERENCE} is the original precision and cannot name files")
        if name != REFERENCE and not (record.files and record.targets):
            raise ValueError(f"precision {name!r} names no files or no targets")
    return value


Precisions = Annotated[dict[str, PrecisionRecord], AfterValidator(_checked)]
"""The variants of a bundle by name; "fp32" may hold measurements of the original graphs."""
