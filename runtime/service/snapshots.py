"""Snapshots of a live run: when they are written, and what happens when that fails for a while."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from ..errors import InputError, PunctumError
from ..live import LiveOptions
from ..session.session import Session
from ..sources.items import Position, count_in
from .checkpoint import Checkpoint

UNSAVED_S = 60.0  # a run continues for so long while its snapshot cannot be written

_log = logging.getLogger(__name__)


class SnapshotWriter:
    """The snapshot file of one run."""

    def __init__(self) -> None:
        self.last: Checkpoint | None = None
        self._written_at = 0.0
        self._failing_since: float | None = None

    def is_due(self, interval_s: float) -> bool:
        """Whether the last attempt to write is that many seconds ago."""
        return time.monotonic() - self._written_at >= interval_s

    def write(self, path: Path, checkpoint: Checkpoint) -> None:
        """Raises PunctumError where the file cannot be written."""
        checkpoint.save(path)
        self.last, self._written_at, self._failing_since = checkpoint, time.monotonic(), None

    def rotated(self, path: Path, inode: int) -> None:
        """Write the last snapshot again, for a run that continues in a new event file with this inode."""
        if self.last is not None:
            self.last = self.last.after_rotation(inode)
            self.last.save(path)

    def tolerate(self, error: PunctumError) -> None:
        """Accept that there is no room or no file descriptor at the moment. The last snapshot stays valid, and a
        restart resumes from it. Raises the error if it is another one, or has lasted UNSAVED_S seconds."""
        now = time.monotonic()
        if error.code != "write-failed" or self.last is None:
            raise error
        if self._failing_since is not None and now - self._failing_since >= UNSAVED_S:
            raise error
        if self._failing_since is None:
            self._failing_since = now
            _log.warning("[%s] %s; the last snapshot stands, trying again for %g s", error.code, error.given, UNSAVED_S)
        self._written_at = now


def check_source(checkpoint: Checkpoint, source: str) -> None:
    """Raises InputError where a snapshot was made with another source. source: kind and name of the run's source."""
    if checkpoint.source != source:
        raise InputError(
            "snapshot-source",
            f"The snapshot was made with source {checkpoint.source[:120]}",
            source,
            "use the same source, or remove the snapshot to start over",
        )


def check_options(
    checkpoint: Checkpoint, session: Session, *, live: LiveOptions | None, name: str, run_id: str
) -> None:
    """Check that a snapshot belongs to the run that is to resume it.

    Args:
        checkpoint: The snapshot.
        session: The session restored from it.
        live: Options of the run.
        name: Name of the stream; empty: whatever the snapshot says.
        run_id: Run id of the run.

    Raises:
        InputError: The snapshot belongs to another run, or contradicts itself.
    """
    if session.live != live:
        raise _other_options(f"with {session.live}", str(live), "`max_delay_s`")
    _check_position(checkpoint.position, session)
    if name and session.stream != name:
        raise _other_options(f"of stream {session.stream[:120]!r}", repr(name), "`name`")
    if session.run_id != run_id:
        raise _other_options(f"with run id {session.run_id!r}", repr(run_id), "`run_id`")


def _other_options(theirs: str, ours: str, parameter: str) -> InputError:
    return InputError(
        "snapshot-options",
        f"The snapshot is of a run {theirs}",
        f"the options of this run, here {ours}",
        f"set the same {parameter}, or remove the snapshot to start over",
    )


def _check_position(position: Position | None, session: Session) -> None:
    """Raises InputError where the session and the position of one snapshot cannot belong together."""
    taken, place = session.stats.snippets, position or {}
    wrong = position is None and taken > 0
    if place.get("row") is not None and "file" not in place:  # of a file of rows, from which nothing was taken twice
        row = count_in(place, "row")
        wrong = row < taken or (row > taken and not session.stats.gaps)
    if wrong:
        raise InputError(
            "snapshot-unreadable",
            f"The session of the snapshot has processed {taken} snippets, which contradicts position {position}",
            required="a snapshot file that punctum wrote and nobody edited",
            next_step="remove it, and the events of that run, to start over",
        )
