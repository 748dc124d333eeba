"""Cursors of lists that are read in pages: the place of a row, which never changes, as a time and a number."""

from __future__ import annotations

import base64
import binascii
import math

from ...errors import InputError
from ...text.display import shown
from .rows import MOST_ITEMS


def check_limit(limit: int) -> None:
    """Raises InputError for a page that is too large, or holds nothing."""
    if not 1 <= limit <= MOST_ITEMS:
        raise InputError("site-query", f"The limit is {limit}", f"1 to {MOST_ITEMS}", "change the limit")


def cursor_of(at: float, number: int) -> str:
    """The cursor of the page behind a row."""
    return base64.urlsafe_b64encode(f"{at!r}/{number}".encode()).decode().rstrip("=")


def position_of(cursor: str) -> tuple[float, int]:
    """The row behind which a page begins. Raises InputError."""
    try:
        if len(cursor) > 100:
            raise ValueError
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        at, _, number = text.partition("/")
        position = float(at), int(number)
        if not math.isfinite(position[0]) or not 0 <= position[1] < 1 << 62:
            raise ValueError
    except (ValueError, binascii.Error):
        raise InputError(
            "site-query", f"{shown(repr(cursor), 60)} is not a cursor", "`next` of a page", "begin at the first page"
        ) from None
    return position
