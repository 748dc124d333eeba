"""Events and items as Parquet, with versioned schemas.

events/xx/part-<hash>.parquet, schema punctum.archive.events/1, one row per event:

    item        string   name of the recording in the archive, with its extension
    stream      string   name of the recording in events, ActivityNet results and JSON Lines
    event       string   id of the event, stable for the same media and bundle
    label       string
    score       double   0 to 1
    start, end  double   seconds on the media clock
    emitted_at  double   seconds on the media clock of the final event in a live run
    delay_s     double   emitted_at - end
    revision    int32
    bundle      string   id of the bundle
    dropped     int32    snippets or frames lost next to or within the event
    interrupted bool     the media ended during the event
    raw_score   double   score before calibration; null if the bundle is not calibrated

items.parquet, schema punctum.archive.items/1, one row per recording: item, stream, kind, status (done, failed), bytes,
sha256, snippets, media_s, events, lost_frames, missing_snippets, part, error_code, error.

Rows are ordered by item, then by event. Readers must accept additional columns within the same major version.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MissingDependencyError
from ..events.event import Event
from ._items import Record

if TYPE_CHECKING:
    import pyarrow as pa

EVENTS_SCHEMA = "punctum.archive.events/1"
ITEMS_SCHEMA = "punctum.archive.items/1"
_PACK_SIZE = 1024  # events before they are packed into columns
_DOUBLES = ("score", "start", "end", "emitted_at", "delay_s")


def load_pyarrow() -> Any:
    """Import pyarrow with its Parquet module. Raises MissingDependencyError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError("pyarrow", "archive", "writing Parquet") from None
    return pyarrow


def events_schema(metadata: dict[str, str] | None = None) -> pa.Schema:
    """The schema of a part. metadata: added to that of the schema."""
    pa = load_pyarrow()
    text = pa.dictionary(pa.int32(), pa.string())
    columns = [("item", text), ("stream", text), ("event", pa.string()), ("label", text)]
    columns += [(name, pa.float64()) for name in _DOUBLES]
    columns += [("revision", pa.int32()), ("bundle", text), ("dropped", pa.int32()), ("interrupted", pa.bool_())]
    columns.append(("raw_score", pa.float64()))
    return pa.schema(columns, metadata={"punctum.schema": EVENTS_SCHEMA, **(metadata or {})})


class EventRows:
    """Events of one item as columns, which take a tenth of the memory of `Event` objects."""

    def __init__(self, item: str) -> None:
        self._item = item
        self._pending: list[Event] = []
        self._batches: list[Any] = []
        self.count = 0

    def add(self, events: Sequence[Event]) -> None:
        self.count += len(events)
        self._pending += events
        if len(self._pending) >= _PACK_SIZE:
            self._pack()

    def batches(self) -> list[Any]:
        if self._pending:
            self._pack()
        return self._batches

    def _pack(self) -> None:
        pa = load_pyarrow()
        events, schema = self._pending, events_schema()
        columns: dict[str, Any] = {"item": [self._item] * len(events), "event": [event.id for event in events]}
        for name in ("stream", "label", *_DOUBLES, "revision", "bundle", "dropped", "interrupted", "raw_score"):
            columns[name] = [getattr(event, name) for event in events]
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
        self._pending = []


@dataclass(slots=True)
class Scored:
    """An item's record and its events, before they go into a part."""

    record: Record
    rows: EventRows | None = None


def part_of(scored: Sequence[Scored], bundle: str, settings: dict[str, Any]) -> tuple[str, bytes]:
    """Name and bytes of the part for these items, which depend on the content only. ("", b"") without events."""
    done = [(one.record, one.rows) for one in scored if one.rows is not None and one.rows.count]
    if not done:
        return "", b""
    pa = load_pyarrow()
    items = [{"item": r.item, "sha256": r.sha256, "events": r.events} for r, _ in done]
    schema = events_schema(
        {
            "punctum.bundle": bundle,
            "punctum.settings": json.dumps(settings, sort_keys=True),
            "punctum.items": json.dumps(items),
        }
    )
    table = pa.Table.from_batches([batch for _, rows in done for batch in rows.batches()])
    table = table.replace_schema_metadata(schema.metadata).unify_dictionaries().combine_chunks()
    key = json.dumps([bundle, settings, [[i["item"], i["sha256"]] for i in items]], sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    return f"events/{name[:2]}/part-{name}.parquet", to_bytes(table)


def without(data: bytes, items: set[str]) -> tuple[str, bytes]:
    """Name and bytes of a part without some of its items; ("", b"") if no event remains."""
    pa = load_pyarrow()
    table = pa.parquet.read_table(io.BytesIO(data), use_threads=False)
    keep = [name not in items for name in table["item"].to_pylist()]
    table = table.filter(pa.array(keep, pa.bool_()))
    if not len(table):
        return "", b""
    metadata = dict(table.schema.metadata)
    remaining = [i for i in json.loads(metadata[b"punctum.items"]) if i["item"] not in items]
    metadata[b"punctum.items"] = json.dumps(remaining).encode()
    key = json.dumps([metadata[b"punctum.bundle"].decode(), metadata[b"punctum.settings"].decode(), remaining])
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    return f"events/{name[:2]}/part-{name}.parquet", to_bytes(table.replace_schema_metadata(metadata))


def to_bytes(table: Any) -> bytes:
    pa = load_pyarrow()
    sink = io.BytesIO()
    pa.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def events_of(table: Any) -> Iterable[tuple[str, Event]]:
    """Name of the item and event of each row. Raises InputError for another schema."""
    schema = (table.schema.metadata or {}).get(b"punctum.schema", b"").decode()
    if schema != EVENTS_SCHEMA:
        raise InputError(
            "archive-schema",
            f"A Parquet file has the schema {schema!r}",
            required=f"schema {EVENTS_SCHEMA}",
            next_step="use a matching version of punctum",
        )
    for row in table.to_pylist():
        yield (
            row["item"],
            Event(
                stream=row["stream"],
                id=row["event"],
                revision=row["revision"],
                phase="final",
                label=row["label"],
                score=row["score"],
                start=row["start"],
                end=row["end"],
                emitted_at=row["emitted_at"],
                delay_s=row["delay_s"],
                bundle=row["bundle"],
                dropped=row["dropped"],
                interrupted=row["interrupted"],
                raw_score=row.get("raw_score"),  # absent in results of earlier versions
            ),
        )


def items_table(records: Iterable[Record], bundle: str) -> Any:
    """The table of items: one row per record, in order."""
    pa = load_pyarrow()
    text, count = pa.string(), pa.int64()
    columns = [(name, text) for name in ("item", "stream", "kind", "status")]
    columns += [("bytes", count), ("sha256", text), ("snippets", count), ("media_s", pa.float64())]
    columns += [("events", count), ("lost_frames", count), ("missing_snippets", count)]
    columns += [("part", text), ("error_code", text), ("error", text)]
    schema = pa.schema(
        columns,
        metadata={"punctum.schema": ITEMS_SCHEMA, "punctum.bundle": bundle},
    )
    renamed = {"bytes": "size", "lost_frames": "lost", "missing_snippets": "missing"}
    rows = list(records)
    return pa.table(
        [pa.array([getattr(r, renamed.get(f.name, f.name)) for r in rows], f.type) for f in schema], schema=schema
    )
