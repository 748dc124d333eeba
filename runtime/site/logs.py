"""The log of the service on standard error: one line a record, with the time of day, as text or JSON."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from ..text.display import printable
from ..text.warning_lines import LOGGER


class ServiceLog(logging.Handler):
    """Prints records. Never raises: a reader that went away must not end the service.

    Args:
        as_json: Print JSON Lines with the fields time, level, logger and message.
    """

    def __init__(self, *, as_json: bool) -> None:
        super().__init__(logging.INFO)
        self._as_json = as_json

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        with contextlib.suppress(OSError, ValueError):
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            message, level = record.getMessage(), record.levelname.lower()
            if record.exc_info:
                message += "\n" + logging.Formatter().formatException(record.exc_info)
            if self._as_json:
                fields = {"time": now, "level": level, "logger": record.name, "message": message}
                text = json.dumps(fields, ensure_ascii=True)
            else:
                text = f"{now} {level}: " + "\n".join(printable(line) for line in message.splitlines())
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


@contextlib.contextmanager
def service_log(*, as_json: bool) -> Iterator[None]:
    """Within the block, records of punctum from the level info on, and warnings of libraries, go to standard error."""
    own, root = logging.getLogger(LOGGER), logging.getLogger()
    handler = ServiceLog(as_json=as_json)
    before = (own.handlers[:], own.level, own.propagate, root.handlers[:])
    own.handlers, root.handlers, own.propagate = [handler], [handler], False
    own.setLevel(logging.INFO)
    try:
        yield
    finally:
        own.handlers, own.propagate, root.handlers = before[0], before[2], before[3]
        own.setLevel(before[1])
