"""Run ids, which make the event ids of one run of a stream differ from those of the next."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from ..errors import InputError

_FORM = re.compile(r"[A-Za-z0-9._-]{0,64}")


def new_run_id() -> str:
    """A unique run id: the present second, so that ids sort by time, and 40 random bits.

    Example:
        >>> from punctum.runtime import new_run_id
        >>> len(new_run_id())
        26
    """
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(5)}"


def check_run_id(run_id: str) -> None:
    """Raise InputError unless `run_id` can be part of event ids."""
    if not isinstance(run_id, str) or not _FORM.fullmatch(run_id):
        raise InputError(
            "run-id",
            f"The run id {str(run_id)[:80]!r} cannot be part of an event id",
            "up to 64 letters, digits, dots, dashes and underscores",
            "choose another",
        )
