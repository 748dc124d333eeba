"""Detection of the format of a file by its content."""

from __future__ import annotations

import re

from ..events.event import SCHEMA
from ..text.delimited import TableError, read_table
from ._boris import looks_like_boris
from ._boris_tables import looks_like_boris_table
from ._csv import looks_like_csv
from ._elan_text import looks_like_elan_text
from ._framewise import looks_like_frames
from ._json import parse_json
from ._labelstudio import looks_like_table, looks_like_tasks
from ._options import Source
from ._soccernet import looks_like_soccernet
from ._srt import looks_like_srt
from ._thumos import looks_like_thumos
from ._via import looks_like_via, looks_like_via_csv

_SAMPLE = 200_000  # characters of a table that are examined


def formats_by_content(source: Source) -> list[str]:
    """Names of the formats that match. Raises InputError for content that is neither text nor a known archive."""
    head = source.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:4096]
    if head.startswith((b"PAR1", b"PK\x03\x04", b"PK\x05\x06")):
        return ["parquet" if head.startswith(b"PAR1") else "cvat"]
    if head.startswith(b"<"):
        tags = {b"<ANNOTATION_DOCUMENT": "elan", b"<annotations": "cvat"}
        return [name for tag, name in tags.items() if re.search(tag + rb"[\s>]", head)]
    text = source.text().lstrip()
    if re.match(r"WEBVTT(?:\s|$)", text):
        return ["webvtt"]
    if text[:1] == "{" and SCHEMA in text.split("\n", 1)[0]:
        return ["events"]
    if text[:1] in ("{", "["):
        return _json_formats(source)
    if looks_like_srt(text):
        return ["srt"]
    return _text_formats(text)


def _json_formats(source: Source) -> list[str]:
    record = parse_json(source)
    found = []
    if isinstance(record, dict) and ("results" in record or "database" in record):
        found.append("activitynet")
    for name, fits in (
        ("soccernet", looks_like_soccernet),
        ("via", looks_like_via),
        ("boris", looks_like_boris),
        ("labelstudio", looks_like_tasks),
    ):
        if fits(record):
            found.append(name)
    return found


def _text_formats(text: str) -> list[str]:
    """Formats of tables and lines. A header takes precedence over the look of lines."""
    sample = text if len(text) <= _SAMPLE else text[:_SAMPLE].rpartition("\n")[0]
    if looks_like_via_csv(sample):
        return ["via"]
    try:
        table = read_table(sample)
    except TableError:
        table = None
    if table is not None:
        for name, fits in (("boris", looks_like_boris_table), ("labelstudio", looks_like_table)):
            if fits(table):
                return [name]
    if looks_like_elan_text(sample):
        return ["elan-text"]
    if table is not None and looks_like_csv(table):
        return ["csv"]
    return [name for name, fits in (("thumos", looks_like_thumos), ("frames", looks_like_frames)) if fits(sample)]
