"""The work of one worker: from a group of items to records and a part of events. Independent of processes."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..bundle.operating_point import minimum
from ..bundle.reader import Bundle
from ..errors import InputError, PunctumError
from ..events.event import Event
from ..features.features import Features, load_features
from ..files.atomic import sha256_file
from ..localizer import Localizer
from ..session.batch import BatchItem, localize_together
from ..sources.items import Chunk
from ..text.display import as_utf8, plain, short
from ._groups import STREAMED_BYTES
from ._items import Group, Item, Outcome, Record, Task
from ._remote import fetch, shown, suffix_of
from .inputs import stamp_of
from .tables import EventRows, Scored, part_of

if TYPE_CHECKING:
    from ..backbone.backbone import VideoBackbone
    from ._options import ArchiveOptions


class Scorer:
    """An opened bundle that scores groups. Raises InputError if the engine cannot be opened."""

    def __init__(self, bundle: Bundle, options: ArchiveOptions) -> None:
        self.bundle, self.options = bundle, options
        self.min_score = options.operating_point.of(bundle.manifest.calibration, bundle.labels)
        self.localizer = Localizer.open(bundle, options.spec)
        self._backbone: VideoBackbone | None = None

    def score(self, group: Group) -> Outcome:
        """Score a group. Every item gets a record; an error affects its item only."""
        began = time.perf_counter()
        scored: list[Scored] = []
        waiting: list[tuple[int, Task, BatchItem, str]] = []
        with contextlib.ExitStack() as files:
            for task in group.tasks:
                try:
                    result = self._prepare(task, files)
                except PunctumError as error:
                    scored.append(failed(task.item, error))
                except OSError as error:
                    scored.append(failed(task.item, _unreadable(task.item, error)))
                except Exception as error:  # noqa: BLE001 - recorded; an item must not end the run
                    scored.append(failed(task.item, _unexpected(error)))
                else:
                    if isinstance(result, Scored):
                        scored.append(result)
                    else:
                        waiting.append((len(scored), task, *result))
                        scored.append(Scored(Record(task.item.name, task.item.kind, "failed", task.item.stamp, 0)))
            if waiting:
                self._batch([item for _, _, item, _ in waiting])
                for place, task, item, digest in waiting:
                    if item.error is not None:
                        scored[place] = failed(task.item, item.error)
                        continue
                    rows = EventRows(task.item.name)
                    rows.add(self._selected(item.events))
                    scored[place] = _done(task.item, digest, rows, *_extent(item.features))
        name, data = part_of(scored, self.bundle.id, self.options.settings())
        records = []
        for one in scored:
            record = one.record
            if record.events:
                record = replace(record, part=name)
            records.append(record)
        return Outcome(group.number, tuple(records), name, data, time.perf_counter() - began)

    def _batch(self, items: list[BatchItem]) -> None:
        try:
            localize_together(self.localizer.plan, self.localizer.backend, items)
        except Exception:  # noqa: BLE001 - a shared run failed: run items one by one to find the cause
            for item in items:
                item.events, item.error = [], None
                try:
                    localize_together(self.localizer.plan, self.localizer.backend, [item])
                except Exception as error:  # noqa: BLE001 - as above
                    item.error = _unexpected(error)

    def _prepare(self, task: Task, files: contextlib.ExitStack) -> Scored | tuple[BatchItem, str]:
        """A finished item, or features that are scored together with those of the group, and their SHA-256."""
        item = task.item
        paths, digest = [], ""
        if item.kind == "video" and self.bundle.manifest.backbone is None:
            from ..backbone.backbone import no_backbone

            raise no_backbone(self.bundle.id, shown(item.paths[0]))
        for path in item.paths:
            local, part = files.enter_context(_local_copy(item, path))
            paths.append(local)
            digest = digest + "+" + part if digest else part
        if task.known and digest == task.known:
            return Scored(Record(item.name, item.kind, "same", item.stamp, item.size, digest))
        if item.kind == "video":
            return self._video(item, paths[0], digest)
        if len(paths) == 1 and item.size >= STREAMED_BYTES:
            return self._streamed(item, paths[0], digest)
        plan = self.localizer.plan
        stride = item.stride_s or plan.stride_s
        alone = plan.dim if len(paths) == 1 else None
        parts = [load_features(path, stride_s=stride, dim=alone).data for path in paths]
        if len({len(part) for part in parts}) > 1:
            lengths = " and ".join(str(len(part)) for part in parts)
            raise InputError(
                "features-length",
                f"The RGB and flow features of {item.name} have {lengths} snippets",
                required="the same number",
                next_step="extract both again",
            )
        data = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        _unchanged(item)
        return BatchItem(item.stream, Features(data, stride)), digest

    def _streamed(self, item: Item, path: Path, digest: str) -> Scored:
        """Score features in blocks, so that memory does not depend on their length."""
        from ..sources.tail import RowFile

        plan = self.localizer.plan
        if item.stride_s is not None and abs(item.stride_s - plan.stride_s) > 1e-6 * plan.stride_s:
            raise InputError(
                "features-stride",
                f"The features of {item.name} have a stride of {short(item.stride_s)} s",
                required=f"a stride of {short(plan.stride_s)} s, as in the training of this bundle",
                next_step="extract features with this stride",
            )
        with contextlib.closing(RowFile(path, dim=plan.dim)) as source:
            chunks = (chunk for chunk in source.items() if isinstance(chunk, Chunk))
            return self._score_chunks(item, digest, chunks)

    def _video(self, item: Item, path: Path, digest: str) -> Scored:
        from ..backbone.backbone import VideoBackbone
        from ..sources.video import coalesce, open_video
        from ..video import SOFTWARE, VideoOptions

        if self._backbone is None:
            self._backbone = VideoBackbone.open(self.bundle, self.options.spec)
        frames = VideoOptions(rate=self.options.fps, decoder=self.options.decoder or SOFTWARE)
        with contextlib.closing(open_video(str(path), self._backbone, overflow="wait", options=frames)) as source:
            done = self._score_chunks(item, digest, coalesce(source.items()))
        return Scored(replace(done.record, lost=source.stats.lost), done.rows)

    def _score_chunks(self, item: Item, digest: str, chunks: Iterable[Chunk]) -> Scored:
        """Score a recording in chunks. Memory grows with its events only."""
        recording, rows = self.localizer.recording(stream=item.stream), EventRows(item.name)
        for chunk in chunks:
            rows.add(self._selected(recording.push(chunk.rows, at=chunk.at, lost=chunk.lost)))
        rows.add(self._selected(recording.finish()))
        spent = recording.stats
        _unchanged(item)
        done = _done(item, digest, rows, spent.snippets, spent.media_s)
        return Scored(replace(done.record, missing=spent.dropped), done.rows)

    def _selected(self, events: Sequence[Event]) -> list[Event]:
        labels = self.options.labels
        return [e for e in events if e.score >= minimum(self.min_score, e.label) and (not labels or e.label in labels)]


def _done(item: Item, digest: str, rows: EventRows, snippets: int, media_s: float) -> Scored:
    record = Record(item.name, item.kind, "done", item.stamp, item.size, digest, snippets, media_s, rows.count)
    return Scored(record, rows)


@contextlib.contextmanager
def _local_copy(item: Item, path: str) -> Iterator[tuple[Path, str]]:
    """A local file with the content of a path, and its SHA-256. A copy of a remote file is temporary."""
    if not item.remote:
        local = Path(path)
        yield local, sha256_file(local) if local.is_file() and item.stamp else ""
        return
    with tempfile.NamedTemporaryFile(prefix="punctum-", suffix=suffix_of(path)) as spool:
        digest = fetch(path, spool)
        yield Path(spool.name), digest


def _unchanged(item: Item) -> None:
    """Raise InputError if a local file was changed since it was listed, so that what was read may be inconsistent."""
    if item.remote or not item.stamp:
        return
    now = "+".join(stamp_of(Path(path).stat()) for path in item.paths)
    if now != item.stamp:
        raise InputError(
            "item-changed",
            f"{item.name} was changed while it was scored",
            required="complete files",
            next_step="run again when the file is complete",
        )


def failed(item: Item, error: PunctumError) -> Scored:
    """The record of an item that could not be scored."""
    record = Record(
        item.name,
        item.kind,
        "failed",
        item.stamp,
        item.size,
        error_code=error.code,
        error=as_utf8(shown(str(error)))[:2000],
    )
    return Scored(record)


def _unexpected(error: Exception) -> PunctumError:
    return PunctumError(
        "item-failed",
        f"The recording cannot be scored ({type(error).__name__}: {plain(error)[:500]})",
        next_step="report this with the recording",
    )


def _unreadable(item: Item, error: OSError) -> InputError:
    return InputError(
        "item-unreadable",
        f"{shown(item.paths[0])} cannot be read ({error.strerror or error})",
        required="files that this user may read",
        next_step="check mode and disk, then run again with `retry_failed`",
    )


def _extent(features: Features) -> tuple[int, float]:
    return len(features.data), len(features.data) * features.stride_s
