"""YAML with line numbers, and without its surprises.

PyYAML's safe loader splits the text into events. Values are made here, by the rules of YAML 1.2: `on`, `no`, 08:00 and
2026-05-01 are text, numbers and true, false and null are not. Anchors, aliases and merge keys work; their expansion is
limited. Keys that are repeated, tags and several documents are refused.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

from ...errors import InputError, MissingDependencyError
from ...files.regular import read_regular
from ...text.display import shown
from ...text.file_kinds import kind_of

MOST_BYTES = 1 << 20
MOST_DEPTH = 16
MOST_VALUES = 200_000  # after the expansion of aliases

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None}
_CONSTANTS |= dict.fromkeys(("null", "Null", "NULL"))
_CONSTANTS |= dict.fromkeys(("true", "True", "TRUE"), True)
_CONSTANTS |= dict.fromkeys(("false", "False", "FALSE"), False)
_TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as written, from line `line`; plain: without quotes."""

    text: str
    plain: bool
    line: int

    @property
    def value(self) -> str | int | float | bool | None:
        """The value by the rules of YAML 1.2."""
        if not self.plain:
            return self.text
        if self.text in _CONSTANTS:
            return _CONSTANTS[self.text]
        if _INTEGER.fullmatch(self.text):
            return int(self.text)
        if _FLOAT.fullmatch(self.text):
            return float(self.text)
        if _INFINITE.fullmatch(self.text):
            return float(self.text.replace(".", "").lower())
        return self.text


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """A mapping. key_lines: line of each key."""

    line: int
    items: dict[str, Node] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)


Node = Union[Scalar, Sequence, Mapping]  # noqa: UP007 - evaluated while the classes refer to it


def yaml_error(
    path: Path, line: int, given: str, next_step: str, *, required: str = "", allowed: str = ""
) -> InputError:
    """An error about one line. line: from 1; 0: about the file."""
    place = f"{path}:{line}" if line else str(path)
    return InputError("site-yaml", f"{place}: {given}", allowed, next_step, required=required)


def read_yaml(path: Path) -> Mapping:
    """Read a file whose content is one mapping. Raises InputError, which names the line."""
    return parse_yaml(_read(path), path)


