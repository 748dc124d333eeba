"""How much of a large set the tests go through: a representative part, or all of it where PUNCTUM_EXHAUSTIVE is 1."""

from __future__ import annotations

import os

EXHAUSTIVE = os.environ.get("PUNCTUM_EXHAUSTIVE", "") not in ("", "0")


def examples(usual: int, all_of_them: int) -> int:
    """Number of random examples, or of rounds, of a test."""
    return all_of_them if EXHAUSTIVE else usual
