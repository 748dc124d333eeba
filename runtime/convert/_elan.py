"""ELAN's .eaf, version 3.0: one tier per class; the class is also the value of its annotations. One video per file.

Annotations of a tier must not overlap, so overlapping actions of a class go to tiers "take #2" and so on. ELAN knows no
instants: a click is an annotation of a tenth of a second from the click on, in a tier of type "click". Milliseconds.
"""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit
from xml.etree.ElementTree import Element, SubElement

from ..errors import InputError
from ..text.numbers import shown
from ._events import event_losses
from ._frames import grid_losses
from ._model import Mark, Timelines, counted, gather
from ._options import ReadOptions, Source, WriteOptions, Written
from ._xml import parse_xml, to_xml

CLICK_MS = 100
_LATEST_MS = 0xFFFFFFFF  # the schema's unsigned int
_ACTION, _CLICK = "action", "click"  # linguistic types of our tiers
_SUFFIX = re.compile(r"( \(clicks\))?( #\d+)?$")
_PROPERTY = "punctum.video"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_ALLOWED = "an .eaf file of ELAN, times in milliseconds"
# Every file of ELAN declares its four constraints, used or not.
_CONSTRAINTS = {
    "Time_Subdivision": "Time subdivision of parent annotation's time interval, no time gaps allowed within this "
    "interval",
    "Symbolic_Subdivision": "Symbolic subdivision of a parent annotation. Annotations referring to the same parent are "
    "ordered",
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed",
}


def read_elan(source: Source, options: ReadOptions) -> Timelines:
    """Time-aligned annotations of all tiers, tier by tier; what has no time of its own is left out and counted."""
    root = parse_xml(source, _ALLOWED)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise source.wrong(f"its root is {root.tag}", _ALLOWED)
    header = root.find("HEADER")
    header = Element("HEADER") if header is None else header
    if (units := header.get("TIME_UNITS", "milliseconds")) != "milliseconds":
        raise source.wrong(f"times in {units}", _ALLOWED)
    media = header.find("MEDIA_DESCRIPTOR")
    origin = 0 if media is None else _integer(source, media.get("TIME_ORIGIN", "0"))
    video = options.video or _video(header, media) or source.stem
    slots = {}
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        if (value := slot.get("TIME_VALUE")) is not None:
            slots[slot.get("TIME_SLOT_ID")] = _integer(source, value)
    rows, labels = [], []
    dependent = floating = unread = 0
    for tier in root.iterfind("TIER"):
        name, kind = tier.get("TIER_ID", ""), tier.get("LINGUISTIC_TYPE_REF")
        ours = kind in (_ACTION, _CLICK)
        of_tier = _class_of(tier, name) if ours else name
        if ours:
            labels.append(of_tier)
        dependent += len(tier.findall("ANNOTATION/REF_ANNOTATION"))
        for item in tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION"):
            start, end = slots.get(item.get("TIME_SLOT_REF1")), slots.get(item.get("TIME_SLOT_REF2"))
            if start is None or end is None:
                floating += 1
                continue
            value = (item.findtext("ANNOTATION_VALUE") or "").strip()
            unread += options.names == "tier" and value not in ("", of_tier)
            label = of_tier if options.names == "tier" or not value else re.sub(r"[\t\n]+", " ", value)
            click = kind == _CLICK and options.clicks != "none"
            mark = Mark(video, label, (start + origin) / 1000, None if click else (end + origin) / 1000)
            rows.append((f"{source.name}: tier {name!r}, annotation {item.get('ANNOTATION_ID')}", mark))
    notes = [
        f"left out: {counted(number, 'annotation')} {what}"
        for number, what in (
            (dependent, "that refer to others and have no time of their own"),
            (floating, "without a time"),
        )
        if number
    ]
    notes += [f"left out: values of {counted(unread, 'annotation')}"] if unread else []
    notes += [f"times moved by {origin} ms, the time origin of the media"] if origin else []
    return gather(rows, videos=[video], labels=labels, notes=notes)