def parse_yaml(text: str, path: Path) -> Mapping:
    """Parse a text. path: for messages. Raises InputError."""
    try:
        import yaml
    except ImportError:
        raise MissingDependencyError("pyyaml", "serve", "reading the configuration of a site") from None
    try:
        root = _Composer(path, yaml).compose(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise _syntax_error(path, text, error) from None
    if root is None or (isinstance(root, Scalar) and root.value is None):
        raise yaml_error(
            path, 0, "the file is empty", "write it as the example in the documentation", required="bundles"
        )
    if not isinstance(root, Mapping):
        what = "a list" if isinstance(root, Sequence) else "a single value"
        raise yaml_error(path, root.line, f"the file contains {what}", "name the fields", required="fields and values")
    return root


def _read(path: Path) -> str:
    wrong = ""
    try:
        data = read_regular(path, MOST_BYTES + 1)
    except IsADirectoryError:
        raise yaml_error(path, 0, "this is a folder", "name the file in it", required="a YAML file") from None
    except FileNotFoundError:
        raise yaml_error(path, 0, "this file does not exist", "check the path", required="a YAML file") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise yaml_error(path, 0, f"the file cannot be read ({why})", "check path and permissions") from None
    if len(data) > MOST_BYTES:
        wrong = f"the file has more than {MOST_BYTES >> 20} MB"
    elif b"\0" in data[:4096] and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        wrong = f"the file is no text{_kind(data)}"
    if wrong:
        raise yaml_error(path, 0, wrong, "check the path", required="a YAML file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise yaml_error(path, line, "the text is not UTF-8", "save the file as UTF-8", required="UTF-8") from None


def _kind(data: bytes) -> str:
    found = kind_of(data[:4096])
    return f": it is {found}" if found else ""


def _syntax_error(path: Path, text: str, error: Any) -> InputError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:  # of the reader: a character that YAML does not allow
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        return yaml_error(
            path, line, f"the character {getattr(error, 'character', 0):#04x} is not allowed", "remove it"
        )
    problem = str(getattr(error, "problem", "") or error)
    if "'\\t'" in problem:
        return yaml_error(path, mark.line + 1, "the line is indented with a tab", "use spaces", required="spaces")
    opened = getattr(error, "context_mark", None)
    where = f", in what begins in line {opened.line + 1}" if opened is not None and opened.line != mark.line else ""
    return yaml_error(
        path,
        mark.line + 1,
        f"this is not YAML: {shown(problem)} at column {mark.column + 1}{where}",
        "check indentation, colons and quotes near this line",
    )


class _Composer:
    """Makes nodes of events without recursion."""

    def __init__(self, path: Path, yaml: Any) -> None:
        self._path, self._yaml = path, yaml
        self._anchors: dict[str, Node] = {}
        self._unfinished: list[Node] = []
        self._keys: list[tuple[str, int] | None] = []
        self._merges: list[list[tuple[Mapping, int]]] = []
        self._root: Node | None = None
        self._inherited = 0

    def compose(self, events: Iterator[Any]) -> Node | None:
        yaml, documents = self._yaml, 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    line = event.start_mark.line + 1
                    raise yaml_error(self._path, line, "a second document begins", "keep one", required="one document")
            elif isinstance(event, yaml.ScalarEvent):
                self._tag(event)
                self._add(Scalar(event.value, event.implicit[0], event.start_mark.line + 1), event.anchor)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                self._end()
        return self._root

    def _tag(self, event: Any) -> None:
        allowed = _TEXT_TAGS if isinstance(event, self._yaml.ScalarEvent) else (None, "!")
        if event.tag not in allowed:
            line = event.start_mark.line + 1
            raise yaml_error(self._path, line, f"the tag {shown(event.tag, 60)} is not used here", "remove it")

    def _begin(self, event: Any) -> None:
        self._tag(event)
        line = event.start_mark.line + 1
        if len(self._unfinished) >= MOST_DEPTH:
            raise yaml_error(self._path, line, f"values are nested more than {MOST_DEPTH} deep", "correct the nesting")
        mapping = isinstance(event, self._yaml.MappingStartEvent)
        node: Node = Mapping(line) if mapping else Sequence(line)
        self._add(node, event.anchor)
        self._unfinished.append(node)
        self._keys.append(None)
        self._merges.append([])

    def _end(self) -> None:
        node, merges = self._unfinished.pop(), self._merges.pop()
        self._keys.pop()
        if isinstance(node, Mapping):
            for other, line in merges:
                self._inherited += len(other.items)
                if self._inherited > MOST_VALUES:
                    raise yaml_error(self._path, line, f"<< adds more than {MOST_VALUES} fields", "use fewer aliases")
                for key, value in other.items.items():
                    if key not in node.items:
                        node.items[key], node.key_lines[key] = value, line

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        node = self._anchors.get(event.anchor)
        if node is None:
            raise yaml_error(self._path, line, f"there is no anchor &{shown(event.anchor, 60)}", "define it above")
        if any(node is one for one in self._unfinished):
            raise yaml_error(self._path, line, f"*{shown(event.anchor, 60)} contains itself", "remove the alias")
        self._add(node, None, line)

    def _add(self, node: Node, anchor: str | None, line: int = 0) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._unfinished:
            self._root = node
            return
        parent, key = self._unfinished[-1], self._keys[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif isinstance(parent, Mapping) and key is None:
            self._keys[-1] = self._key(parent, node, line or node.line)
        elif isinstance(parent, Mapping) and key is not None:
            self._keys[-1] = None
            if key[0] == "<<":
                self._merges[-1] += self._merged(node, key[1])
            else:
                parent.items[key[0]], parent.key_lines[key[0]] = node, key[1]

    def _key(self, parent: Mapping, node: Node, line: int) -> tuple[str, int]:
        if not isinstance(node, Scalar):
            raise yaml_error(self._path, line, "a name is a list or mapping", "write text before the colon")
        if node.text in parent.items:
            raise yaml_error(
                self._path,
                line,
                f"{shown(node.text, 80)} is given a second time, after line {parent.key_lines[node.text]}",
                "keep one of them",
                required="each name once",
            )
        return node.text, line

    def _merged(self, node: Node, line: int) -> list[tuple[Mapping, int]]:
        parts = node.items if isinstance(node, Sequence) else [node]
        found = [(part, line) for part in parts if isinstance(part, Mapping)]
        if len(found) != len(parts) or any(part is one for part, _ in found for one in self._unfinished):
            raise yaml_error(self._path, line, "<< takes the fields of a mapping", "write `<<: *ANCHOR`")
        return found


class Values:
    """Nodes as Python values: dict, tuple, str, int, float, bool and None.

    Raises InputError where aliases expand to more than MOST_VALUES values, or to more than MOST_DEPTH levels.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0

    def of(self, node: Node, depth: int = 0) -> Any:
        self._count += 1
        if self._count > MOST_VALUES or depth > MOST_DEPTH:
            what = f"{MOST_VALUES} values" if depth <= MOST_DEPTH else f"{MOST_DEPTH} levels"
            raise yaml_error(self._path, node.line, f"aliases expand to more than {what}", "use fewer aliases")
        if isinstance(node, Scalar):
            return node.value
        if isinstance(node, Sequence):
            return tuple(self.of(item, depth + 1) for item in node.items)
        return {key: self.of(value, depth + 1) for key, value in node.items.items()}
