"""Precision variants of a bundle's graphs: which files, for which engines, how close, and what they cost in mAP."""

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
    """mAP of a variant and of fp32 on the same videos, in 0..1; drop: what it loses, in points (hundredths).

    truth "annotations": the data set's ground truth. "fp32-events": there was none, so the events that fp32 finds
    stand for it (least_score: those scored at least so high), and the reference agrees with itself.
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
    """One variant. A part that `files` leaves out runs in fp32.

    targets: the engines it is meant for; others may run it, without gain.
    parity: largest difference of outputs in 0..1 from fp32, by part; "worst" is the largest of all.
    calibration: what int8 ranges were measured on. accuracy: None where it was not judged.
    """

    files: dict[Part, str] = Field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    parity: dict[str, float] = Field(default_factory=dict)
    accuracy: AccuracyRecord | None = None
    calibration: dict[str, Any] | None = None
    fingerprint: ClipFingerprint | None = None
    """Of the backbone in this precision, where `files` has one; the spec's own belongs to fp32."""
    engine: str = ""
    """What measured it, with its version."""

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """Bundles of schema 1.0 say {"parity": 1e-7, "backbone_parity": 1e-6}."""
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
            raise ValueError(f"precision {name[:60]!r} is no name of small letters, digits and dashes")
        if name == REFERENCE and record.files:
            raise ValueError(f"{REFERENCE} is the graphs themselves and names no files")
        if name != REFERENCE and not (record.files and record.targets):
            raise ValueError(f"precision {name!r} names no files or no targets")
    return value


Precisions = Annotated[dict[str, PrecisionRecord], AfterValidator(_checked)]
"""The variants of a bundle by name, and what is known of fp32."""