def _class_of(tier: Element, name: str) -> str:
    """The class of a tier that was written here: `take #2 (clicks)` may be the second tier of a class, or its name."""
    base = _SUFFIX.sub("", name)
    values = {(item.text or "").strip() for item in tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION/ANNOTATION_VALUE")}
    written = values - {""}
    if base in written:
        return base
    return written.pop() if len(written) == 1 else name.removesuffix(" (clicks)")


def write_elan(lines: Timelines, options: WriteOptions) -> Written:
    """Raises InputError for a time that the format cannot represent."""
    (video,) = lines.videos
    tiers = _tiers(lines, options)
    spans = [span for _, _, marks in tiers for span, _ in marks]
    if spans and max(end for _, end in spans) > _LATEST_MS:
        raise InputError(
            "elan-time", f"{video} has annotations after 49 days", "times up to 4294967 s", "cut the recording"
        )
    root = Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "punctum",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    SubElement(header, "MEDIA_DESCRIPTOR", _descriptor(video, options))
    SubElement(header, "PROPERTY", {"NAME": _PROPERTY}).text = video
    SubElement(header, "PROPERTY", {"NAME": "lastUsedAnnotationId"}).text = str(len(spans))
    _annotations(root, tiers)
    for kind in (_ACTION, _CLICK):
        facts = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": kind, "TIME_ALIGNABLE": "true"}
        SubElement(root, "LINGUISTIC_TYPE", facts)
    for name, text in _CONSTRAINTS.items():
        SubElement(root, "CONSTRAINT", {"DESCRIPTION": text, "STEREOTYPE": name})
    lost = ["confidence"] if any(mark.score is not None for mark in lines.marks) else []
    lost += grid_losses(lines.marks, 1000, "0.001 s")
    assumed = () if options.media else (f"media in the same folder, called {options.media_of('<video>')} (`media`)",)
    return Written(to_xml(root), (*event_losses(lines.marks), *lost), assumed)


Span = tuple[int, int]
Tier = tuple[str, str, list[tuple[Span, str]]]  # its name, its type, and its annotations by time


def _tiers(lines: Timelines, options: WriteOptions) -> list[Tier]:
    """A tier a class and kind, and more where annotations overlap. Classes without a mark have an empty one."""
    tiers: list[Tier] = []
    used: set[str] = set()

    def add(label: str, kind: str) -> Tier:
        base = f"{label} (clicks)" if kind == _CLICK else label
        name, number = base, 1
        while name in used:
            number += 1
            name = f"{base} #{number}"
        used.add(name)
        tier: Tier = (name, kind, [])
        tiers.append(tier)
        return tier

    for label in lines.classes:
        for kind in (_ACTION, _CLICK):
            marks = [m for m in lines.marks if m.label == label and m.is_click == (kind == _CLICK)]
            layers: list[Tier] = [add(label, kind)] if marks or options.clicking == (kind == _CLICK) else []
            for start, end in sorted(_span(mark) for mark in marks):
                layer = next((t for t in layers if not t[2] or t[2][-1][0][1] <= start), None)
                if layer is None:
                    layers.append(layer := add(label, kind))
                layer[2].append(((start, end), label))
    return tiers


def _annotations(root: Element, tiers: Iterable[Tier]) -> None:
    """TIME_ORDER, with slots of its own for every annotation as ELAN has them, and the tiers."""
    tiers = list(tiers)
    ends = [
        (t, i, k) for i, span in enumerate(s for _, _, marks in tiers for s, _ in marks) for k, t in enumerate(span)
    ]
    order = SubElement(root, "TIME_ORDER")
    slot_of = {}
    for number, (time, annotation, which) in enumerate(sorted(ends), 1):
        slot_of[annotation, which] = f"ts{number}"
        SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": f"ts{number}", "TIME_VALUE": str(time)})
    number = 0
    for name, kind, marks in tiers:
        tier = SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": kind, "TIER_ID": name})
        for _, label in marks:
            facts = {"TIME_SLOT_REF1": slot_of[number, 0], "TIME_SLOT_REF2": slot_of[number, 1]}
            number += 1
            item = SubElement(
                SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{number}", **facts}
            )
            SubElement(item, "ANNOTATION_VALUE").text = label


def _span(mark: Mark) -> Span:
    start = round(mark.start * 1000)
    return start, start + CLICK_MS if mark.end is None else max(round(mark.end * 1000), start + 1)


def _descriptor(video: str, options: WriteOptions) -> dict[str, str]:
    """As in ELAN: an absolute address, and the path from the file. Unknown media are assumed next to the output."""
    media = options.media_of(video)
    kind = mimetypes.guess_type(media)[0] or "unknown"
    if "://" in media:
        return {"MEDIA_URL": media, "MIME_TYPE": kind}
    path = (Path(media) if options.media else options.root / media).absolute()
    nearby = Path(os.path.relpath(path, options.target.absolute().parent)).as_posix()
    return {"MEDIA_URL": path.as_uri(), "MIME_TYPE": kind, "RELATIVE_MEDIA_URL": quote(f"./{nearby}", safe="/.-_~")}


def _video(header: Element, media: Element | None) -> str:
    for item in header.iterfind("PROPERTY"):
        if item.get("NAME") == _PROPERTY and item.text:
            return item.text
    if media is None:
        return ""
    address = media.get("MEDIA_URL") or media.get("RELATIVE_MEDIA_URL") or ""
    return PurePosixPath(unquote(urlsplit(address.replace("\\", "/")).path)).stem


def _integer(source: Source, text: str) -> int:
    if not re.fullmatch(r"\s*[-+]?\d{1,15}\s*", text, re.ASCII):
        raise source.wrong(f"{shown(text)} is not a number of milliseconds", _ALLOWED)
    return int(text)
