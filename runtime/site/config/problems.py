"""Problems of a configuration: each with its place, and all of them in one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...text.display import counted, shown
from .yaml_text import Mapping, Node, Scalar
from .yaml_text import Sequence as ListNode

Location = tuple[str | int, ...]
_SECRETS = {"password", "token", "secret", "read", "operate"}
SINK_TYPES = ("jsonl", "mqtt", "kafka", "webhook", "parquet")
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        where: The fields from the top, such as ("cameras", "hall", "source").
        given: What is wrong, as the rest of a sentence that begins with the field.
        allowed: The permitted values.
        next_step: What to do about it.
        required: What is missing; instead of `allowed`.
    """

    where: Location
    given: str
    allowed: str = ""
    next_step: str = ""
    required: str = ""

    def error(self, places: Places) -> InputError:
        """The problem as an error of its own, with file and line."""
        text = self.given if self.given[:1].islower() else f": {self.given}"
        place = places.of(self.where) + (" " if text is self.given else "")
        return InputError("site-config", f"{place}{text}", self.allowed, self.next_step, required=self.required)


class SiteConfigError(InputError):
    """A configuration is wrong. `problems` has an error for each problem, in the order of the file."""

    problems: tuple[InputError, ...] = ()
    count: int = 0
    """Of all problems, of which `problems` has the first."""

    @classmethod
    def of(cls, found: Sequence[Problem], places: Places) -> SiteConfigError:
        """One error of at least one problem."""
        ordered = sorted(found, key=lambda problem: places.line(problem.where))
        errors = tuple(problem.error(places) for problem in ordered[:MOST_SHOWN])
        first, more = errors[0], len(found) - 1
        given = f"{first.given} (and {counted(more, 'more problem')})" if more else first.given
        error = cls("site-config", given, first.allowed, first.next_step, required=first.required)
        error.problems, error.count = errors, len(found)
        return error


class Places:
    """Where fields are written. root: the parsed file; None for a configuration that is in no file."""

    def __init__(self, path: Path | None = None, root: Mapping | None = None) -> None:
        self._path, self._root = path, root

    def line(self, where: Location) -> int:
        """Line of a field, or of the part around it that exists; 0 where there is no file."""
        return self._find(where)[1] if self._root is not None else 0

    def node(self, where: Location) -> Node | None:
        """The value of a field as written; None where it is not written."""
        node, _, complete = self._find(where)
        return node if complete else None

    def of(self, where: Location) -> str:
        """`site.yaml:12: cameras.hall.source`, as far as the file has it."""
        line = self.line(where)
        place = "" if self._path is None else f"{self._path}:{line}: " if line else f"{self._path}: "
        return place + field_name(self.fields(where))

    def fields(self, where: Location) -> Location:
        """A location without the parts that pydantic adds, such as the name of the chosen model of a union."""
        kept: list[str | int] = []
        node: Node | None = self._root
        for at, part in enumerate(where):
            if isinstance(part, str) and part.startswith(("dict[", "constrained-", "float", "[key]", "tuple[")):
                continue
            below = _child(node, part)
            if below is None and at == 2 and where[0] == "sinks" and part in SINK_TYPES:
                continue
            kept.append(part)
            node = below
        return tuple(kept)

    def _find(self, where: Location) -> tuple[Node | None, int, bool]:
        node: Node | None = self._root
        line, complete = 1, True
        for part in self.fields(where):
            below = _child(node, part)
            if below is None:
                complete = False
                break
            line = node.key_lines[str(part)] if isinstance(node, Mapping) else below.line
            node = below
        return node, line, complete


def _child(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, Mapping):
        return node.items.get(str(part))
    if isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
        return node.items[part]
    return None


def field_name(where: Location) -> str:
    """`cameras.hall.masks[0]`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{shown(part, 80)}"
    return text.lstrip(".") or "the file"


def given_text(where: Location, node: Node | None, value: Any) -> str:
    """A wrong value for a message. Text where a secret belongs may be the secret itself, and is not shown."""
    if any(part in _SECRETS for part in where):
        return "a value that is not shown here"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {counted(len(value), 'value')}"
    from ...credentials.redact import clean

    text = node.text if isinstance(node, Scalar) and node.plain else repr(value)
    if value is None:
        return "empty"
    return shown(clean(text), 120)


def suggestion(name: str, known: Sequence[str]) -> str:
    """Advice for a name that is none of the known ones: " did you mean `source`?", or nothing."""
    near = get_close_matches(name.lower(), [one.lower() for one in known], 1, 0.6)
    found = next((one for one in known if near and one.lower() == near[0]), None)
    return f"did you mean {found}?" if found else ""
