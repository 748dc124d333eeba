"""The forms of measurements, as far as they are fixed. What else is measured may change with any version."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Stats(BaseModel):
    """Measurements. Null: not a finite number."""

    model_config = ConfigDict(extra="allow", strict=True)

    rss_mb: float | None = Field(None, description="Memory of the process.")
    cpu_s: float | None = Field(None, description="CPU time of the process.")
    stages: dict[str, float | None] = Field({}, description="Seconds spent in each stage.")


class CameraStats(Stats):
    """Measurements of a camera: of its source, its clips, its process, and below `engine NAME` of the bundle NAME. Each
    field may be missing: before the source is open, or where the source is none of video."""

    frames: int | None = Field(None, description="Frames read.")
    lost_frames: int | None = Field(None, description="Frames that the source lost.")
    gaps: int | None = None
    snippets: int | None = Field(None, description="Snippets sent to engines.")
    reconnects: int | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = Field(None, description="Frames a second of the source.")
    codec: str | None = None
    decoder: str | None = None
    behind: bool | None = Field(None, description="Whether it cannot keep up with its source.")
    clips: int | None = Field(None, description="Clips stored.")
    pictures: int | None = Field(None, description="Pictures stored.")
    ring_mb: float | None = Field(None, description="Compressed video in memory.")
