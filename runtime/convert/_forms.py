"""The forms, and how one is told by its file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..events import SCHEMA
from ._activitynet import read_activitynet, write_results, write_truth
from ._csv import read_csv, write_csv
from ._cvat import read_cvat, write_cvat
from ._elan import read_elan, write_elan
from ._events import read_events, write_events, write_parquet
from ._json import parse_json
from ._labelstudio import looks_like_tasks, read_labelstudio, write_labelstudio
from ._model import Timelines
from ._options import ReadOptions, Source, WriteOptions, Written
from ._webvtt import read_webvtt, write_webvtt

Reader = Callable[[Source, ReadOptions], Timelines]
Writer = Callable[[Timelines, WriteOptions], Written]


@dataclass(frozen=True, slots=True)
class Form:
    """One form. read is None for Parquet, which is read by its path, and for what another form reads as well.

    one_video: a file holds one video, so several need a folder. clicks: whether it can hold clicks; mixed: actions and
    clicks in one file. endings: of file names; the first is written.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    read: Reader | None
    write: Writer
    one_video: bool = False
    clicks: bool = False
    mixed: bool = True


FORMS = {
    form.name: form
    for form in (
        Form("events", "events of punctum (JSON Lines)", (".jsonl", ".ndjson"), read_events, write_events),
        Form("parquet", "events of punctum (Parquet)", (".parquet",), None, write_parquet),
        Form("activitynet", "ActivityNet JSON", (".json",), read_activitynet, write_results),
        Form("activitynet-truth", "ActivityNet ground truth", (".json",), read_activitynet, write_truth),
        Form("csv", "CSV", (".csv",), read_csv, write_csv, clicks=True, mixed=False),
        Form("webvtt", "WebVTT", (".vtt",), read_webvtt, write_webvtt, one_video=True, clicks=True),
        Form("elan", "ELAN", (".eaf",), read_elan, write_elan, one_video=True, clicks=True),
        Form("labelstudio", "Label Studio tasks", (".json",), read_labelstudio, write_labelstudio, clicks=True),
        Form("cvat", "CVAT for video 1.1", (".xml", ".zip"), read_cvat, write_cvat, one_video=True, clicks=True),
    )
}
_BY_ENDING = {ending: form.name for form in FORMS.values() for ending in form.endings if ending != ".json"}


def form_named(name: str, option: str) -> Form:
    """Raises InputError for a name that is none."""
    if name not in FORMS:
        raise InputError("form-unknown", f"{option} {name!r}", ", ".join(FORMS), f"set {option} to one of these")
    return FORMS[name]


def guess_source(source: Source) -> tuple[Form, str]:
    """Form of a file that was given, and by what it was told: its name, else its content. Raises InputError."""
    ending = Path(source.name).suffix.lower()
    name = "" if ending in (".json", ".xml") else _BY_ENDING.get(ending, "")
    if name:
        return FORMS[name], f"by its ending {ending}"
    found = _by_content(source)
    if len(found) != 1:
        raise InputError(
            "form-ambiguous" if found else "form-unknown",
            f"what {source.name} holds cannot be told"
            + (f": it may be {' or '.join(found)}" if found else " by its ending or its content"),
            ", ".join(FORMS),
            "name its form with --from",
        )
    return FORMS[found[0]], "by its content"


def guess_target(path: Path) -> tuple[Form, str]:
    """Form of a file to be written, by its name. Raises InputError."""
    ending = path.suffix.lower()
    if ending in _BY_ENDING and ending != ".zip":
        return FORMS[_BY_ENDING[ending]], f"by its ending {ending}"
    fitting = [form.name for form in FORMS.values() if ending in form.endings]
    raise InputError(
        "form-ambiguous" if fitting else "form-unknown",
        f"the form of {path} cannot be told by its name" + (f": {' or '.join(fitting)}" if fitting else ""),
        ", ".join(fitting or FORMS),
        "name the form with --to" + (f", for example --to {fitting[0]}" if fitting else ""),
    )


def _by_content(source: Source) -> list[str]:
    """Names of the forms that the content fits."""
    head = source.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:4096]
    if head.startswith((b"PAR1", b"PK")):
        return ["parquet" if head.startswith(b"PAR1") else "cvat"]
    if head.startswith(b"<"):
        tags = {b"<ANNOTATION_DOCUMENT": "elan", b"<annotations": "cvat"}
        return [name for tag, name in tags.items() if re.search(tag + rb"[\s>]", head)]
    text = source.text().lstrip()
    if text.startswith("WEBVTT"):
        return ["webvtt"]
    if SCHEMA in text.split("\n", 1)[0]:
        return ["events"]
    if text[:1] in ("{", "["):
        return _json_forms(source)
    first = text.split("\n", 1)[0]
    if re.search(r"\b(class|class_name|label)\b", first) and "," in first:
        return ["csv"]
    return []


def _json_forms(source: Source) -> list[str]:
    record = parse_json(source)
    if isinstance(record, dict) and ("results" in record or "database" in record):
        return ["activitynet"]
    return ["labelstudio"] if looks_like_tasks(record) else []
