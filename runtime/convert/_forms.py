"""The forms, and how one is told by its file."""

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
from ._detect import forms_by_content
from ._elan import read_elan, write_elan
from ._elan_text import read_elan_text, write_elan_text
from ._events import read_events, write_events, write_parquet
from ._framewise import read_frames, write_frames
from ._labelstudio import read_labelstudio, write_labelstudio
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
class Form:
    """One form. read is None for Parquet, which is read by its path.

    a_file: what a file holds, so that more of it needs a folder. actions, clicks: whether it can hold them; mixed: both
    in one file. endings: of file names; the first is written, behind `suffix`.
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
        """A file holds one video."""
        return self.a_file == "video"


FORMS = {
    form.name: form
    for form in (
        Form("events", "events of punctum (JSON Lines)", (".jsonl", ".ndjson"), read_events, write_events),
        Form("parquet", "events of punctum (Parquet)", (".parquet",), None, write_parquet),
        Form("activitynet", "ActivityNet JSON", (".json",), read_activitynet, write_results),
        Form("activitynet-truth", "ActivityNet ground truth", (".json",), read_activitynet, write_truth),
        Form("csv", "table", (".csv", ".tsv"), read_csv, write_csv, clicks=True, mixed=False),
        Form("webvtt", "WebVTT", (".vtt",), read_webvtt, write_webvtt, "video", clicks=True),
        Form("srt", "SubRip", (".srt",), read_srt, write_srt, "video", clicks=True),
        Form("elan", "ELAN", (".eaf",), read_elan, write_elan, "video", clicks=True),
        Form("elan-text", "text exported by ELAN", (".txt", ".tsv", ".csv"), read_elan_text, write_elan_text, "video"),
        Form("labelstudio", "Label Studio tasks", (".json", ".csv"), read_labelstudio, write_labelstudio, clicks=True),
        Form("cvat", "CVAT for video 1.1", (".xml", ".zip"), read_cvat, write_cvat, "video", clicks=True),
        Form("boris", "BORIS", (".boris", ".tsv", ".csv"), read_boris, write_project, clicks=True),
        Form("via", "VGG Image Annotator 3", (".json", ".csv"), read_via, write_via, clicks=True),
        Form("soccernet", "SoccerNet labels", (".json",), read_soccernet, write_soccernet, "game", False, clicks=True),
        Form("thumos", "THUMOS text", (".txt",), read_thumos, write_thumos, "class", suffix="_val"),
        Form("frames", "frame-wise text", (".txt",), read_frames, write_frames, "video"),
    )
}
# What an ending tells without a look at the content; .csv, .tsv, .txt and .json are shared by several forms.
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
_WRITTEN = {**_BY_ENDING, ".csv": "csv", ".tsv": "csv", ".xml": "cvat"}


def form_named(name: str, option: str) -> Form:
    """Raises InputError for a name that is none."""
    if name not in FORMS:
        raise InputError("form-unknown", f"{option} {name!r}", ", ".join(FORMS), f"set {option} to one of these")
    return FORMS[name]


def guess_source(source: Source) -> tuple[Form, str]:
    """Form of a file that was given, and by what it was told: its name, else its content. Raises InputError."""
    ending = Path(source.name).suffix.lower()
    if name := _BY_ENDING.get(ending, ""):
        return FORMS[name], f"by its ending {ending}"
    found = forms_by_content(source)
    if not found and ending in (".csv", ".tsv"):
        return FORMS["csv"], f"by its ending {ending}"
    if len(found) != 1:
        raise InputError(
            "form-ambiguous" if found else "form-unknown",
            f"what {source.name} holds cannot be told"
            + (f": it may be {' or '.join(found)}" if found else " by its ending or its content"),
            ", ".join(found or (name for name, form in FORMS.items() if form.read)),
            "name its form with --from" + (f", for example --from {found[0]}" if found else ""),
        )
    return FORMS[found[0]], "by its content"


def guess_target(path: Path) -> tuple[Form, str]:
    """Form of a file to be written, by its name. Raises InputError."""
    ending = path.suffix.lower()
    if ending in _WRITTEN and ending != ".zip":
        return FORMS[_WRITTEN[ending]], f"by its ending {ending}"
    fitting = [form.name for form in FORMS.values() if ending in form.endings]
    raise InputError(
        "form-ambiguous" if fitting else "form-unknown",
        f"the form of {path} cannot be told by its name" + (f": {' or '.join(fitting)}" if fitting else ""),
        ", ".join(fitting or (FORMS)),
        "name the form with --to" + (f", for example --to {fitting[0]}" if fitting else ""),
    )
