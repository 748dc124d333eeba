"""Text that comes from files: which may be a name, and how any of it is shown."""

from __future__ import annotations

import unicodedata

from ._text import printable

_UNSEEN = frozenset(("Cc", "Cs", "Zl", "Zp"))  # control characters, halves of characters, line and paragraph separators
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # reorder the text around them


def is_plain(text: str) -> bool:
    """Whether text can be a name that is printed, logged and written into tables: one line, nothing that acts on a
    terminal, nothing that makes it read otherwise than it is, and valid in UTF-8."""
    return not any(unicodedata.category(c) in _UNSEEN or c in _TURNING for c in text)


def shown(text: object, most: int = 200) -> str:
    """Any text on one line, safe for a terminal and of bounded length: what is not printable is spelled out."""
    safe = printable(str(text)[: 2 * most])
    return safe if len(safe) <= most else safe[: most - 3] + "..."
