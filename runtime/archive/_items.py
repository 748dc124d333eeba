"""What is scored, in what portions, and what comes of it."""

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
    """One recording. name: unique in the archive, with its ending. paths: its file, or its RGB and flow files; local
    paths or fsspec addresses. stamp: changes when the file does, as far as its file system tells; empty: no file.
    stride_s: seconds a snippet where a data set states it."""

    name: str
    paths: tuple[str, ...]
    kind: Kind
    size: int
    stamp: str
    stride_s: float | None = None
    remote: bool = False

    @property
    def stream(self) -> str:
        """What events call it: the name without its ending."""
        return str(PurePosixPath(self.name).with_suffix(""))


@dataclass(frozen=True, slots=True)
class Task:
    """An item to score. known: sha256 of the content that was scored before, where only the stamp has changed."""

    item: Item
    known: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Items that go through one worker together and are committed together."""

    number: int
    tasks: tuple[Task, ...]

    @property
    def size(self) -> int:
        return sum(task.item.size for task in self.tasks)


@dataclass(frozen=True, slots=True)
class Record:
    """What became of an item. status "same": its content is what was scored before. media_s: seconds of media.

    lost: video frames that were missing; missing: snippets in gaps. part: the file of its events, relative to the
    archive; empty: no events.
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
        """For JSON; what is at its default is left out."""
        defaults = {"sha256": "", "snippets": 0, "media_s": 0.0, "events": 0, "lost": 0, "missing": 0}
        defaults |= {"part": "", "error_code": "", "error": ""}
        return {k: v for k, v in asdict(self).items() if k not in defaults or v != defaults[k]}


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What a worker hands back for a group. part: Parquet bytes of its events and their name, empty without events.
    seconds: that the group took in the worker."""

    number: int
    records: tuple[Record, ...]
    part_name: str
    part: bytes
    seconds: float


def is_recording(name: str) -> bool:
    """Whether a file name has the ending of features or of video."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix == ".npy" or suffix in SUFFIXES
