"""The reference page of the C library, made from its header: declarations with the comments above them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_SECTION = re.compile(r"/\* --- (?P<title>.*?) -+\s*(?:\n \*(?P<text>.*?))?\*/", re.S)
_COMMENT = re.compile(r"/\*(?P<text>.*?)\*/", re.S)
_FUNCTION = re.compile(r"PUNCTUM_API (?P<text>[^;]*?\b(?P<name>punctum_\w+)\([^;]*\))\s+PUNCTUM_NOEXCEPT;", re.S)
_TYPE = re.compile(
    r"^(?P<text>typedef (?:enum|struct) (?P<name>punctum_\w+)[^;{]*(?:\{.*?\} \w+)?;[^\n]*|enum \{.*?\};)", re.S
)
_MACRO = re.compile(r"#define PUNCTUM_\w+_INIT (?:\\\n)?.*?\n")

INTRODUCTION = """\
# C

`libpunctum` is the session without Python: your engine runs the two [graphs](graphs.md), the library does the rest and
gives the same events as `Session`. It has a C ABI and needs only the C++ runtime. How to build, install and link it:
`kernels/native/README.md` in the repository.

This page is made from `punctum.h`.
"""


def page(header: str) -> str:
    """Markdown of the page."""
    start = header.index("/*") + 2
    preface, rest = header[start : header.index("*/")], header[header.index("typedef enum punctum_status") :]
    rows = [INTRODUCTION, "## Overview", "", *_preface(preface)]
    rows += ["## Types and functions", ""]
    for kind, name, text, comment in declarations(rest[: rest.rindex("#ifdef __cplusplus")]):
        if kind == "section":
            rows += [f"### {name.capitalize()}", "", _prose(comment), ""]
        elif kind == "type":
            rows += ([_prose(comment), ""] if comment else []) + ["```c", text, "```", ""]
        else:
            rows += [f"`````{{c:function}} {' '.join(text.split())}", _prose(comment), "`````", ""]
    return "\n".join(rows)


def declarations(text: str) -> Iterator[tuple[str, str, str, str]]:
    """(kind, name, declaration, comment) of all that the header holds. A comment belongs to what follows it."""
    comment = ""
    while text := text.lstrip():
        if found := _SECTION.match(text):
            yield "section", found["title"].split(":")[0].strip(), "", found["text"] or ""
        elif found := _COMMENT.match(text):
            comment = found["text"]
            text = text[found.end() :]
            continue
        elif found := _FUNCTION.match(text):
            yield "function", found["name"], found["text"], comment
        elif found := _TYPE.match(text):
            yield "type", found["name"] or "", found["text"], comment
        elif not (found := _MACRO.match(text)):
            raise ValueError(f"punctum.h: cannot read {text[:80]!r}")
        text, comment = text[found.end() :], ""


def _lines(comment: str) -> list[str]:
    return [re.sub(r"^\s*\* ?", "", row).rstrip() for row in comment.strip().splitlines()]


def _prose(comment: str) -> str:
    """A comment as one paragraph; names of the library as code."""
    text = " ".join(row.strip() for row in _lines(comment)).strip()
    text = re.sub(r"([\\*_<>\[\]|])", r"\\\1", text)
    return re.sub(r"\b(?:punctum|PUNCTUM)(?:\\_\w+)+", lambda m: f"`{m[0].replace(chr(92), '')}`", text)


def _preface(comment: str) -> Iterator[str]:
    """The comment at the top: paragraphs that begin with a heading of their own; indented lines stay as they are."""
    paragraph: list[str] = []
    for row in [*_lines(comment), ""]:
        if row:
            paragraph.append(row)
            continue
        if any(line.startswith(" ") for line in paragraph):
            yield from [f"**{paragraph[0].rstrip('.:,')}**", "", "```text", *paragraph[1:], "```", ""]
        elif paragraph:
            title, mark, text = " ".join(paragraph).partition(". ")
            yield from [f"**{title}.** {_prose(text)}" if mark and len(title) < 40 else _prose(" ".join(paragraph)), ""]
        paragraph = []


def write_page(header: Path, target: Path) -> None:
    """Write the page if it has changed."""
    text = page(header.read_text(encoding="utf-8"))
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")
