"""What the API needs from the service: its state, its store, and the operations that it offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..config.models import BundleConfig, CameraConfig
from ..store.rows import EventPage, EventQuery, EventRow, GapPage, Report, Review


@dataclass(frozen=True, slots=True)
class CameraView:
    """A camera as it is now.

    Attributes:
        state: "off" (disabled), "scheduled" (outside of its schedule), "starting", "opening", "running", "lost",
            "ended" or "failed".
        why: Reason of the state, as a sentence; "" while it runs and nothing is wrong.
        next_step: What to do about it.
        since_unix: When the state began.
        stats: Frames a second, width, height, codec, delay, memory and whatever else is measured.
        losses: What was lost since the service started, by reason.
        picture: Whether a live picture can be had now.
        tracks: Whether tracks can be had now.
        degraded: It runs, and much of its media is missing, or it sends far fewer frames than usual; `why` says it.
        missing_share: Share of the media of the last minute that is missing, from 0 to 1.
    """

    name: str
    state: str
    why: str
    since_unix: float
    config: CameraConfig
    next_step: str = ""
    stats: Mapping[str, Any] = field(default_factory=dict)
    losses: Mapping[str, int] = field(default_factory=dict)
    picture: bool = False
    tracks: bool = False
    degraded: bool = False
    missing_share: float = 0.0


@dataclass(frozen=True, slots=True)
class BundleView:
    """A bundle as it is now. next_id: the version that is about to take over, "" without one. min_score: by class, for
    cameras that set none."""

    name: str
    id: str
    version: str
    state: str
    labels: tuple[str, ...]
    why: str = ""
    next_id: str = ""
    next_version: str = ""
    stats: Mapping[str, Any] = field(default_factory=dict)
    min_score: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SinkView:
    """An output and what became of its reports. oldest_s: age of the oldest report that waits."""

    name: str
    type: str
    state: str
    delivered: int = 0
    retried: int = 0
    refused: int = 0
    waiting: int = 0
    oldest_s: float = 0.0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """The site as a whole. degraded: what does not work as configured, as sentences. losses: counts by reason.
    changed_over_api: what runs differently from the file, since it was changed over the API, as sentences."""

    name: str
    version: str
    started_unix: float
    degraded: tuple[str, ...] = ()
    losses: Mapping[str, int] = field(default_factory=dict)
    changed_over_api: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tracks:
    """The latest tracks of a camera: values from 0 to 1, one a snippet.

    Attributes:
        start_s: Media time of the first snippet.
        stride_s: Seconds from one snippet to the next.
        start_unix: Time of day of the first snippet; None if unknown.
    """

    bundle: str
    start_s: float
    stride_s: float
    actionness: Sequence[float]
    classes: Mapping[str, Sequence[float]]
    start_unix: float | None = None


class StoreView(Protocol):
    """The part of the store that the API uses. All methods may be called from any thread."""

    @property
    def identity(self) -> str:
        """Identifies the store: numbers of reports of another one mean nothing here."""
        ...

    @property
    def folder(self) -> Path:
        """The state folder."""
        ...

    def last_report(self) -> int:
        """Number of the latest report; 0 without any."""
        ...

    def reports(self, after: int, limit: int) -> list[Report]: ...

    def earlier(self, reports: Sequence[Report]) -> dict[int, dict[str, float]]:
        """For each report: the phases of the reports of its event before it, with the highest score of each."""
        ...

    def events(self, query: EventQuery) -> EventPage: ...

    def event(self, camera: str, event: str) -> EventRow | None: ...

    def review(self, camera: str, event_id: str, review: Review | None) -> Review | None: ...

    def gaps(
        self,
        start_unix: float,
        end_unix: float,
        cameras: Sequence[str] | None = None,
        *,
        before: str | None = None,
        limit: int = 1000,
    ) -> GapPage: ...

    def on_add(self, listener: Callable[[], None]) -> Callable[[], None]:
        """`listener` is called from any thread after reports were stored, until the returned function is called."""
        ...


class SiteView(Protocol):
    """The service behind the API. All methods may be called from any thread, and raise PunctumError."""

    @property
    def store(self) -> StoreView: ...

    def site(self) -> SiteInfo: ...

    def cameras(self) -> Sequence[CameraView]: ...

    def removed_cameras(self) -> Sequence[str]:
        """Cameras of the file that were removed over the API."""
        ...

    def bundles(self) -> Sequence[BundleView]: ...

    def sinks(self) -> Sequence[SinkView]: ...

    def put_camera(self, name: str, config: CameraConfig) -> None:
        """Add a camera or change one."""
        ...

    def delete_camera(self, name: str) -> None: ...

    def enable_camera(self, name: str, enabled: bool) -> None: ...

    def restart_camera(self, name: str) -> None: ...

    def put_bundle(self, name: str, config: BundleConfig) -> None:
        """Replace a bundle by another version, which takes over at an event boundary."""
        ...

    def reload(self) -> None:
        """Read the configuration file again."""
        ...

    def request_picture(self, camera: str) -> bytes | None:
        """A JPEG of what the camera sees now; None if it has none. May take a few seconds."""
        ...

    def tracks(self, camera: str) -> Tracks | None: ...

    def metrics(self) -> tuple[bytes, str]:
        """Metrics in the text format of Prometheus, and their content type."""
        ...

    def alive(self) -> tuple[bool, str]: ...

    def ready(self) -> tuple[bool, str]: ...
