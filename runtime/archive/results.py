"""Results as a whole: read them back, and write the forms that were asked for."""

from __future__ import annotations

import contextlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PunctumError
from ..events.event import Event
from ..files.atomic import atomic_write, destination
from ._items import Record
from ._ledger import Archive, read_head
from .tables import events_of, items_table, load_pyarrow, to_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARTS_HELD = 8


def read_items(folder: str | Path) -> list[dict[str, Any]]:
    """One mapping a recording, as of the end of the last run; columns as in `_table`. Raises InputError."""
    folder = Path(folder)
    read_head(folder)
    pa = load_pyarrow()
    rows: list[dict[str, Any]] = pa.parquet.read_table(folder / "items.parquet", use_threads=False).to_pylist()
    return rows


def read_events(folder: str | Path) -> Iterator[tuple[str, Event]]:
    """(item, event) of all recordings, in the order of items. Raises InputError for a folder that is no archive."""
    folder = Path(folder)
    where = {str(row["item"]): str(row["part"]) for row in read_items(folder)}
    for name, events in _in_order(folder, sorted(where), where):
        for event in events:
            yield name, event


def _in_order(folder: Path, names: Sequence[str], where: dict[str, str]) -> Iterator[tuple[str, list[Event]]]:
    """Events item by item. Neighbours share parts, so a few parts in memory are enough."""
    held: OrderedDict[str, dict[str, list[Event]]] = OrderedDict()
    pa = load_pyarrow()
    for name in names:
        part = where[name]
        if not part:
            yield name, []
            continue
        if part not in held:
            table = pa.parquet.read_table(folder / part, use_threads=False)
            events: dict[str, list[Event]] = {}
            for item, event in events_of(table):
                events.setdefault(item, []).append(event)
            held[part] = events
            while len(held) > _PARTS_HELD:
                held.popitem(last=False)
        held.move_to_end(part)
        yield name, held[part].get(name, [])


def write_results(archive: Archive, formats: Iterable[str]) -> None:
    """items.parquet and what else was asked for, from what is committed. Each file is whole or absent."""
    folder, records = archive.folder, archive.records
    names = sorted(records)
    table = items_table((records[name] for name in names), str(archive.head["bundle"]))
    atomic_write(folder / "items.parquet", to_bytes(table))
    done = [name for name in names if records[name].status == "done"]
    where = {name: records[name].part for name in done}
    if "jsonl" in formats:
        lines = (e.to_json() + "\n" for _, events in _in_order(folder, done, where) for e in events)
        _stream(folder / "events.jsonl", lines)
    if "activitynet" in formats:
        _stream(folder / "activitynet.json", _activitynet(folder, done, where, records))


def _activitynet(folder: Path, done: Sequence[str], where: dict[str, str], records: dict[str, Record]) -> Iterator[str]:
    """The text of `sinks.to_activitynet`, one recording at a time."""
    yield '{"version":"punctum","results":{'
    for i, (name, events) in enumerate(_in_order(folder, done, where)):
        rows = [{"label": e.label, "score": e.score, "segment": [e.start, e.end]} for e in events]
        text = json.dumps(records[name].stream, ensure_ascii=False) + ":" + json.dumps(rows, ensure_ascii=False)
        yield (",\n" if i else "\n") + text
    yield '},"external_data":{}}\n'


def _stream(path: Path, parts: Iterable[str]) -> None:
    """As `atomic_write`, without holding it all."""
    path, _ = destination(path)
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise PunctumError("write-failed", f"cannot write {path} ({error})", "free space", "run it again") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
