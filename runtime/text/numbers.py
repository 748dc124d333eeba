"""Numbers and times in tables: decimal commas, thousands separators, clock times, time codes, frame rates.

The meaning of a cell may depend on its neighbors: `1,234` is 1.234 next to `12,5` and 1234 next to `12.5`. A `Style`
is therefore derived from all number cells of a table, and a cell that stays ambiguous is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 40  # maximum number of characters of a number
_SPACES = str.maketrans("", "", " \u00a0\u2007\u2009\u202f'\u2019")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:[ \u00a0\u2007\u2009\u202f'\u2019]\d{3})+(?:[.,]\d*)?$", re.ASCII)
_PLAIN = re.compile(r"[-+]?(?:\d+|\d*[.,]\d+|\d+[.,])(?:[eE][-+]?\d{1,4})?$", re.ASCII)
_POINTS = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+(?P<rest>,\d*)?$", re.ASCII)  # 1.234 1.234,5 1.234.567
_COMMAS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?P<rest>\.\d*)?$", re.ASCII)  # 1,234 1,234.5 1,234,567
_CLOCK = re.compile(r"(?:(\d{1,7}):)?(\d{1,7}):(\d{1,2})(?:[.,](\d{1,9}))?$", re.ASCII)
_TIMECODE = re.compile(r"(\d{1,6}):(\d{2}):(\d{2})([:;])(\d{2,3})$", re.ASCII)
_FRACTION = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Style:
    """How the numbers of one table are written.

    comma, point: some cell can only be read with a decimal comma (point). thousands, grouped: some cell can only be
    read with points (commas) that separate thousands. delimiter: of the table; a spreadsheet separates cells by
    semicolons where commas are decimal.
    """

    comma: bool = False
    point: bool = False
    thousands: bool = False
    grouped: bool = False
    delimiter: str = ","

    @classmethod
    def of(cls, cells: Iterable[str], delimiter: str = ",") -> Style:
        """From all cells that should hold numbers or times; others are ignored."""
        comma = point = thousands = grouped = False
        for cell in cells:
            text = cell.strip()
            if len(text) > LONGEST or ":" in text or not ("," in text or "." in text):
                continue
            text = text.translate(_SPACES) if _GROUPED.match(text) else text
            points, commas = _POINTS.match(text), _COMMAS.match(text)
            if points and (points["rest"] or text.count(".") > 1):
                comma = thousands = True
            elif commas and (commas["rest"] or text.count(",") > 1):
                point = grouped = True
            elif _PLAIN.match(text) and not _either(text):
                comma, point = comma or "," in text, point or "." in text
        return cls(comma, point, thousands, grouped, delimiter)

    def number(self, text: str) -> float:
        """The value; infinite or NaN if that is written. Raises ValueError with the reason."""
        stripped = text.strip()
        if len(stripped) > LONGEST:
            raise ValueError(f"{shown(text)} is too long for a number")
        if stripped.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            return float(stripped)
        digits = stripped.translate(_SPACES) if _GROUPED.match(stripped) else stripped
        points, commas = _POINTS.match(digits), _COMMAS.match(digits)
        if points and (points["rest"] or digits.count(".") > 1):
            return float(digits.replace(".", "").replace(",", "."))
        if commas and (commas["rest"] or digits.count(",") > 1):
            return float(digits.replace(",", ""))
        if not _PLAIN.match(digits):
            raise ValueError(f"{shown(text)} is not a number")
        if _either(digits):
            return self._ambiguous(digits)
        return float(digits.replace(",", "."))

    def seconds(self, text: str, fps: float | None = None) -> float:
        """Seconds, a clock time (h:mm:ss.f, m:ss) or, with a frame rate, a time code (hh:mm:ss:ff). Raises ValueError.

        With `;` before the frames a time code is in drop-frame counting.
        """
        stripped = text.strip()
        if ":" not in stripped:
            return self.number(stripped)
        if clock := _CLOCK.match(stripped):
            hours, minutes, seconds, part = clock.groups()
            if int(seconds) > 59 or (hours is not None and int(minutes) > 59):
                raise ValueError(f"{shown(text)} has more than 59 minutes or seconds")
            whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
            return float(f"{whole}.{part or 0}")
        if code := _TIMECODE.match(stripped):
            return _timecode(code, text, fps)
        raise ValueError(f"{shown(text)} is neither a number of seconds nor a clock time")

    def _ambiguous(self, digits: str) -> float:
        """1,234 and 1.234: with a decimal or a thousands separator."""
        if "." in digits:
            if self.comma and not self.thousands:
                raise ValueError(
                    f"{digits!r} is next to decimal commas: is its point a thousands separator or a decimal point?"
                )
            return float(digits.replace(".", "") if self.thousands else digits)
        if self.comma != self.point and (self.comma or self.grouped or self.delimiter != ";"):
            return float(digits.replace(",", "." if self.comma else ""))
        if self.delimiter == ";" and not self.point:
            return float(digits.replace(",", "."))
        raise ValueError(f"{digits!r} may have a decimal comma or a separator of thousands")


def parse_rate(value: object) -> float:
    """A frame rate: a number, `29,97` or a fraction such as `30000/1001`. Raises ValueError and TypeError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} is not a frame rate")
    if isinstance(value, str):
        if fraction := _FRACTION.match(value.strip()):
            if int(fraction[2]) == 0:
                raise ValueError(f"{value!r} divides by zero")
            return int(fraction[1]) / int(fraction[2])
        return Style().number(value) if not _either(value.strip()) else float(value.strip().replace(",", "."))
    try:
        return float(value)
    except OverflowError:
        return math.inf


def is_timecode(text: str) -> bool:
    """Whether a cell counts frames (hh:mm:ss:ff), so that its frame rate is needed."""
    return _TIMECODE.match(text.strip()) is not None


def shown(text: str) -> str:
    """A cell for an error message, shortened."""
    return repr(text if len(text) <= 2 * LONGEST else text[:LONGEST] + "...")


def _either(digits: str) -> bool:
    """Whether a separator before three digits can be of decimals or of thousands, which do not begin with 0."""
    return bool(re.match(r"[-+]?[1-9]\d{0,2}[.,]\d{3}$", digits, re.ASCII))


def _timecode(code: re.Match[str], text: str, fps: float | None) -> float:
    hours, minutes, seconds, frames = (int(code[i]) for i in (1, 2, 3, 5))
    if fps is None:
        raise ValueError(f"{shown(text)} counts frames (hh:mm:ss:ff), and the frame rate is unknown")
    counted = max(round(fps), 1)
    if minutes > 59 or seconds > 59 or frames >= counted:
        raise ValueError(f"{shown(text)} is no time code at {fps:g} frames a second")
    total = ((hours * 60 + minutes) * 60 + seconds) * counted + frames
    if code[4] == ";":
        if counted % 30:
            raise ValueError(f"{shown(text)} drops frames, which exists at 29.97 and 59.94 frames a second only")
        whole = hours * 60 + minutes
        total -= (counted // 15) * (whole - whole // 10)
    return total / fps
