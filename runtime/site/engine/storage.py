"""The folder of one stream: its snapshot, and the journal of what came since.

    snapshot      the last snapshot; it names the number N of its journal
    journal.N     what came since; without a snapshot, N is 0 and it begins with the stream
    aside/        what could not be used, the last time

A new snapshot is written in this order, so that a kill or a power failure at any moment leaves a snapshot with a
complete journal: the next journal is begun, the snapshot that names it replaces the old one, the old journal is
removed.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError, PunctumError
from ...files.atomic import remove_drafts, sync_folder
from ...text.display import counted
from .journal import Journal, Record, read_journal
from .snapshot import StreamSnapshot

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a folder contains.

    Attributes:
        first: The record that begins the journal: which stream it is of.
        snapshot: The last snapshot; None: the stream began with the journal.
        records: What came since.
    """

    first: Record
    snapshot: StreamSnapshot | None
    records: list[Record]


class StreamFolder:
    """Stores one stream. While the disk is full, nothing is stored, and the stream goes on; `stored` says so.

    Args:
        path: The folder.
        camera: Name of the camera, for messages.
    """

    def __init__(self, path: Path, camera: str) -> None:
        self.path, self.camera = path, camera
        self.trouble = ""
        """Why nothing is stored; empty while it is."""
        self.missed = 0
        """Records that were not stored."""
        self._journal: Journal | None = None
        self._generation = 0

    @property
    def journal_bytes(self) -> int:
        """Length of the journal."""
        return 0 if self._journal is None else self._journal.length

    def load(self, bundle_id: str) -> Stored | None:
        """Read what is there and open the journal to continue it. None: there is nothing, or nothing that can be used.

        What belongs to another bundle or is damaged is moved to `aside`.
        """
        snapshot: StreamSnapshot | None = None
        try:
            remove_drafts(self.path / "snapshot")
            snapshot = StreamSnapshot.load(self.path / "snapshot")
            self._generation = 0 if snapshot is None else snapshot.generation
            read = read_journal(self._journal_path)
            others = [one for one in self.path.glob("journal.*") if one != self._journal_path]
            if snapshot is None and not read.records:
                if read.lost or others:
                    raise _no_base(self.path)
                return None
            owner = read.records[0].header if read.records else {}
            if snapshot is not None and snapshot.bundle_id != bundle_id:
                raise _other_bundle(self.path, snapshot.bundle_id, bundle_id)
            if owner and owner.get("bundle_id") != bundle_id:
                raise _other_bundle(self.path, str(owner.get("bundle_id")), bundle_id)
        except (InputError, OSError) as error:
            self.set_aside(error)
            return None
        for path in others:
            with contextlib.suppress(OSError):
                path.unlink()
        if read.lost:
            _log.warning(
                "%s: the journal ends in an incomplete record; its last %s were dropped",
                self.camera,
                counted(read.lost, "byte"),
            )
        try:
            self._journal = Journal(self._journal_path, read.length)
        except OSError as error:
            self._stop(error)
        first = read.records[0] if read.records else Record({"type": "stream"})
        if self._journal is not None and not read.records:
            self.append(self._first(snapshot))
        return Stored(first, snapshot, read.records[1:])

    @staticmethod
    def _first(snapshot: StreamSnapshot | None) -> Record:
        if snapshot is None:
            return Record({"type": "stream"})
        return Record({"type": "stream", "bundle_id": snapshot.bundle_id, "stream": snapshot.stream})

    @property
    def _journal_path(self) -> Path:
        return self.path / f"journal.{self._generation}"

    def begin(self, first: Record) -> None:
        """Begin a journal for a new stream."""
        self._generation = 0
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(self._journal_path)
            self._journal.append(first)
            self.sync()
            for folder in (self.path, self.path.parent, self.path.parent.parent):  # which may all be new
                sync_folder(folder)
        except OSError as error:
            self._stop(error)

    def append(self, record: Record) -> bool:
        """Store a record. Returns False where it cannot be stored."""
        if self._journal is not None:
            try:
                self._journal.append(record)
                return True
            except OSError as error:
                self._stop(error)
        self.missed += 1
        return False

    def sync(self) -> None:
        """Have everything on the disk."""
        if self._journal is not None:
            try:
                self._journal.sync()
            except OSError as error:
                self._stop(error)

    def save(self, snapshot: StreamSnapshot) -> bool:
        """Replace the snapshot, and begin a new journal. Returns False where that fails; what was stored stands."""
        old, was = self._journal_path, self._generation
        successor: Journal | None = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._generation = snapshot.generation
            successor = Journal(self._journal_path)
            successor.append(self._first(snapshot))
            successor.sync()
            snapshot.save(self.path / "snapshot")  # syncs the folder as well
        except (OSError, PunctumError) as error:
            if successor is not None:
                successor.close()
                with contextlib.suppress(OSError):
                    self._journal_path.unlink()
            self._generation = was
            self._say(error)
            return False
        if self._journal is not None:
            self._journal.close()
        self._journal = successor
        with contextlib.suppress(OSError):
            if old != self._journal_path:
                old.unlink()
        if self.trouble:
            _log.info("%s: the journal is written again", self.camera)
            self.trouble = ""
        return True

    @property
    def next_generation(self) -> int:
        """The generation of the next snapshot."""
        return self._generation + 1

    def remove(self) -> None:
        """The stream has ended, and all its events are stored elsewhere."""
        self.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self.path)

    def close(self) -> None:
        """May be called more than once."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _stop(self, error: OSError) -> None:
        self.close()
        self._say(error)

    def _say(self, error: Exception) -> None:
        if not self.trouble:
            _log.warning(
                "%s: the journal cannot be written (%s): until it can, a restart loses what came since",
                self.camera,
                error,
            )
        self.trouble = str(error)

    def set_aside(self, error: Exception) -> None:
        _log.warning("%s: %s; it is kept in %s, and the stream begins anew", self.camera, error, self.path / "aside")
        aside = self.path / "aside"
        with contextlib.suppress(OSError):
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True, exist_ok=True)
            for path in [self.path / "snapshot", *self.path.glob("journal.*")]:
                if path.exists():
                    path.rename(aside / path.name)


def _no_base(path: Path) -> InputError:
    return InputError(
        "snapshot-unreadable", f"{path} has a journal without its snapshot", next_step="nothing: the stream begins anew"
    )


def _other_bundle(path: Path, theirs: str, ours: str) -> InputError:
    return InputError(
        "snapshot-bundle",
        f"{path} is of bundle {theirs[:80]}",
        f"this bundle, {ours}",
        "nothing: the stream begins anew",
    )
