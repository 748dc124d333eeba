"""The record of one part of a composed backbone: its columns, and where its network comes from."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from ..text.display import is_plain
from . import limits
from .config import Model


class BackbonePart(Model):
    """Describes one part; nothing that is computed depends on it.

    Attributes:
        name: Name of the part, unique in its backbone.
        columns: First column of its features, and the one after the last.
        source_sha256: SHA-256 of the file that the network was read from.
        license: License of the network, as its publisher states it; an SPDX identifier where there is one.
        publisher: Who published the weights, and where.
        settings: How the network is applied, such as "frames=middle, components=64".
        ms_per_frame: Cost on the machine where the backbone was composed, per frame of the video; None: not measured.
    """

    name: str = Field(min_length=1, max_length=limits.NAME_CHARACTERS)
    columns: tuple[int, int]
    source_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    license: str = Field(default="", max_length=limits.TEXT_CHARACTERS)
    publisher: str = Field(default="", max_length=limits.TEXT_CHARACTERS)
    settings: str = Field(default="", max_length=limits.TEXT_CHARACTERS)
    ms_per_frame: float | None = Field(default=None, ge=0)

    @field_validator("name", "license", "publisher", "settings")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not is_plain(value):
            raise ValueError("contains control characters")
        return value

    @model_validator(mode="after")
    def _some_columns(self) -> BackbonePart:
        if not 0 <= self.columns[0] < self.columns[1] <= limits.DIMENSION:
            raise ValueError(f"columns {self.columns[0]} to {self.columns[1]} are not a range of columns")
        return self

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.columns[1] - self.columns[0]


def check_columns(parts: tuple[BackbonePart, ...]) -> None:
    """Raise ValueError unless each part begins where the one before ends, and names are unique."""
    at = 0
    for part in parts:
        if part.columns[0] != at:
            raise ValueError(f"part {part.name!r} begins at column {part.columns[0]}, and the one before ends at {at}")
        at = part.columns[1]
    if len({part.name for part in parts}) < len(parts):
        raise ValueError("two parts have the same name")
