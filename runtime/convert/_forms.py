"""The supported formats, and the detection of the format of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import InputError
from ._activitynet import read_activitynet, write_results, write_truth
from ._boris_tables import read_boris
from ._boris_write import write_project
from ._csv import read_csv, write_csv
from ._cvat import read_cvat, write_cvat
from ._detect import formats_by_content
from ._elan import read_elan, write_elan
from ._elan_text import read_elan_text, write_elan_text
from ._events import read_events, write_events, write_parquet
from ._framewise import read_frames, write_frames
from ._labelstudio import read_labelstudio
from ._labelstudio_write import write_labelstudio
from ._model import Timelines
from ._options import ReadOptions, Source, WriteOptions, Written
from ._soccernet import read_soccernet, write_soccernet
from ._srt import read_srt, write_srt
from ._thumos import read_thumos, write_thumos
from ._via import read_via, write_via
from ._webvtt import read_webvtt, write_webvtt

Reader = Callable[[Source, ReadOptions], Timelines]
Writer = Callable[[Timelines, WriteOptions], Written]


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes:
        name: Name for the command line.
        title: Name for people.
        endings: Extensions of file names; the first one is written.
        read: The reader; None for Parquet, which is read by path.
        write: The writer.
        a_file: What a file contains; several of these need a folder.
        actions: Whether it can represent actions.
        clicks: Whether it can represent clicks.
        mixed: Whether a file can contain both.
        suffix: Text before the extension of written files.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    read: Reader | None
    write: Writer
    a_file: Literal["all", "video", "class", "game"] = "all"
    actions: bool = True
    clicks: bool = False
    mixed: bool = True
    suffix: str = ""

    @property
    def one_video(self) -> bool:
        """Whether a file contains one video."""
        return self.a_file == "video"


FORMATS = {
    form.name: form
    for form in (
        Format("events", "events of punctum (JSON Lines)", (".jsonl", ".ndjson"), read_events, write_events),
        Format("parquet", "events of punctum (Parquet)", (".parquet",), None, write_parquet),
        Format("activitynet", "ActivityNet JSON", (".json",), read_activitynet, write_results),
        Format("activitynet-truth", "ActivityNet ground truth", (".json",), read_activitynet, write_truth),
        Format("csv", "table", (".csv", ".tsv"), read_csv, write_csv, clicks=True, mixed=False),
        Format("webvtt", "WebVTT", (".vtt",), read_webvtt, write_webvtt, "video", clicks=True),
        Format("srt", "SubRip", (".srt",), read_srt, write_srt, "video", clicks=True),
        Format("elan", "ELAN", (".eaf",), read_elan, write_elan, "video", clicks=True),
        Format(
            "elan-text", "text exported by ELAN", (".txt", ".tsv", ".csv"), read_elan_text, write_elan_text, "video"
        ),
        Format(
            "labelstudio", "Label Studio tasks", (".json", ".csv"), read_labelstudio, write_labelstudio, clicks=True
        ),
        Format("cvat", "CVAT for video 1.1", (".xml", ".zip"), read_cvat, write_cvat, "video", clicks=True),
        Format("boris", "BORIS", (".boris", ".tsv", ".csv"), read_boris, write_project, clicks=True),
        Format("via", "VGG Image Annotator 3", (".json", ".csv"), read_via, write_via, clicks=True),
        Format(
            "soccernet", "SoccerNet labels", (".json",), read_soccernet, write_soccernet, "game", False, clicks=True
        ),
        Format("thumos", "THUMOS text", (".txt",), read_thumos, write_thumos, "class", suffix="_val"),
        Format("frames", "frame-wise text", (".txt",), read_frames, write_frames, "video"),
    )
}
# Formats with an extension of their own; several formats share .csv, .tsv, .txt and .json.
_BY_ENDING = {
    ".jsonl": "events",
    ".ndjson": "events",
    ".parquet": "parquet",
    ".vtt": "webvtt",
    ".srt": "srt",
    ".eaf": "elan",
    ".zip": "cvat",
    ".boris": "boris",
}
_BY_NAME = {"gt.json": "activitynet-truth", "gt_full.json": "activitynet-truth"}  # names in data sets
_WRITTEN = {**_BY_ENDING, ".csv": "csv", ".tsv": "csv", ".xml": "cvat"}


def format_named(name: str, parameter: str) -> Format:
    """The format of this name. Raises InputError if there is none."""
    if name not in FORMATS:
        allowed = ", ".join(FORMATS)
        raise InputError("form-unknown", f"`{parameter}` is {name!r}", allowed, f"set `{parameter}` to one of these")
    return FORMATS[name]


def detect_source(source: Source) -> tuple[Format, str]:
    """The format of an existing file, by extension or content, and how it was detected. Raises InputError."""
    ending = Path(source.name).suffix.lower()
    if name := _BY_ENDING.get(ending, ""):
        return FORMATS[name], f"by its extension {ending}"
    found = formats_by_content(source)
    if not found and ending in (".csv", ".tsv"):
        return FORMATS["csv"], f"by its extension {ending}"
    if len(found) != 1:
        raise InputError(
            "form-ambiguous" if found else "form-unknown",
            f"The format of {source.name} cannot be detected"
            + (f": it may be {' or '.join(found)}" if found else " from its extension or content"),
            ", ".join(found or (name for name, form in FORMATS.items() if form.read)),
            "set its format with `source_form`" + (f", for example `source_form={found[0]}`" if found else ""),
        )
    return FORMATS[found[0]], "by its content"


def detect_target(path: Path) -> tuple[Format, str]:
    """The format of a file to write, by its name or extension, and how it was detected. Raises InputError."""
    ending = path.suffix.lower()
    if name := _BY_NAME.get(path.name.lower()):
        return FORMATS[name], f"by its name {path.name}"
    if ending in _WRITTEN and ending != ".zip":
        return FORMATS[_WRITTEN[ending]], f"by its extension {ending}"
    fitting = [form.name for form in FORMATS.values() if ending in form.endings]
    raise InputError(
        "form-ambiguous" if fitting else "form-unknown",
        f"The format of {path} is not determined by its name" + (f": {' or '.join(fitting)}" if fitting else ""),
        ", ".join(fitting or (FORMATS)),
        "set the format with `target_form`" + (f", for example `target_form={fitting[0]}`" if fitting else ""),
    )
