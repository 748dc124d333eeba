"""VGG Image Annotator 3 (VIA): projects (JSON) and exports (CSV); temporal segments are actions, instants are clicks.

`z` holds one time or two, in seconds. The class is the value of an attribute: of the only one that segments have, or of
the one named by `label_column`. Writes a project for the video annotator of VIA.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from ..text.json_types import JsonObject, JsonValue
from ..text.names import media_name
from ._events import event_losses
from ._json import brief, listed, number, parse_json, record, text_of
from ._model import Mark, Timelines, counted, gather
from ._naming import Origin, settle
from ._options import ReadOptions, Source, WriteOptions, Written

_ACTIONS, _CLICKS = "TEMPORAL-SEGMENTS", "CLICKS"
_CHECKBOX, _SELECT, _VIDEO, _LOCAL = 2, 4, 4, 1  # VIA's numbers for kinds of attributes and of files
_UNNAMED = ("_DEFAULT", "default", "Default")  # VIA's first group
_COLUMNS = "metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata"
_ALLOWED = "a project of VIA 3 (JSON), or its export as CSV"


@dataclass(frozen=True, slots=True)
class _Segment:
    """One entry: origin of its video, times, whether it has a region, and its attributes."""

    where: str
    origin: Origin
    times: list[JsonValue]
    spatial: bool
    values: JsonObject


def looks_like_via(found: JsonValue) -> TypeGuard[JsonObject]:
    """Whether JSON may be a project of VIA 3."""
    return isinstance(found, dict) and {"metadata", "view", "file"} <= found.keys()


def looks_like_via_csv(text: str) -> bool:
    """Whether a table may be an export of VIA 3."""
    return "CSV_HEADER = metadata_id" in text[:100_000] or text.startswith(_COLUMNS)


def read_via(source: Source, options: ReadOptions) -> Timelines:
    """Temporal segments and instants of every view; regions in the picture are left out and counted."""
    if source.text().lstrip()[:1] in ("{", "["):
        found = parse_json(source)
        if not looks_like_via(found):
            raise source.wrong("it is no project of VIA 3", _ALLOWED)
        attributes = record(found["attribute"]) if "attribute" in found else {}
        segments = list(_of_project(source, found))
        origins = [_origin(source, found, vid) for vid in record(found["view"])]
    else:
        attributes, segments = _of_table(source)
        origins = []
    if options.video is not None:
        raise source.wrong("`video` does not apply to VIA, whose files name their videos", "a file without `video`")
    names = settle(source.name, [*origins, *(s.origin for s in segments)], options.same_video)
    counts: Counter[str] = Counter()
    aids, notes = _attribute(source, attributes, segments, options.label_column)
    rows: list[tuple[str, Mark]] = []
    for segment, video in zip(segments, names[len(origins) :], strict=True):
        if segment.spatial or not segment.times:
            counts["region in the picture" if segment.spatial else "value of a whole file"] += 1
            continue
        if len(segment.times) > 2:
            raise source.wrong(f"{segment.where}: {len(segment.times)} times", "one time or two")
        try:
            times = [number(t) for t in segment.times]
        except ValueError as error:
            raise source.wrong(f"{segment.where}: {error}", _ALLOWED) from None
        aid = next((a for a in aids if text_of(segment.values.get(a)).strip()), aids[0])
        labels = _labels(record(attributes.get(aid)), text_of(segment.values.get(aid)))
        if not labels:
            counts["segment without a class"] += 1
        for label in labels:
            mark = Mark(video, label, times[0], times[1] if len(times) == 2 else None)
            rows.append((source.at(segment.where), mark))
    declared = [pair for aid in aids for pair in record(record(attributes.get(aid)).get("options")).items()]
    known = [text_of(v) for k, v in declared if text_of(v).strip() and (k, v) != ("default", "Default")]
    for what, count in counts.items():
        thing, _, rest = what.partition(" ")
        notes.append(f"left out: {counted(count, thing)} {rest}")
    return gather(rows, videos=names[: len(origins)], labels=known, notes=notes)


def _of_project(source: Source, found: JsonObject) -> Iterator[_Segment]:
    for mid, item in record(found["metadata"]).items():
        where = f"metadata {mid[:40]!r}"
        times = item.get("z", []) if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(times, list):
            raise source.wrong(f"{where}: {brief(item)}", _ALLOWED)
        origin = _origin(source, found, str(item.get("vid", "")))
        yield _Segment(where, origin, times, bool(listed(item.get("xy"))), record(item.get("av")))


def _origin(source: Source, found: JsonObject, vid: str) -> Origin:
    files = listed(record(record(found["view"]).get(vid)).get("fid_list"))
    file = record(record(found["file"]).get(str(files[0]))) if files else {}
    address = text_of(file.get("fname")).strip() or text_of(file.get("src")).strip()
    if not address:
        raise source.wrong(f"view {vid[:40]!r} shows no file", _ALLOWED)
    path = text_of(file.get("src")).strip() or address
    return Origin(media_name(address), path, f"view {vid}")


def _of_table(source: Source) -> tuple[JsonObject, list[_Segment]]:
    attributes: JsonObject = {}
    lines = []
    for line in source.text().split("\n"):
        name, _, rest = line.lstrip("# ").partition("=")
        if line.startswith("#"):
            if name.strip() in ("ATTRIBUTE", "ATTRIBUTES"):
                try:
                    attributes = record(json.loads(rest.strip().rstrip(",")))
                except (ValueError, RecursionError):
                    attributes = {}  # detected from the values only
            lines.append("")
        else:
            lines.append("" if line.startswith(_COLUMNS) else line)
    reader = csv.reader(io.StringIO("\n".join(lines)), strict=True)
    segments = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"line {reader.line_num}"
            if len(cells) < 6:
                raise source.wrong(f"{where} has {len(cells)} cells", _COLUMNS)
            files, times, shape, values = (_cell(source, where, cells[i]) for i in (1, 3, 4, 5))
            if not isinstance(files, list) or not files or not text_of(files[0]).strip():
                raise source.wrong(f"{where}: files {brief(files)}", _COLUMNS)
            if not isinstance(times, list):
                raise source.wrong(f"{where}: times {brief(times)}", _COLUMNS)
            path = text_of(files[0]).strip()
            segments.append(_Segment(where, Origin(media_name(path), path), times, bool(shape), record(values)))
    except csv.Error as error:
        raise source.wrong(f"line {reader.line_num} is broken ({error})", _COLUMNS) from None
    return attributes, segments


def _cell(source: Source, where: str, text: str) -> JsonValue:
    try:
        found: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        raise source.wrong(f"{where}: {text[:60]!r} is not JSON", _COLUMNS) from None
    return found


def _attribute(
    source: Source, attributes: JsonObject, segments: list[_Segment], column: str | None
) -> tuple[list[str], list[str]]:
    """The attributes that hold the class, and a note where others might."""
    named = {aid: text_of(record(a).get("aname")) or text_of(a) or aid for aid, a in attributes.items()}
    if column is not None:
        for aid in [*named, *(aid for s in segments for aid in s.values)]:
            if column in (aid, named.get(aid)):
                return [aid], []
        known = ", ".join(named.values()) or "no attributes"
        raise source.wrong(f"`label_column` is {column!r}, which is not an attribute of the file", known)
    timed = [s for s in segments if s.times and not s.spatial]
    used = list(dict.fromkeys(aid for s in timed for aid, value in s.values.items() if text_of(value)))
    ours = [aid for aid in used if named.get(aid) in (_ACTIONS, _CLICKS)]
    others = [aid for aid in used if aid not in ours]
    if ours and others and all(text_of(s.values.get(aid)) in ("", *_UNNAMED) for s in timed for aid in ours):
        ours = []  # everything is in VIA's first group, and the class stands in another column
    chosen = ours or others[:1] or [next(iter(attributes), "")]
    if len(others) > 1 or (ours and others):
        shown = ", ".join(named.get(aid, aid) for aid in used)
        return chosen, [f"classes are the values of {named.get(chosen[0], chosen[0])}, one of {shown} (`label_column`)"]
    return chosen, []


def _labels(attribute: JsonObject, value: str) -> list[str]:
    """The text of an option, of several where boxes were checked, or what was typed."""
    options = record(attribute.get("options"))
    parts = value.split(",") if attribute.get("type") == _CHECKBOX else [value]
    if value in options or not all(part in options for part in parts):
        parts = [value]
    return [label for part in parts if (label := (text_of(options.get(part)) or part).strip())]


def write_via(lines: Timelines, options: WriteOptions) -> Written:
    """A project with a view a video."""
    groups = {label: label for label in lines.classes}
    anchors = {"1": (_ACTIONS, "FILE1_Z2_XY0"), "2": (_CLICKS, "FILE1_Z1_XY0")}
    if not lines.clicks:
        del anchors["2"]
    attribute = {
        aid: {"aname": name, "anchor_id": anchor, "type": _SELECT, "desc": "", "options": groups}
        | {"default_option_id": ""}
        for aid, (name, anchor) in anchors.items()
    }
    files, views, metadata = {}, {}, {}
    for position, (video, marks) in enumerate(lines.by_video().items(), 1):
        vid = str(position)
        media = options.media_of(video)
        address = media if "://" in media else ""
        files[vid] = {"fid": vid, "fname": media, "type": _VIDEO, "loc": 2 if address else _LOCAL, "src": address}
        views[vid] = {"fid_list": [vid]}
        for row, mark in enumerate(marks):
            times = [mark.start] if mark.end is None else [mark.start, mark.end]
            values = {"2" if mark.is_click else "1": mark.label}
            metadata[f"{vid}_{row:08}"] = {"vid": vid, "flg": 0, "z": times, "xy": [], "av": values}
    project = {
        "pid": "__VIA_PROJECT_ID__",
        "rev": "__VIA_PROJECT_REV_ID__",
        "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
        "pname": "punctum",
        "data_format_version": "3.1.1",
        "creator": "punctum",
        "created": 0,
        "vid_list": list(views),
    }
    made = {
        "project": project,
        "config": {"file": {"loc_prefix": dict.fromkeys("1234", "")}, "ui": {"file_content_align": "center"}},
        "attribute": attribute,
        "file": files,
        "metadata": metadata,
        "view": views,
    }
    lost = ["confidence"] if any(mark.score is not None for mark in lines.marks) else []
    if any(media_name(options.media_of(video)) != video for video in lines.videos):
        lost.append("names of videos that differ from those of their media")
    assumed = () if options.media else (f"videos called {options.media_of('<video>')} (`media`)",)
    text = json.dumps(made, ensure_ascii=False, indent=1) + "\n"
    return Written(text, (*event_losses(lines.marks), *lost), assumed)
