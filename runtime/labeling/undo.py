"""What each change replaced, and putting exactly that back.

The server answers a change with the click, span and marks that it replaced, each before and after. To undo it, the page
sends them back: this works after a restart of the server, too. What somebody else has changed since stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..datasets.background import BackgroundRow
from ..datasets.labeled import Labeling
from ..errors import InputError
from ..text.display import shown
from .class_names import class_of, known_class
from .clicks import Click
from .editable import Conflict, Editable, span_record, unmark
from .fields import MAX_READ_S, encodes, given, wrong

MARKS = ("nothing", "finished", "partly", "confirmed")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels at one time."""

    clicks: Mapping[str, Click]
    labeling: Labeling
    classes: list[str]
    spans: Mapping[str, BackgroundRow]


def replaced(before: Labels, store: Editable, ident: str) -> dict[str, Any]:
    """What a change replaced, as `put_back` takes it.

    Args:
        before: The labels before.
        store: The labels now.
        ident: Id of the click or span that it concerns; empty if it concerns a video.
    """
    record: dict[str, Any] = {}
    if (one := before.clicks.get(ident)) is not (other := store.clicks.get(ident)):
        record["click"] = [image(one), image(other)]
    if (was := before.spans.get(ident)) is not (now := store.spans.get(ident)):
        record["span"] = [span_image(was), span_image(now)]
    marks = []
    for kind in MARKS:
        old, new = getattr(before.labeling, kind), getattr(store.labeling, kind)
        for key in [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]:
            people = old.get(key, {}).keys() | new.get(key, {}).keys()
            pairs = [(who, old.get(key, {}).get(who), new.get(key, {}).get(who)) for who in sorted(people)]
            marks += [[kind, key, who, first, second] for who, first, second in pairs if first != second]
    return record | ({"marks": marks} if marks else {})


def put_back(store: Editable, record: Mapping[str, Any]) -> dict[str, Any]:
    """Undo a change. Returns the event for pages; empty if there is nothing to do.

    Raises:
        InputError: The record is none of `replaced`, or its class or video is gone.
        Conflict: Another page has changed the click since.
    """
    event: dict[str, Any] = {}
    taken = False  # whether something that was added is taken away again
    if "click" in record:
        before, after = _pair("click", record["click"], _click)
        taken = before is None
        event |= _put_click(store, before, after)
    if "span" in record:
        row, later = _pair("span", record["span"], _span)
        taken = taken or row is None
        event |= _put_span(store, row, later)
    for kind, key, who, was, became in _marks(record.get("marks", [])):
        marks = getattr(store.labeling, kind)
        if marks.get(key, {}).get(who) != became or not _may_put(store, kind, key, who, was, taken=taken):
            continue
        if was is not None:
            marks.setdefault(key, {})[who] = was
        else:
            del marks[key][who]
            if not marks[key]:
                del marks[key]
        event[kind] = marks
    return event


def _may_put(store: Editable, kind: str, key: str, who: str, was: str | None, *, taken: bool) -> bool:
    """Whether a mark suits what the video or click is now: others may have labeled it meanwhile."""
    if was is None:
        return not (kind == "partly" and taken and store.has_clicks(key))
    if kind == "nothing":
        return not store.has_clicks(key, who)
    return kind != "confirmed" or key in store.clicks


def _put_click(store: Editable, before: Click | None, after: Click | None) -> dict[str, Any]:
    one = before or after
    if one is None:
        return {}
    now = store.clicks.get(one.id)
    for click in (before, after):
        if click is not None:  # the class may have been renamed since
            click.label = known_class(store, click.label) or click.label
    if same(image(now), image(before)):  # sent again
        return {}
    if not same(image(now), image(after)):
        raise Conflict(now)
    store.touch(one.video)
    if before is None:
        del store.clicks[one.id]
        return {"deleted": one.id, "video": one.video}
    _check_video(store, before.video)
    before.label = class_of(store, before.label)
    before.rev = 1 if now is None else now.rev + 1
    store.clicks[before.id] = before
    if now is not None or not store.labeling.nothing.get(before.video):
        return {"click": before.to_record()}
    unmark(store.labeling.nothing, before.video, before.annotator)  # made since the click was deleted
    return {"click": before.to_record(), "nothing": store.labeling.nothing}


