"""Items of an archive, groups of them, and their records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from ..datatypes import compact
from ..video.files import SUFFIXES

Kind = Literal["features", "video"]
Status = Literal["done", "failed", "same"]


@dataclass(frozen=True, slots=True)
class Item:
    """One recording.

    Attributes:
        name: Unique in the archive, with its extension.
        paths: Its file, or its RGB and flow files: local paths or fsspec addresses.
        kind: "features" or "video".
        size: Size in bytes.
        stamp: Changes when the file changes, as far as its file system shows; empty: no file.
        stride_s: Seconds per snippet, if a data set states it.
        remote: Whether the paths are addresses.
    """

    name: str
    paths: tuple[str, ...]
    kind: Kind
    size: int
    stamp: str
    stride_s: float | None = None
    remote: bool = False

    @property
    def stream(self) -> str:
        """The stream name in events: the name without its extension."""
        return str(PurePosixPath(self.name).with_suffix(""))


@dataclass(frozen=True, slots=True)
class Task:
    """An item to score. known: SHA-256 of the content scored before, if only the stamp has changed."""

    item: Item
    known: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Items that are scored by one worker and committed together."""

    number: int
    tasks: tuple[Task, ...]

    @property
    def size(self) -> int:
        return sum(task.item.size for task in self.tasks)


@dataclass(frozen=True, slots=True)
class Record:
    """The result of an item.

    Attributes:
        item: Name of the item.
        kind: "features" or "video".
        status: "done", "failed", or "same" if the content was scored before.
        stamp: As in `Item`.
        size: Size in bytes.
        sha256: SHA-256 of the content.
        snippets: Number of snippets.
        media_s: Duration in seconds.
        events: Number of events.
        lost: Number of missing video frames.
        missing: Number of snippets in gaps.
        part: File of the events, relative to the archive; empty: no events.
        error_code: Code of the error of a failed item.
        error: Message of the error.
    """

    item: str
    kind: Kind
    status: Status
    stamp: str
    size: int
    sha256: str = ""
    snippets: int = 0
    media_s: float = 0.0
    events: int = 0
    lost: int = 0
    missing: int = 0
    part: str = ""
    error_code: str = ""
    error: str = ""

    @property
    def stream(self) -> str:
        return str(PurePosixPath(self.item).with_suffix(""))

    def to_dict(self) -> dict[str, Any]:
        """The record for JSON, without default values."""
        defaults = {"sha256": "", "snippets": 0, "media_s": 0.0, "events": 0, "lost": 0, "missing": 0}
        defaults |= {"part": "", "error_code": "", "error": ""}
        return {k: v for k, v in asdict(self).items() if k not in defaults or v != defaults[k]}


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """The result of a group.

    Attributes:
        number: Number of the group.
        records: Records of its items.
        part_name: File name of the events, relative to the archive; empty without events.
        part: Parquet bytes of the events.
        seconds: Time in the worker.
    """

    number: int
    records: tuple[Record, ...]
    part_name: str
    part: bytes
    seconds: float


def is_recording(name: str) -> bool:
    """Whether a file name has an extension of features or video."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix == ".npy" or suffix in SUFFIXES
