"""The fields of changes that pages ask for: their names, and the form that each must have."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..text.display import is_plain, shown
from ..text.names import clean_name

MAX_NAME, MAX_NOTE = 100, 1000
MAX_GIVEN = 10_000
"""Characters of a name that is in the files already, whoever wrote it."""
FORMULA = ("=", "+", "-", "@")
"""How cells begin that spreadsheets take for a formula."""
_MAX_S = 30 * 86400.0
MAX_READ_S = 1e12
"""Largest time that is accepted, from pages and from files."""
MAX_REACTION_S = 2.0
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]+")
_UNSEEN = re.compile(
    "[\xad\u061c\u180e\u200b\u200e\u200f\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\uffff\U000e0000-\U000e0fff]+"
)


def wrong(name: str, value: object) -> InputError:
    return InputError(
        "label-change", f"The field {name} of a change is {shown(repr(value), 80)}", next_step="load the page again"
    )


def text_field(name: str, value: object, most: int) -> str:
    """Text of one line that can be seen: control characters become spaces, and invisible ones are dropped."""
    if not isinstance(value, str):
        raise wrong(name, value)
    text = clean_name(_UNSEEN.sub("", _BREAKS.sub(" ", value)))
    if not bare(text) or len(text) > most:
        raise wrong(name, value)
    return text


def bare(text: str) -> str:
    """A name without what cannot be seen, and without capitals: two classes must differ in it."""
    return "".join(c for c in text if unicodedata.category(c) != "Cf").casefold().strip()


def class_problem(name: str) -> str:
    """Why a name cannot be that of a new class, as the end of a sentence; empty if it can."""
    if not bare(name) or not is_plain(name):
        return "has characters that cannot be seen"
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters"
    if name.startswith(FORMULA):
        return f"begins with {name[0]}, which spreadsheets take for a formula"
    return ""


def _name(name: str, value: object) -> str:
    return text_field(name, value, MAX_NAME)


def given(name: str, value: object) -> str:
    """A name or an id that the files have: as it is there, since another program may have written it."""
    if not isinstance(value, str) or not value or len(value) > MAX_GIVEN or not encodes(value):
        raise wrong(name, value)
    return value


def encodes(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text) and "\0" not in text


def _note(name: str, value: object) -> str:
    return "" if value == "" else text_field(name, value, MAX_NOTE)


def identifier(name: str, value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise wrong(name, value)
    return value


def number_field(name: str, value: object, most: float, digits: int) -> float:
    """A number from 0 to `most`, rounded."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:  # NaN is neither
        raise wrong(name, value)
    return round(float(value), digits) + 0.0  # -0.0 is 0


def seconds_field(name: str, value: object) -> float:
    """A time on the media clock, as the files have it: in milliseconds."""
    return number_field(name, value, _MAX_S, 3)


def speed_field(name: str, value: object) -> float:
    return number_field(name, value, 16.0, 4)


def _reaction(name: str, value: object) -> float:
    return number_field(name, value, MAX_REACTION_S, 4)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong(name, value)
    return value


def _record(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(name, value)
    return value


@dataclass(frozen=True, slots=True)
class Known:
    """What a page knows of a click that it changes. notes: the note as it is there, and as the server writes it."""

    label: str
    time_s: float
    notes: tuple[str, ...]


def _known(name: str, value: object) -> Known:
    if not isinstance(value, dict):
        raise wrong(name, value)
    time_s, note = value.get("time_s"), value.get("note")
    if isinstance(time_s, bool) or not isinstance(time_s, int | float) or not abs(time_s) <= MAX_READ_S:
        raise wrong(name, value)
    if not isinstance(note, str) or not encodes(note):
        raise wrong(name, value)
    notes = [note]
    with contextlib.suppress(InputError):
        notes.append(_note(name, note))
    return Known(given(name, value.get("label")), round(float(time_s), 3), tuple(notes))


OPS: dict[str, dict[str, tuple[Any, bool]]] = {
    "add": {
        "id": (identifier, True),
        "label": (given, True),
        "video": (given, True),
        "time_s": (seconds_field, True),
        "clicked_s": (seconds_field, False),
        "speed": (speed_field, False),
        "note": (_note, False),
        "created": (_name, False),
        "by": (_name, False),
        "asked": (_flag, False),
    },
    "edit": {
        "id": (given, True),
        "was": (_known, True),
        "label": (given, False),
        "time_s": (seconds_field, False),
        "note": (_note, False),
    },
    "delete": {"id": (given, True), "was": (_known, True)},
    "class": {"label": (_name, True)},
    "rename": {"label": (given, True), "to": (_name, True)},
    "remove": {"label": (given, True)},
    "nothing": {"video": (given, True), "value": (_flag, True)},
    "background": {
        "id": (identifier, True),
        "video": (given, True),
        "start_s": (seconds_field, True),
        "end_s": (seconds_field, True),
        "label": (given, False),
        "created": (_name, False),
        "by": (_name, False),
        "asked": (_flag, False),
    },
    "unbackground": {"id": (given, True)},
    "confirm": {"id": (given, True), "value": (_flag, True)},
    "finished": {"video": (given, True), "value": (_flag, True)},
    "reaction": {"seconds": (_reaction, True)},
    "undo": {"restore": (_record, True)},
}
