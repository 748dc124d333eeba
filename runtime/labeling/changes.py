"""The changes that a page asks for, checked. Each has an inverse that the page can ask for, which undoes it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

from ..datasets.labeled import Labeling
from ..errors import InputError
from ..text.display import shown
from ..text.name_index import NameIndex
from ..text.names import clean_name
from .clicks import Click

MAX_CLASSES = 200
MAX_NAME, MAX_NOTE = 100, 1000
_MAX_S = 30 * 86400.0
_MAX_REACTION_S = 2.0
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Editable(Protocol):
    """What changes are made to; see `ClickStore`."""

    clicks: dict[str, Click]
    classes: list[str]
    labeling: Labeling
    videos: list[str]
    fixed: bool

    def touch(self, video: str) -> None: ...

    def now(self) -> str: ...


class Conflict(Exception):
    """Another page has changed the click. click: its state now; None if it is gone."""

    def __init__(self, click: Click | None) -> None:
        super().__init__("the click was changed elsewhere")
        self.click, self.reloaded = click, False


@dataclass(frozen=True, slots=True)
class Change:
    """A checked request. op: a key of `_OPS`; values: its arguments."""

    op: str
    annotator: str
    values: dict[str, Any]

    @classmethod
    def parse(cls, record: Any) -> Change:
        """Check the form of a request. Raises InputError."""
        if not isinstance(record, dict) or record.get("op") not in _OPS:
            raise _wrong("op", record.get("op") if isinstance(record, dict) else record)
        annotator = _text("annotator", record.get("annotator"), MAX_NAME)
        values: dict[str, Any] = {}
        for name, (check, needed) in _OPS[record["op"]].items():
            if record.get(name) is not None:
                values[name] = check(name, record[name])
            elif needed:
                raise _wrong(name, None)
        return cls(record["op"], annotator, values)

    @property
    def saves_clicks(self) -> bool:
        return self.op in ("add", "edit", "delete", "rename")

    def apply(self, store: Editable) -> dict[str, Any]:
        """Change the store in memory. Returns the event; empty if there is nothing to do."""
        event: dict[str, Any] = getattr(self, f"_{self.op}")(store)
        return event

    def _add(self, store: Editable) -> dict[str, Any]:
        v = self.values
        if v["id"] in store.clicks:  # sent again
            return {}
        click = Click(
            id=v["id"],
            label=_class(store, v["label"]),
            video=_video(store, v["video"]),
            time_s=v["time_s"],
            clicked_s=v.get("clicked_s"),
            speed=v.get("speed"),
            annotator=v.get("by", self.annotator),
            created=v.get("created") or store.now(),
            note=v.get("note", ""),
        )
        store.clicks[click.id] = click
        store.labeling.nothing.pop(click.video, None)
        store.touch(click.video)
        return {"click": click.to_record(), "nothing": store.labeling.nothing}

    def _edit(self, store: Editable) -> dict[str, Any]:
        v = self.values
        now = store.clicks.get(v["id"])
        if now is not None and all(getattr(now, name) == v[name] for name in ("label", "time_s", "note") if name in v):
            return {}  # sent again, or made by two pages
        old = self._current(store)
        changed = Click(**{name: getattr(old, name) for name in Click.__slots__})
        changed.extra = dict(old.extra)
        if "label" in v:
            changed.label = _class(store, v["label"])
        if "time_s" in v and v["time_s"] != old.time_s:
            changed.time_s = v["time_s"]
            changed.moved()
        if "note" in v:
            changed.note = v["note"]
        changed.rev += 1
        store.clicks[old.id] = changed
        store.touch(old.video)
        return {"click": changed.to_record()}

    def _delete(self, store: Editable) -> dict[str, Any]:
        if self.values["id"] not in store.clicks:  # sent again, or deleted by two pages
            return {}
        click = self._current(store)
        del store.clicks[click.id]
        store.touch(click.video)
        return {"deleted": click.id, "video": click.video}

    def _current(self, store: Editable) -> Click:
        click = store.clicks.get(self.values["id"])
        if click is None or click.rev != self.values["rev"]:
            raise Conflict(click)
        return click

    def _class(self, store: Editable) -> dict[str, Any]:
        name = self.values["label"]
        if name in store.classes:
            return {}
        _check_classes(store, [*store.classes, name])
        store.classes.append(name)
        return {"classes": list(store.classes)}

    def _rename(self, store: Editable) -> dict[str, Any]:
        old, name = _class(store, self.values["label"]), self.values["to"]
        place = store.classes.index(old)
        _check_classes(store, [*store.classes[:place], name, *store.classes[place + 1 :]])
        store.classes[place] = name
        for click in [click for click in store.clicks.values() if click.label == old]:
            fields = {field: getattr(click, field) for field in Click.__slots__}
            store.clicks[click.id] = Click(**{**fields, "label": name, "rev": click.rev + 1})
            store.touch(click.video)
        return {"classes": list(store.classes), "renamed": [old, name]}

    def _remove(self, store: Editable) -> dict[str, Any]:
        name = self.values["label"]
        if name not in store.classes:
            return {}
        _check_classes(store, [])
        if any(click.label == name for click in store.clicks.values()):
            raise InputError(
                "label-class", f"{shown(name)} has clicks", required="a class without clicks", next_step="delete them"
            )
        store.classes.remove(name)
        return {"classes": list(store.classes)}

    def _nothing(self, store: Editable) -> dict[str, Any]:
        video = _video(store, self.values["video"])
        if self.values["value"] and any(click.video == video for click in store.clicks.values()):
            raise InputError(
                "label-nothing",
                f"{video} has clicks",
                required="a video without clicks",
                next_step="delete them first",
            )
        return {"nothing": self._mark(store, store.labeling.nothing, video)}

    def _finished(self, store: Editable) -> dict[str, Any]:
        video = _video(store, self.values["video"])
        return {"finished": self._mark(store, store.labeling.finished, video)}

    def _mark(self, store: Editable, marks: dict[str, dict[str, str]], video: str) -> dict[str, dict[str, str]]:
        if self.values["value"]:
            marks.setdefault(video, {}).setdefault(self.annotator, store.now())
        else:
            marks.get(video, {}).pop(self.annotator, None)
            if not marks.get(video, True):
                del marks[video]
        return marks

    def _reaction(self, store: Editable) -> dict[str, Any]:
        store.labeling.reaction_s[self.annotator] = self.values["seconds"]
        return {"reaction_s": store.labeling.reaction_s}


def _check_classes(store: Editable, names: list[str]) -> None:
    if store.fixed:
        raise InputError(
            "label-class",
            "The classes are those of dataset.json",
            required="a folder without dataset.json to change classes here",
            next_step="change them there, and start again",
        )
    if NameIndex(names).twice(fold=True) or len(set(names)) < len(names) or len(names) > MAX_CLASSES:
        raise InputError(
            "label-class",
            f"{shown(names[-1])} cannot be added, or its name is taken",
            required=f"up to {MAX_CLASSES} classes with names that differ by more than capitalization",
            next_step="choose another name",
        )


def _class(store: Editable, name: str) -> str:
    if name not in store.classes:
        raise InputError("label-class", f"{shown(name)} is no class", ", ".join(store.classes), "add the class first")
    return name


def _video(store: Editable, name: str) -> str:
    if name not in store.videos:
        raise InputError("label-video", f"{shown(name)} is no video of this folder", next_step="load the page again")
    return name


def _wrong(name: str, value: object) -> InputError:
    return InputError(
        "label-change", f"The field {name} of a change is {shown(repr(value), 80)}", next_step="load the page again"
    )


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise _wrong(name, value)
    text = clean_name(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\u2028\u2029]+", " ", value))
    if not text or len(text) > most:
        raise _wrong(name, value)
    return text


def _name(name: str, value: object) -> str:
    return _text(name, value, MAX_NAME)


def _file(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(name, value)
    return value


def _note(name: str, value: object) -> str:
    return "" if value == "" else _text(name, value, MAX_NOTE)


def _identifier(name: str, value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise _wrong(name, value)
    return value


def _seconds(name: str, value: object, most: float = _MAX_S) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 <= value <= most
    ):
        raise _wrong(name, value)
    return round(float(value), 4)


def _speed(name: str, value: object) -> float:
    return _seconds(name, value, 16.0)


def _reaction(name: str, value: object) -> float:
    return _seconds(name, value, _MAX_REACTION_S)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, value)
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value)
    return value


_OPS: dict[str, dict[str, tuple[Any, bool]]] = {
    "add": {
        "id": (_identifier, True),
        "label": (_name, True),
        "video": (_file, True),
        "time_s": (_seconds, True),
        "clicked_s": (_seconds, False),
        "speed": (_speed, False),
        "note": (_note, False),
        "created": (_name, False),
        "by": (_name, False),
    },
    "edit": {
        "id": (_identifier, True),
        "rev": (_whole, True),
        "label": (_name, False),
        "time_s": (_seconds, False),
        "note": (_note, False),
    },
    "delete": {"id": (_identifier, True), "rev": (_whole, True)},
    "class": {"label": (_name, True)},
    "rename": {"label": (_name, True), "to": (_name, True)},
    "remove": {"label": (_name, True)},
    "nothing": {"video": (_file, True), "value": (_flag, True)},
    "finished": {"video": (_file, True), "value": (_flag, True)},
    "reaction": {"seconds": (_reaction, True)},
}
