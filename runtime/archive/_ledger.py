"""The results folder, and commits to it, which are atomic for each group.

    archive.json     bundle, settings and schema, which are the same for all results in a folder
    ledger.jsonl     one line per commit; it defines which results are valid
    events/xx/part-<hash>.parquet    events of a group of items; named by content, never changed
    items.parquet    one row per item, written from the ledger at the end of a run
    .lock            locked by the active run

A commit writes the parts (temporary name, fsync, rename), then their lines (append, fsync). A crash between the two
leaves a part without a line, which the next run removes. An incomplete line is dropped, and its group is scored again.
Only the process with the lock writes; workers pass their parts to it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError, PunctumError
from ..files.atomic import atomic_write
from ._items import Outcome, Record
from .tables import without

SCHEMA = "punctum.archive/1"
HEAD, LEDGER, LOCK = "archive.json", "ledger.jsonl", ".lock"


class Archive:
    """An opened results folder. Use `open_archive`.

    Attributes:
        folder: The folder.
        head: Content of archive.json.
        records: The record of each item, by name.
        removed: Number of parts without a line that were removed.
    """

    def __init__(self, folder: Path, head: dict[str, Any], ledger: int) -> None:
        self.folder, self.head, self._ledger = folder, head, ledger
        self.records: dict[str, Record] = {}
        self.removed = 0
        self._users: dict[str, set[str]] = {}  # part -> items whose events it contains
        self._length = 0

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Write the results of groups: first their parts in parallel, then one append to the ledger.

        Each group is committed completely or not at all.

        Raises:
            PunctumError: A file cannot be written ("write-failed").
        """
        for outcome in outcomes:
            stale = [
                r.item
                for r in outcome.records
                if r.status != "same" and (k := self.records.get(r.item)) is not None and k.part not in ("", r.part)
            ]
            if stale:
                self.drop(stale)
        with ThreadPoolExecutor(max(len(outcomes), 1)) as threads:
            errors = list(threads.map(self._publish_part, outcomes))
        committed = [
            [self._touched(r) if r.status == "same" else r for r in outcome.records]
            for outcome, error in zip(outcomes, errors, strict=True)
            if error is None
        ]
        if committed:
            self._append(*({"items": [record.to_dict() for record in records]} for records in committed))
        for records in committed:
            for record in records:
                self._add(record)
        for error in errors:
            if error is not None:
                raise error

    def _publish_part(self, outcome: Outcome) -> PunctumError | None:
        try:
            if outcome.part:
                atomic_write(self.folder / outcome.part_name, outcome.part)
        except PunctumError as error:
            return error
        return None

    def _touched(self, record: Record) -> Record:
        """The record of an item whose content is as before, with its new stamp."""
        before = self.records.get(record.item)
        if before is None:
            raise PunctumError("archive-order", f"{record.item} has the status 'same' without an earlier result")
        return replace(before, stamp=record.stamp)

    def drop(self, items: Sequence[str]) -> None:
        """Remove the results of items that are scored again, so that readers find each item once."""
        gone = set(items)
        parts = sorted({self.records[name].part for name in gone if name in self.records} - {""})
        for part in parts:
            path = self.folder / part
            leaving = gone & self._users[part]
            staying = sorted(self._users[part] - gone)
            moved = ""
            if staying:
                moved, data = without(path.read_bytes(), leaving)
                atomic_write(self.folder / moved, data)
            self._append({"drop": sorted(leaving), "from": part, "to": moved})
            self._forget(part, leaving, moved)
            path.unlink(missing_ok=True)
        without_part = gone & set(self.records)
        if without_part:
            self._append({"drop": sorted(without_part)})
            for name in without_part:
                del self.records[name]

    def parts(self) -> list[str]:
        """All valid parts."""
        return sorted(self._users)

    def _add(self, record: Record) -> None:
        self.records[record.item] = record
        if record.part:
            self._users.setdefault(record.part, set()).add(record.item)

    def _forget(self, part: str, leaving: Iterable[str], moved: str) -> None:
        staying = self._users.pop(part) - set(leaving)
        for name in leaving:
            self.records.pop(name, None)
        for name in staying:
            self._add(replace(self.records[name], part=moved))

    def _append(self, *lines: dict[str, Any]) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
        data = text.encode()
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._ledger, data[done:], self._length + done)
            os.fsync(self._ledger)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._ledger, self._length)
            raise write_failed(self.folder / LEDGER, error) from error
        self._length += len(data)

    def load(self) -> None:
        """Read the ledger, drop an incomplete last line, and remove parts without a line."""
        length = 0
        with (self.folder / LEDGER).open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    break
                self._apply(line, number)
                length += len(line)
        os.ftruncate(self._ledger, length)
        self._length = length
        self._sweep()

    def _apply(self, line: bytes, number: int) -> None:
        try:
            entry = json.loads(line)
            if "from" in entry:
                self._forget(str(entry["from"]), entry["drop"], str(entry["to"]))
            elif "drop" in entry:
                for name in entry["drop"]:
                    self.records.pop(name, None)
            else:
                for fields in entry["items"]:
                    self._add(Record(**fields))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "archive-ledger",
                f"line {number} of {self.folder / LEDGER} is damaged ({error!r})",
                required="a ledger as written by punctum",
                next_step="restore it, or score into another folder",
            ) from None

    def _sweep(self) -> None:
        """Remove parts without a line and temporary files of a killed run. Items of missing parts are scored again."""
        existing = set()
        for path in (self.folder / "events").glob("*/*") if (self.folder / "events").is_dir() else ():
            name = path.relative_to(self.folder).as_posix()
            existing.add(name)
            if name not in self._users and ("part-" in path.name):
                path.unlink(missing_ok=True)
                self.removed += 1
        for path in self.folder.glob(".*"):
            if (
                path.is_file()
                and path.name != LOCK
                and path.name.startswith((f".{HEAD}.", ".items.", ".events.", ".act"))
            ):
                path.unlink(missing_ok=True)
        for part in sorted(set(self._users) - existing):
            lost = sorted(self._users[part])
            self._append({"drop": lost, "from": part, "to": ""})
            self._forget(part, lost, "")


def write_failed(path: Path, error: OSError) -> PunctumError:
    """The error of a result that cannot be written."""
    return PunctumError(
        "write-failed",
        f"{path} cannot be written ({error})",
        required="free space in a writable folder",
        next_step="free space and run the same command again; committed results remain",
    )
