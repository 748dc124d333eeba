"""The forms of answers and of bodies, for the OpenAPI document and for checking what is sent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..gap_reasons import GapReason
from .stats_models import CameraStats, Stats

Unix = Annotated[float, Field(description="Unix time in seconds.")]
Media = Annotated[float, Field(description="Seconds on the media clock of the camera.")]
Losses = Annotated[dict[str, int], Field(description="Counts by reason; reasons without a loss are left out.")]
Label = Annotated[str, Field(min_length=1, max_length=200)]


Phase = Literal["open", "update", "final", "retracted"]


class Form(BaseModel):
    """Base of all forms."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Problem(Form):
    """Why a request was refused, or failed."""

    code: str = Field(description="Stable identifier; docs/reference/errors.md lists all.")
    given: str
    allowed: str
    next_step: str


class MediaForm(Form):
    """A clip or picture."""

    url: str | None = Field(description="Relative to the address of the API; null: there is none.")
    bytes: int
    start_s: float
    end_s: float
    why: str = Field(description="Why there is none, or why it is shorter than asked for.")


class ReviewForm(Form):
    """What a person said about an event."""

    verdict: Literal["right", "wrong", "class", "edges"]
    label: str | None
    start: float | None
    end: float | None
    by: str
    unix: Unix
    note: str


class ReviewBody(Form):
    """What a person says about an event. It replaces an earlier review."""

    verdict: Literal["right", "wrong", "class", "edges"] = Field(
        description="wrong: there is no action; class: it is of another class; edges: start or end is wrong."
    )
    label: Label | None = Field(
        None,
        description="The right class; required with the verdict class. It may be one that no bundle has yet, but not a "
        "class of a bundle in another spelling.",
    )
    start: Media | None = Field(
        None, description="The right start; with the verdict edges. start to end overlaps the event, in its clip."
    )
    end: Media | None = Field(None, description="The right end; with the verdict edges.")
    by: str = Field("", max_length=100, description="Name of the person.")
    note: str = Field("", max_length=1000)


class EventForm(Form):
    """An event with its latest report, its media and its review."""

    camera: str
    id: str
    key: str = Field(description="The id as it stands in addresses.")
    url: str = Field(description="Relative to the address of the API.")
    bundle: str = Field(description="Its name in the configuration.")
    bundle_id: str = Field(description="Id of its version.")
    label: str
    score: float
    raw_score: float | None
    phase: Phase
    revision: int
    ended: bool
    start: Media
    end: Media
    delay_s: float
    start_unix: Unix | None
    end_unix: Unix | None
    first_unix: Unix
    updated_unix: Unix
    dropped: int
    interrupted: bool
    degraded: bool
    clip: MediaForm | None = Field(description="null: it is not made yet, or none was asked for.")
    picture: MediaForm | None = Field(description="From the middle of the event. null: as for clip.")
    review: ReviewForm | None


class EventsForm(Form):
    """A page of events, newest first."""

    events: list[EventForm]
    next: str | None = Field(description="The parameter `cursor` of the next page; null: this is the last one.")


class SentEvent(BaseModel):
    """An event as all outputs get it. More fields may follow."""

    model_config = ConfigDict(extra="allow", strict=True)

    schema_: Literal["punctum.event/1"] = Field(alias="schema")
    stream: str = Field(description="The camera.")
    event: str = Field(description="Id, the same in all reports of the action.")
    revision: int
    phase: Phase
    label: str
    score: float
    raw_score: float | None
    start: Media
    end: Media
    emitted_at: Media
    delay_s: float
    bundle: str = Field(description="Id of the version of the bundle.")
    ended: bool
    dropped: int
    interrupted: bool
    degraded: bool
    start_utc: str | None
    end_utc: str | None


class HelloForm(Form):
    """The message `hello` of the stream of reports."""

    last: int = Field(description="Number of the latest report.")
    reset: bool = Field(description="The position belongs to a store that no longer exists: load everything again.")
    boot: str = Field(description="Changes with each start of the service.")


class ReportForm(Form):
    """A report of an event, as streams send it."""

    id: int
    camera: str
    bundle: str
    key: str
    received_unix: Unix
    start_unix: Unix | None
    end_unix: Unix | None
    event: SentEvent