def _put_span(store: Editable, before: BackgroundRow | None, after: BackgroundRow | None) -> dict[str, Any]:
    one = before or after
    if one is None:
        return {}
    now = store.spans.get(one.id)
    before, after = _present(store, before), _present(store, after)
    if same(span_image(now), span_image(before)) or not same(span_image(now), span_image(after)):
        return {}
    if before is None:
        del store.spans[one.id]
        return {"unbackground": one.id}
    _check_video(store, before.video)
    store.spans[before.id] = before
    return {"background": span_record(before)}


def _present(store: Editable, row: BackgroundRow | None) -> BackgroundRow | None:
    """A span whose class has its present name."""
    return None if row is None else replace(row, label=known_class(store, row.label) or row.label)


def _check_video(store: Editable, name: str) -> None:
    if name not in store.videos:
        raise InputError("label-video", f"{shown(name)} is no video of this folder", next_step="add it again")


# --- records


def image(click: Click | None) -> dict[str, Any] | None:
    """All of a click that its file has."""
    if click is None:
        return None
    record = {**click.to_record(), "time_s": round(click.time_s, 3), "extra": dict(click.extra)}
    del record["rev"]
    return record | {"clicked_s": None if click.clicked_s is None else round(click.clicked_s, 3)}


def span_image(row: BackgroundRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    times = {"start_s": round(row.start_s, 3), "end_s": round(row.end_s, 3)}
    return {**span_record(row), **times, "extra": dict(row.extra)}


def same(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether two are equal, apart from empty cells: rows of one file have all of its columns."""
    if one is None or other is None:
        return one is other
    filled = ({**record, "extra": {k: cell for k, cell in record["extra"].items() if cell}} for record in (one, other))
    return next(filled) == next(filled)


def _pair(name: str, value: object, make: Any) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise wrong(name, value)
    before, after = (None if one is None else make(name, one) for one in value)
    if before is not None and after is not None and before.id != after.id:
        raise wrong(name, value)
    return before, after


def _click(name: str, value: object) -> Click:
    if not isinstance(value, dict):
        raise wrong(name, value)
    clicked_s, speed = (None if value.get(key) is None else _number(key, value[key]) for key in ("clicked_s", "speed"))
    who, created, note = (_text(key, value.get(key)) for key in ("annotator", "created", "note"))
    ident, label, video = (given(key, value.get(key)) for key in ("id", "label", "video"))
    time_s, extra = _number("time_s", value.get("time_s")), _columns(value.get("extra"))
    return Click(ident, label, video, time_s, clicked_s, speed, who, created, note, extra=extra)


def _span(name: str, value: object) -> BackgroundRow:
    if not isinstance(value, dict):
        raise wrong(name, value)
    start_s, end_s = (_number(key, value.get(key)) for key in ("start_s", "end_s"))
    if not 0 <= start_s < end_s:
        raise wrong("end_s", end_s)
    label = "" if value.get("label") is None else given("label", value["label"])
    who, created = (_text(key, value.get(key)) for key in ("annotator", "created"))
    video, ident = (given(key, value.get(key)) for key in ("video", "id"))
    return BackgroundRow(0, video, start_s, end_s, label, who, created, ident, extra=_columns(value.get("extra")))


def _number(name: str, value: object) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(float(value)) <= MAX_READ_S:
            raise wrong(name, value)
    except OverflowError:
        raise wrong(name, value) from None
    return float(value)


def _text(name: str, value: object) -> str:
    """A cell as a file has it. It can be long: what was deleted has to come back."""
    if not isinstance(value, str) or not encodes(value):
        raise wrong(name, value)
    return value


def _columns(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise wrong("extra", value)
    return {given("extra", key): _text("extra", cell) for key, cell in value.items()}


def _marks(value: object) -> list[tuple[str, str, str, str | None, str | None]]:
    if not isinstance(value, list):
        raise wrong("marks", value)
    made = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 5 or entry[0] not in MARKS:
            raise wrong("marks", entry)
        times = [None if at is None else _text("marks", at) for at in entry[3:]]
        made.append((str(entry[0]), given("marks", entry[1]), given("marks", entry[2]), times[0], times[1]))
    return made
