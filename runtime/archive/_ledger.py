"""The folder of results: who may write to it, what is in it, and how a group gets into it whole or not at all.

    archive.json     bundle, settings and schema: a folder holds results of one choice of them
    ledger.jsonl     one line a commit; what it says is what counts, the rest is found from it
    events/xx/part-<hash>.parquet    events of a group of items; named after content, never changed
    items.parquet    one row an item, written from the ledger when a run ends
    .lock            held by the run that is on

A commit writes the parts (temporary name, fsync, rename), then their lines (append, fsync). What dies between the two
leaves a part that no line names: the next run removes it. A line that was cut is dropped, and its group is redone.
Only the process that holds the lock writes; workers hand their parts over and never touch the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError, PunctumError
from ..files.atomic import BINARY, atomic_write
from ._items import Outcome, Record
from .tables import without

SCHEMA = "punctum.archive/1"
HEAD, LEDGER, LOCK = "archive.json", "ledger.jsonl", ".lock"


class Archive:
    """An opened folder of results. Use `open_archive`.

    records: what is known of each item, by name. removed: parts without a line that the last run left.
    """

    def __init__(self, folder: Path, head: dict[str, Any], ledger: int) -> None:
        self.folder, self.head, self._ledger = folder, head, ledger
        self.records: dict[str, Record] = {}
        self.removed = 0
        self._users: dict[str, set[str]] = {}  # part -> items whose events it holds
        self._length = 0

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Make the results of groups last, with one turn of the disk for their parts and one for the ledger.

        Raises PunctumError "write-failed" when that cannot be; each group is in or not, nothing is half in.
        """
        for outcome in outcomes:
            stale = [
                r.item
                for r in outcome.records
                if r.status != "same" and (k := self.records.get(r.item)) is not None and k.part not in ("", r.part)
            ]
            if stale:
                self.drop(stale)
        with ThreadPoolExecutor(max(len(outcomes), 1)) as hands:
            errors = list(hands.map(self._publish_part, outcomes))
        lasting = [
            [self._as_known(r) if r.status == "same" else r for r in outcome.records]
            for outcome, error in zip(outcomes, errors, strict=True)
            if error is None
        ]
        if lasting:
            self._append(*({"items": [record.to_dict() for record in records]} for records in lasting))
        for records in lasting:
            for record in records:
                self._know(record)
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

    def _as_known(self, record: Record) -> Record:
        """What is known of an item of which only the file's time has changed."""
        known = self.records.get(record.item)
        if known is None:
            raise PunctumError("archive-order", f"{record.item} is said to be scored, and is not")
        return replace(known, stamp=record.stamp)

    def drop(self, items: Sequence[str]) -> None:
        """Take the events of items out, so that no reader finds an item twice when it is scored again."""
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
        """All parts that count."""
        return sorted(self._users)

    def _know(self, record: Record) -> None:
        self.records[record.item] = record
        if record.part:
            self._users.setdefault(record.part, set()).add(record.item)

    def _forget(self, part: str, leaving: Iterable[str], moved: str) -> None:
        staying = self._users.pop(part) - set(leaving)
        for name in leaving:
            self.records.pop(name, None)
        for name in staying:
            self._know(replace(self.records[name], part=moved))

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
            raise PunctumError(
                "write-failed",
                f"cannot write {self.folder / LEDGER} ({error})",
                "free space in a writable folder",
                "free space and run the same command again: what was committed stays",
            ) from error
        self._length += len(data)

    def load(self) -> None:
        """Read the ledger, drop a line that was cut, and remove what no line names."""
        kept = 0
        with (self.folder / LEDGER).open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    break
                self._take(line, number)
                kept += len(line)
        os.ftruncate(self._ledger, kept)
        self._length = kept
        self._sweep()

    def _take(self, line: bytes, number: int) -> None:
        try:
            entry = json.loads(line)
            if "from" in entry:
                self._forget(str(entry["from"]), entry["drop"], str(entry["to"]))
            elif "drop" in entry:
                for name in entry["drop"]:
                    self.records.pop(name, None)
            else:
                for fields in entry["items"]:
                    self._know(Record(**fields))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "archive-ledger",
                f"line {number} of {self.folder / LEDGER} is damaged ({error!r})",
                "a ledger as it was written",
                "restore it, or score into another folder",
            ) from None

    def _sweep(self) -> None:
        """Parts that a killed run left without a line, and temporary files; parts that are gone are redone."""
        found = set()
        for path in (self.folder / "events").glob("*/*") if (self.folder / "events").is_dir() else ():
            name = path.relative_to(self.folder).as_posix()
            found.add(name)
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
        for part in sorted(set(self._users) - found):
            lost = sorted(self._users[part])
            self._append({"drop": lost, "from": part, "to": ""})
            self._forget(part, lost, "")


