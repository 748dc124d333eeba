"""Text from files, libraries and the command line, made safe for a terminal, a message or a result.

A file name, a label or an error message of a library may contain anything: escape sequences that control a terminal,
line breaks that fake a line, characters that reverse the reading direction, bytes that are not UTF-8.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Control characters (C0, DEL, C1), invisible format characters, bidirectional controls, line and paragraph
# separators, surrogates, the byte order mark, tags. Zero-width (non-)joiners stay: Persian, Hindi and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # surrogates that encode no byte
# What terminals interpret: CSI sequences (colors, cursor), OSC strings (titles, links), and two-character sequences.
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")

_UNSEEN = frozenset(("Cc", "Cs", "Zl", "Zp"))  # control characters, surrogates, line and paragraph separators
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def as_utf8(text: str) -> str:
    """Text that can be encoded: bytes of a file name that are not UTF-8 are escaped as \\xff.

    Python represents bytes that the locale cannot decode as surrogates. In an ASCII locale this includes valid UTF-8,
    which is decoded.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        kept = _LONE.sub(lambda match: _spelled(match[0]), text)
        return kept.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text


def printable(text: str) -> str:
    """Text on one line without effect on a terminal: line breaks, control and format characters are escaped."""
    return _UNSAFE.sub(lambda match: _spelled(match[0]), as_utf8(text))


def is_plain(text: str) -> bool:
    """Whether text is safe as a name in output, logs and tables: one line, valid UTF-8, no control characters, nothing
    that reorders the text around it."""
    return not any(unicodedata.category(c) in _UNSEEN or c in _BIDIRECTIONAL for c in text)


def shown(text: object, most: int = 200) -> str:
    """Any text on one line, safe for a terminal, and of at most `most` characters."""
    safe = printable(str(text)[: 2 * most])
    return safe if len(safe) <= most else safe[: most - 3] + "..."


def plain(message: object) -> str:
    """The message of a library: without color codes, on one line."""
    return " ".join(printable(line).strip() for line in _ESCAPE_SEQUENCE.sub("", str(message)).splitlines()).strip()


def json_safe(text: str) -> str:
    """JSON text with the same values, in which every character that `printable` escapes is written as \\uXXXX."""
    return _UNSAFE.sub(_json_escape, text) if _UNSAFE.search(text) else text


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 event`, `2 events`, `1 class`, `2 classes`; things: an irregular plural."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def short(value: object) -> str:
    """A float with at most 10 significant digits: 19.4 instead of 19.400000000000002. Other values unchanged."""
    return repr(float(f"{value:.10g}")) if isinstance(value, float) else str(value)


def some(names: Iterable[str], most: int = 20) -> str:
    """Names with commas; of many, the first and how many more there are."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def seconds(value: float) -> str:
    """Seconds to the millisecond; a number that no recording reaches in short: `1e+308`."""
    return f"{value:.3f}" if abs(value) < 1e9 else f"{value:g}"


def amount(value: float) -> str:
    """A number with three significant digits and no exponent: 0.57, 17.6, 1300."""
    return f"{value:.0f}" if 999.5 <= abs(value) < 1e15 else f"{value:.3g}"


def were(number: int) -> str:
    """`was` or `were`."""
    return "was" if number == 1 else "were"


def duration(seconds: float) -> str:
    """ "45 s", "12 min", "3 h 20 min", "5 d 4 h"."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{max(round(seconds), 0)} s"
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _json_escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
