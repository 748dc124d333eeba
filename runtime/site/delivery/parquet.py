"""Final events in Parquet files, one for each hour of time of day: FOLDER/date=2026-05-01/hour=10/events.parquet.

An event belongs to the hour in which it starts, or was received if its time of day is not known. Files are replaced as
a whole, so readers see complete ones at any time; an event that is already there is not written again. Schema
punctum.site.events/1, one row per event:

    camera, event, label, bundle   string
    score, raw_score               double
    start, end, emitted_at, delay_s   double, seconds on the media clock
    start_utc, end_utc             timestamp[ms, UTC]; null if it is not known
    received                       timestamp[ms, UTC]
    revision, dropped              int32
    interrupted, degraded          bool
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...archive.tables import load_pyarrow, to_bytes
from ...errors import InputError, PunctumError
from ...events.event import Event
from ...events.time_of_day import parse_utc
from ...files.atomic import atomic_write, remove_drafts
from ..store.rows import Report
from .sink import BaseSink, Batch, Outcome

_log = logging.getLogger(__name__)
SCHEMA = "punctum.site.events/1"
FILE = "events.parquet"
LOCK = ".lock"  # in the folder; readers of Parquet leave out names that begin with a dot
LOCK_S = 10.0


class Parquet(BaseSink):
    """A folder of Parquet files.

    Args:
        name: Name of the sink.
        folder: The folder.
        pace_s: Seconds between two times that the file of an hour is replaced.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """

    kind, most = "parquet", 2000

    def __init__(self, name: str, folder: Path, *, pace_s: float = 30.0) -> None:
        load_pyarrow()
        self.name, self._folder, self.pace_s = name, folder, pace_s
        self._cleaned: set[Path] = set()

    def wants(self, event: Event) -> bool:
        return event.phase == "final"

    def deliver(self, batch: Batch) -> Outcome:
        outcome = Outcome()
        hours: dict[Path, list[tuple[int, Report]]] = {}
        for row, report in batch:
            hours.setdefault(self._folder / _hour(report) / FILE, []).append((row, report))
        for path, rows in hours.items():
            try:
                self._append(path, [report for _, report in rows])
            except (PunctumError, OSError) as error:
                outcome.error = str(error)
                continue
            outcome.delivered += [row for row, _ in rows]
        return outcome

    def _append(self, path: Path, reports: list[Report]) -> None:
        """Add reports to a file. Raises PunctumError, OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder / LOCK):  # another site may write to the same folder
            self._replace(path, reports)

    def _replace(self, path: Path, reports: list[Report]) -> None:
        pa = load_pyarrow()
        if path not in self._cleaned:
            remove_drafts(path)
            self._cleaned = {path}
        before = self._read(path)
        known = (
            set() if before is None else set(zip(*(before[n].to_pylist() for n in ("camera", "event")), strict=True))
        )
        new = {(report.camera, report.event.id): report for report in reports}
        added = [report for key, report in new.items() if key not in known]
        if not added:
            return
        table = _table(added)
        if before is not None:
            table = pa.concat_tables([before, table])
        atomic_write(path, to_bytes(table.sort_by([("received", "ascending")]).replace_schema_metadata(_METADATA)))

    @staticmethod
    def _read(path: Path) -> Any:
        """The table of a file; None if there is none. A damaged file is moved aside. Raises InputError."""
        pa = load_pyarrow()
        if not path.exists():
            return None
        try:
            table = pa.parquet.ParquetFile(path).read(use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            aside = path.with_name(f"{FILE}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
            path.rename(aside)
            _log.warning("%s was damaged (%s); it was moved to %s, and a new file was begun", path, error, aside)
            return None
        if (table.schema.metadata or {}).get(b"punctum.schema") != SCHEMA.encode():
            raise InputError(
                "site-parquet",
                f"{path} has another schema than the events of a site",
                required=f"schema {SCHEMA}",
                next_step="move the file away, or name another folder",
            )
        return table.cast(_schema())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a folder. Raises InputError where another process holds it for long; OSError."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        limit = time.monotonic() + LOCK_S
        while not _lock(handle):
            if time.monotonic() > limit:
                raise InputError(
                    "site-parquet",
                    f"Another process holds {path}",
                    required="a folder that is not locked for long",
                    next_step="end the other process, or name another folder; it is tried again",
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


_METADATA = {"punctum.schema": SCHEMA}


def _schema() -> Any:
    pa = load_pyarrow()
    moment = pa.timestamp("ms", "UTC")
    columns = [(name, pa.string()) for name in ("camera", "event", "label", "bundle")]
    columns += [(name, pa.float64()) for name in ("score", "raw_score", "start", "end", "emitted_at", "delay_s")]
    columns += [(name, moment) for name in ("start_utc", "end_utc", "received")]
    columns += [(name, pa.int32()) for name in ("revision", "dropped")]
    columns += [(name, pa.bool_()) for name in ("interrupted", "degraded")]
    return pa.schema(columns, metadata=_METADATA)


def _table(reports: list[Report]) -> Any:
    pa = load_pyarrow()
    rows = []
    for report in reports:
        event = report.event
        row = {name: getattr(event, name) for name in Event.__dataclass_fields__ if name != "id"}
        row |= {"camera": report.camera, "event": event.id, "received": round(report.received_unix * 1000)}
        for name in ("start_utc", "end_utc"):
            row[name] = None if row[name] is None else round(parse_utc(row[name]) * 1000)
        row["dropped"] = min(row["dropped"], (1 << 31) - 1)
        rows.append(row)
    return pa.Table.from_arrays(
        [pa.array([row[field.name] for row in rows], field.type) for field in _schema()], schema=_schema()
    )


def _hour(report: Report) -> str:
    """Folder of the hour of an event."""
    start = report.event.start_utc
    moment = time.gmtime(report.received_unix if start is None else parse_utc(start))
    return time.strftime("date=%Y-%m-%d/hour=%H", moment)