@contextlib.contextmanager
def open_archive(folder: Path, head: dict[str, Any], *, replace_all: bool = False) -> Iterator[Archive]:
    """Lock `folder`, check that its results are of the same bundle and settings, and read its ledger.

    head: JSON values; "bundle" and "settings" must agree. replace_all: results of another bundle or other settings
    are removed instead. Raises InputError for a folder that another run holds, that holds something else, or that
    cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
    except OSError as error:
        raise _unwritable(folder, error) from None
    handle = -1
    try:
        _take_lock(lock, folder)
        known = _read_head(folder)
        if known is None:
            strangers = [p.name for p in folder.iterdir() if p.name != LOCK and not p.name.startswith(f".{HEAD}.")]
            if strangers:
                raise InputError(
                    "output-exists",
                    f"{folder} holds {sorted(strangers)[0]} and no {HEAD}",
                    "a new or empty folder, or one of an earlier `punctum score`",
                    "choose another --out",
                )
        elif replace_all and any(known.get(key) != head[key] for key in ("bundle", "settings")):
            _clear(folder)
            known = None
        if known is None:
            atomic_write(folder / HEAD, json.dumps({"schema": SCHEMA, **head}, indent=1, ensure_ascii=False) + "\n")
            known = head
        _same(folder, known, head)
        handle = os.open(folder / LEDGER, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
        archive = Archive(folder, known, handle)
        archive.load()
        yield archive
    except OSError as error:
        if error.filename is not None and Path(str(error.filename)).is_relative_to(folder):
            raise _unwritable(folder, error) from None
        raise
    finally:
        if handle >= 0:
            os.close(handle)
        os.close(lock)  # which gives the lock back


def read_head(folder: Path) -> dict[str, Any]:
    """archive.json. Raises InputError where there is none."""
    head = _read_head(folder)
    if head is None:
        raise InputError("archive-missing", f"{folder} has no {HEAD}", "the --out of `punctum score`", "check the path")
    return head


def _take_lock(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 200, 0).decode(errors="replace").strip()
        raise InputError(
            "output-locked",
            f"another run{f' ({holder})' if holder else ''} writes to {folder}",
            "one run a folder at a time",
            "wait for it, stop it, or choose another --out",
        ) from None
    with contextlib.suppress(OSError):  # a full disk does not matter here
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _read_head(folder: Path) -> dict[str, Any] | None:
    path = folder / HEAD
    try:
        head = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError("archive-head", f"{path} cannot be read ({error})", SCHEMA, "choose another --out") from None
    if not isinstance(head, dict) or head.get("schema") != SCHEMA:
        raise InputError("archive-head", f"{path} is not of schema {SCHEMA}", SCHEMA, "choose another --out")
    return head


def _same(folder: Path, known: dict[str, Any], head: dict[str, Any]) -> None:
    for key in ("bundle", "settings"):
        if known.get(key) != head[key]:
            raise InputError(
                "archive-differs",
                f"{folder} holds results of {key} {json.dumps(known.get(key))}, asked for is {json.dumps(head[key])}",
                "results of one bundle with one choice of settings a folder",
                "choose another --out, or discard what it holds with --replace",
            )


def _clear(folder: Path) -> None:
    """Remove results, archive.json last: what is killed here is found and can be done again."""
    import shutil

    (folder / LEDGER).unlink(missing_ok=True)
    shutil.rmtree(folder / "events", ignore_errors=True)
    for name in ("items.parquet", "events.jsonl", "activitynet.json", HEAD):
        (folder / name).unlink(missing_ok=True)


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        "output-unwritable",
        f"cannot write to {folder} ({error.strerror or error})",
        "a folder on a disk with space that this user may write to",
        "choose another --out, or change its mode",
    )
