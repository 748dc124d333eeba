"""The value of `--part`: a source, and options after commas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from punctum.runtime.bundle.limits import DIMENSION, NAME_CHARACTERS, SNIPPET_FRAMES
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import is_plain, shown

Frames = Literal["middle", "last", "mean"]
Give = Literal["features", "change", "both"]
_CHOICES: dict[str, tuple[str, ...]] = {
    "frames": get_args(Frames),
    "give": get_args(Give),
    "weights": ("published", "random"),
}
_NUMBERS = {"lag": SNIPPET_FRAMES, "components": DIMENSION}
_TEXTS = ("name", "spec", "license", "publisher")
_KEYS = (*_TEXTS, *_CHOICES, *_NUMBERS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class PartOptions:
    """What the user states about a part.

    Attributes:
        source: A known name, an ONNX file or a backbone folder.
        name: Name in records; None: from the source.
        spec: Spec file of an ONNX file; None: the file of the same name that ends in .json.
        frames: For image networks: the middle or the last frame of the snippet, or the mean over the clip; None: by
            the spec.
        give: The features, their change, or both.
        lag: Number of snippets that the change looks back.
        components: Principal components to keep; None: all columns.
        random: Random instead of published weights.
        license: License of a network that is not known; None: as the source says.
        publisher: Likewise its publisher.
    """

    source: str
    name: str | None = None
    spec: str | None = None
    frames: Frames | None = None
    give: Give = "features"
    lag: int = 1
    components: int | None = None
    random: bool = False
    license: str | None = None
    publisher: str | None = None


def parse_part(text: str) -> PartOptions:
    """Read `SOURCE[,OPTION=VALUE...]`.

    Raises:
        InputError: An option is unknown, given twice, or has a wrong value.
    """
    source, *pairs = re.split(r",(?=[A-Za-z_]+=)", text)
    given: dict[str, str] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in _KEYS:
            raise _wrong(text, f"has the option {shown(key, 40)}", ", ".join(_KEYS))
        if key in given:
            raise _wrong(text, f"has {key} twice", "each option once")
        given[key] = value
    if not source:
        raise _wrong(text, "names no source", "a known name, an ONNX file or a backbone folder")
    for key, choices in _CHOICES.items():
        if key in given and given[key] not in choices:
            raise _wrong(text, f"has {key}={shown(given[key], 40)}", ", ".join(choices))
    numbers = {key: _number(text, key, given[key]) for key in _NUMBERS if key in given}
    for key in _TEXTS:
        if key in given and not (given[key] and is_plain(given[key]) and len(given[key]) <= 1000):
            raise _wrong(text, f"has {key}={shown(given[key], 40)}", "up to 1,000 printable characters")
    if "name" in given and not (_NAME.fullmatch(given["name"]) and len(given["name"]) <= NAME_CHARACTERS):
        raise _wrong(text, f"has name={shown(given['name'], 40)}", "letters, digits, dots, dashes and underscores")
    if "lag" in given and given.get("give", "features") == "features":
        raise _wrong(text, "has lag, which has no effect without a change", "give=change or give=both with lag")
    return PartOptions(
        source=source,
        name=given.get("name"),
        spec=given.get("spec"),
        frames=given.get("frames"),  # type: ignore[arg-type]  # checked above
        give=given.get("give", "features"),  # type: ignore[arg-type]
        lag=numbers.get("lag", 1),
        components=numbers.get("components"),
        random=given.get("weights") == "random",
        license=given.get("license"),
        publisher=given.get("publisher"),
    )


def _number(text: str, key: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value) or not 1 <= int(value) <= _NUMBERS[key]:
        raise _wrong(text, f"has {key}={shown(value, 40)}", f"a whole number from 1 to {_NUMBERS[key]:,}")
    return int(value)


def _wrong(text: str, given: str, allowed: str) -> InputError:
    return InputError("part-option", f"`part` {shown(text, 120)} {given}", allowed, "correct `part`")