class ReportsForm(Form):
    """Reports after a position."""

    reports: list[ReportForm]
    next: str = Field(description="The position to go on with.")
    reset: bool = Field(description="The position belongs to a store that no longer exists: load everything again.")


class CameraForm(Form):
    """A camera as it is now."""

    name: str
    state: str = Field(description="off, scheduled, starting, opening, running, lost, ended or failed.")
    why: str = Field(description="Reason of the state; empty while it runs and nothing is wrong.")
    next_step: str = Field(description="What to do about it; empty: nothing.")
    since_unix: Unix
    enabled: bool
    source: str = Field(description="Without passwords.")
    bundles: list[str]
    picture: bool = Field(description="Whether a live picture can be had.")
    tracks: bool = Field(description="Whether tracks can be had.")
    degraded: bool = Field(
        description="It runs, and much of its media is missing, or it sends far fewer frames than its stream announces "
        "or than before; `why` says which."
    )
    missing_share: float = Field(description="Share of the media of the last minute that is missing, from 0 to 1.")
    stats: CameraStats
    losses: Losses
    config: dict[str, Any] = Field(description="What differs from the defaults.")


class CamerasForm(Form):
    """All cameras."""

    cameras: list[CameraForm]
    removed_over_api: list[str] = Field(description="Cameras of the configuration file that were removed over the API.")


class BundleForm(Form):
    """A bundle as it is now. next_id: the version that is about to take over; "" without one."""

    name: str
    id: str
    version: str
    state: str
    why: str
    labels: list[str]
    next_id: str
    next_version: str
    min_score: dict[str, float] = Field(
        description="Minimum score of final events by class, for cameras that set none. Provisional events may have "
        "less."
    )
    stats: Stats


class BundlesForm(Form):
    """All bundles."""

    bundles: list[BundleForm]


class SinkForm(Form):
    """An output."""

    name: str
    type: str
    state: str
    delivered: int
    retried: int
    refused: int
    waiting: int
    oldest_s: float
    last_error: str


class SinksForm(Form):
    """All outputs."""

    sinks: list[SinkForm]


class GapForm(Form):
    """A stretch of media that is missing."""

    camera: str
    start_s: float
    end_s: float
    start_unix: Unix
    end_unix: Unix
    snippets: int
    reason: GapReason = Field(
        description="service-down: the service did not run, or had not opened the camera yet. camera-absent: the "
        "camera sent nothing, or its connection broke off. frames-lost: frames were lost on the way, or could not be "
        "decoded. overflow: they were not processed fast enough. process-restarted: the process of the camera was "
        "started again. unreadable: features could not be read. missing: the source left something out, and did not "
        "say why."
    )


class GapsForm(Form):
    """A page of gaps, newest first."""

    gaps: list[GapForm]
    next: str | None = Field(description="The parameter `cursor` of the next page; null: this is the last one.")


class TracksForm(Form):
    """The latest tracks of a camera, one value a snippet, from 0 to 1."""

    bundle: str
    start_s: float
    stride_s: float
    start_unix: Unix | None
    actionness: list[float]
    classes: dict[str, list[float]]


class SiteForm(Form):
    """The site as a whole."""

    name: str
    version: str
    boot: str = Field(description="Changes with each start of the service.")
    role: Literal["read", "operate"] = Field(description="What the token of this request allows.")
    now_unix: Unix
    started_unix: Unix
    uptime_s: float
    degraded: list[str]
    changed_over_api: list[str] = Field(
        description="What runs differently from the configuration file, since it was changed over the API."
    )
    losses: Losses
    cameras: dict[str, int] = Field(description="Number of cameras in each state.")
    labels: list[str] = Field(description="Classes of all bundles.")
    last_report: int
    reviews: str = Field(
        description="Folder of the data sets that reviews become, one for each camera; empty for the role read."
    )


class SessionForm(Form):
    """Whether this browser is logged in. role: null without."""

    role: Literal["read", "operate"] | None
    tokens: bool = Field(description="Whether the service needs tokens.")


class LoginBody(Form):
    """Log in."""

    token: str = Field(min_length=1, max_length=512)
