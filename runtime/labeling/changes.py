"""The changes that a page asks for, checked. Each has an inverse that the page can ask for, which undoes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..datasets.background import BackgroundRow
from ..errors import InputError
from ..text.display import shown
from .class_names import MAX_CLASSES, MOST_RENAMED, check_name, check_open, class_of, known_class, no_class
from .clicks import Click
from .editable import Conflict, Editable, span_record, unmark
from .fields import MAX_NAME, OPS, identifier, seconds_field, text_field, wrong
from .undo import put_back

__all__ = ["Change", "Conflict"]

_CLASSES = ("class", "rename", "remove")


@dataclass(frozen=True, slots=True)
class Change:
    """A checked request. op: a key of `OPS`; values: its arguments; key: the same if it is sent again; age_s: seconds
    since the person made it, which can be many if the page had no connection."""

    op: str
    annotator: str
    values: dict[str, Any]
    key: str = ""
    age_s: float = 0.0

    @classmethod
    def parse(cls, record: Any) -> Change:
        """Check the form of a request. Raises InputError."""
        op = record.get("op") if isinstance(record, dict) else record
        if not isinstance(record, dict) or not isinstance(op, str) or op not in OPS:
            raise wrong("op", op)
        annotator = text_field("annotator", record.get("annotator"), MAX_NAME)
        values: dict[str, Any] = {}
        for name, (check, needed) in OPS[op].items():
            if record.get(name) is not None:
                values[name] = check(name, record[name])
            elif needed:
                raise wrong(name, None)
        key = "" if record.get("key") is None else identifier("key", record["key"])
        age_s = 0.0 if record.get("age_s") is None else seconds_field("age_s", record["age_s"])
        return cls(op, annotator, values, key, age_s)

    @property
    def saves_clicks(self) -> bool:
        return self.op in ("add", "edit", "delete", "rename") or "click" in self._restored

    @property
    def saves_spans(self) -> bool:
        return self.op in ("background", "unbackground", "rename", "remove") or "span" in self._restored

    @property
    def can_be_undone(self) -> bool:
        return self.op not in (*_CLASSES, "reaction")

    @property
    def ident(self) -> str:
        """Id of the click or span that it concerns; empty if it concerns none."""
        for pair in self._restored.values():
            for image in pair if isinstance(pair, list) else ():
                if isinstance(image, dict) and isinstance(image.get("id"), str):
                    return str(image["id"])
        return str(self.values.get("id", ""))

    @property
    def _restored(self) -> dict[str, Any]:
        return self.values.get("restore", {}) if self.op == "undo" else {}

    def apply(self, store: Editable) -> dict[str, Any]:
        """Change the store in memory. Returns the event; empty if there is nothing to do."""
        before = list(store.classes)
        event: dict[str, Any] = getattr(self, f"_{self.op}")(store)
        if event and store.classes != before:  # also one that came back with its click
            event["classes"] = list(store.classes)
        return event

    def _add(self, store: Editable) -> dict[str, Any]:
        v = self.values
        if v["id"] in store.clicks:  # sent again
            return {}
        click = Click(
            id=v["id"],
            label=class_of(store, v["label"]),
            video=_video(store, v["video"]),
            time_s=v["time_s"],
            clicked_s=v.get("clicked_s"),
            speed=v.get("speed"),
            annotator=v.get("by", self.annotator),
            created=v.get("created") or store.now(self.age_s),
            note=v.get("note", ""),
        )
        self._note_part(store, click.video)
        store.clicks[click.id] = click
        unmark(store.labeling.nothing, click.video, click.annotator)
        store.touch(click.video)
        return {"click": click.to_record(), "nothing": store.labeling.nothing}

    def _note_part(self, store: Editable, video: str) -> None:
        """An answer to a question about a video that nobody has labeled yet says nothing about the rest of it."""
        record = store.labeling
        if not self.values.get("asked"):
            if self.op == "add":
                record.partly.pop(video, None)
        elif video not in record.nothing and video not in record.finished and not store.has_clicks(video):
            self._mark_as(record.partly, video, store, value=True)

    def _background(self, store: Editable) -> dict[str, Any]:
        v = self.values
        if v["id"] in store.spans:  # sent again
            return {}
        if not v["start_s"] < v["end_s"]:  # in milliseconds, as the file has them
            raise wrong("end_s", v["end_s"])
        video, label = _video(store, v["video"]), _known(store, v["label"]) if "label" in v else ""
        self._note_part(store, video)
        by, created = v.get("by", self.annotator), v.get("created") or store.now(self.age_s)
        row = BackgroundRow(0, video, v["start_s"], v["end_s"], label, by, created, v["id"])
        store.spans[row.id] = row
        return {"background": span_record(row)}

    def _unbackground(self, store: Editable) -> dict[str, Any]:
        if store.spans.pop(self.values["id"], None) is None:  # sent again
            return {}
        return {"unbackground": self.values["id"]}

    def _confirm(self, store: Editable) -> dict[str, Any]:
        marks = store.labeling.confirmed
        if self.values["value"] and self.values["id"] not in store.clicks:
            raise Conflict(None)
        if self.values["value"] == (self.annotator in marks.get(self.values["id"], {})):
            return {}
        return {"confirmed": self._mark_as(marks, self.values["id"], store, value=self.values["value"])}

    def _edit(self, store: Editable) -> dict[str, Any]:
        v = self.values
        now = store.clicks.get(v["id"])
        wanted = {name: v[name] for name in ("label", "time_s", "note") if name in v}
        if "label" in v:
            wanted["label"] = known_class(store, v["label"]) or v["label"]
        if now is not None and all(getattr(now, name) == value for name, value in wanted.items()):
            return {}  # sent again, or made by two pages
        old = self._current(store)
        changed = Click(**{name: getattr(old, name) for name in Click.__slots__})
        changed.extra = dict(old.extra)
        if "label" in v:
            changed.label = class_of(store, v["label"])
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
        store.labeling.confirmed.pop(click.id, None)
        store.touch(click.video)
        return {"deleted": click.id, "video": click.video}

    def _current(self, store: Editable) -> Click:
        """The click, if it is what the page knows. Its content tells that also after a restart of the server."""
        click, was = store.clicks.get(self.values["id"]), self.values["was"]
        if click is None:
            raise Conflict(None)
        label = known_class(store, was.label) or was.label
        if (click.label, round(click.time_s, 3)) != (label, was.time_s) or click.note not in was.notes:
            raise Conflict(click)
        return click

    def _class(self, store: Editable) -> dict[str, Any]:
        name = self.values["label"]
        if name in store.classes:
            return {}
        check_name(store, name, store.classes)
        if len(store.classes) >= MAX_CLASSES:
            raise InputError(
                "label-class",
                f"{shown(name)} cannot be added: there are {len(store.classes)} classes",
                required=f"up to {MAX_CLASSES}",
                next_step="remove a class that has no click",
            )
        store.classes.append(name)
        return {"classes": list(store.classes)}

    def _rename(self, store: Editable) -> dict[str, Any]:
        old, name = self.values["label"], self.values["to"]
        if old not in store.classes and name in store.classes:  # sent again
            return {}
        if old not in store.classes:
            raise no_class(store, old)
        place = store.classes.index(old)
        check_name(store, name, [*store.classes[:place], *store.classes[place + 1 :]])
        store.classes[place] = name
        store.labeling.renamed = [*store.labeling.renamed, (old, name)][-MOST_RENAMED:]
        for click in [click for click in store.clicks.values() if click.label == old]:
            fields = {field: getattr(click, field) for field in Click.__slots__}
            store.clicks[click.id] = Click(**{**fields, "label": name, "rev": click.rev + 1})
            store.touch(click.video)
        for row in [row for row in store.spans.values() if row.label == old]:
            store.spans[row.id] = replace(row, label=name)
        return {"renamed": [old, name]}

    def _remove(self, store: Editable) -> dict[str, Any]:
        name = self.values["label"]
        if name not in store.classes:
            return {}
        check_open(store)
        if any(click.label == name for click in store.clicks.values()):
            raise InputError(
                "label-class", f"{shown(name)} has clicks", required="a class without clicks", next_step="delete them"
            )
        for row in [row for row in store.spans.values() if row.label == name]:
            del store.spans[row.id]
        store.classes.remove(name)
        return {"classes": list(store.classes)}

    def _nothing(self, store: Editable) -> dict[str, Any]:
        """Each annotator decides this alone: clicks of others stay, and "Agreement" lists the two as a conflict."""
        video = _video(store, self.values["video"])
        if self.values["value"] and store.has_clicks(video, self.annotator):
            raise InputError(
                "label-nothing",
                f"{video} has clicks of {self.annotator}",
                required="a video without clicks of this annotator",
                next_step="delete them first",
            )
        if self.values["value"]:
            store.labeling.partly.pop(video, None)
        return {"nothing": self._mark(store, store.labeling.nothing, video)}

    def _finished(self, store: Editable) -> dict[str, Any]:
        video = _video(store, self.values["video"])
        if self.values["value"]:
            store.labeling.partly.pop(video, None)
        return {"finished": self._mark(store, store.labeling.finished, video)}

    def _mark(self, store: Editable, marks: dict[str, dict[str, str]], video: str) -> dict[str, dict[str, str]]:
        return self._mark_as(marks, video, store, value=self.values["value"])

    def _mark_as(
        self, marks: dict[str, dict[str, str]], key: str, store: Editable, *, value: bool
    ) -> dict[str, dict[str, str]]:
        if value:
            marks.setdefault(key, {}).setdefault(self.annotator, store.now(self.age_s))
        else:
            unmark(marks, key, self.annotator)
        return marks

    def _undo(self, store: Editable) -> dict[str, Any]:
        return put_back(store, self.values["restore"])

    def _reaction(self, store: Editable) -> dict[str, Any]:
        store.labeling.reaction_s[self.annotator] = self.values["seconds"]
        return {"reaction_s": store.labeling.reaction_s}


def _known(store: Editable, name: str) -> str:
    if (label := known_class(store, name)) is None:
        raise no_class(store, name)
    return label


def _video(store: Editable, name: str) -> str:
    if name not in store.videos:
        raise InputError("label-video", f"{shown(name)} is no video of this folder", next_step="load the page again")
    return name
