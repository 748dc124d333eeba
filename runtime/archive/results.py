"""Results of a whole archive: reading them, and writing the requested formats."""

from __future__ import annotations

import contextlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events.event import Event
from ..files.atomic import atomic_write, destination
from ._items import Record
from ._ledger import Archive, write_failed
from ._open import read_head
from .tables import events_of, items_table, load_pyarrow, to_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

_CACHED_PARTS = 8


def read_items(folder: str | Path) -> list[dict[str, Any]]:
    """Read one row per recording, as of the end of the last run.

    Args:
        folder: The results folder.

    Returns:
        Rows by column name, see `tables`.

    Raises:
        InputError: The folder contains no results.
    """
    folder = Path(folder)
    read_head(folder)
    pa = load_pyarrow()
    rows: list[dict[str, Any]] = pa.parquet.read_table(folder / "items.parquet", use_threads=False).to_pylist()
    return rows


def read_events(folder: str | Path) -> Iterator[tuple[str, Event]]:
    """Read the events of all recordings.

    Args:
        folder: The results folder.

    Yields:
        Name of the item and event, ordered by item.

    Raises:
        InputError: The folder contains no results.
    """
    folder = Path(folder)
    part_of_item = {str(row["item"]): str(row["part"]) for row in read_items(folder)}
    for name, events in _in_order(folder, sorted(part_of_item), part_of_item):
        for event in events:
            yield name, event


def _in_order(folder: Path, names: Sequence[str], where: dict[str, str]) -> Iterator[tuple[str, list[Event]]]:
    """Events by item. Successive items share parts, so a small cache of parts suffices."""
    cache: OrderedDict[str, dict[str, list[Event]]] = OrderedDict()
    pa = load_pyarrow()
    for name in names:
        part = where[name]
        if not part:
            yield name, []
            continue
        if part not in cache:
            table = pa.parquet.read_table(folder / part, use_threads=False)
            events: dict[str, list[Event]] = {}
            for item, event in events_of(table):
                events.setdefault(item, []).append(event)
            cache[part] = events
            while len(cache) > _CACHED_PARTS:
                cache.popitem(last=False)
        cache.move_to_end(part)
        yield name, cache[part].get(name, [])


def write_results(archive: Archive, formats: Iterable[str]) -> None:
    """Write items.parquet and the requested formats from the committed results, each file atomically."""
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
    """The same text as `sinks.to_activitynet`, one recording at a time."""
    yield '{"version":"punctum","results":{'
    for i, (name, events) in enumerate(_in_order(folder, done, where)):
        rows = [{"label": e.label, "score": e.score, "segment": [e.start, e.end]} for e in events]
        text = json.dumps(records[name].stream, ensure_ascii=False) + ":" + json.dumps(rows, ensure_ascii=False)
        yield (",\n" if i else "\n") + text
    yield '},"external_data":{}}\n'


def _stream(path: Path, parts: Iterable[str]) -> None:
    """As `atomic_write`, without storing the whole content in memory."""
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
        raise write_failed(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
