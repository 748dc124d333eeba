"""What one worker does: a group of items in, their records and a part of events out. Knows nothing of processes."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
    """A bundle on its engine, opened once. Raises InputError where the engine cannot be opened."""

    def __init__(self, bundle: Bundle, options: ArchiveOptions) -> None:
        self.bundle, self.options = bundle, options
        self.localizer = Localizer.open(bundle, options.spec)
        self._backbone: VideoBackbone | None = None

    def score(self, group: Group) -> Outcome:
        """Every item of the group gets a record; whatever is wrong with one stays with it."""
        began = time.perf_counter()
        scored: list[Scored] = []
        waiting: list[tuple[int, Task, BatchItem, str]] = []
        with contextlib.ExitStack() as held:
            for task in group.tasks:
                try:
                    found = self._one(task, held)
                except PunctumError as error:
                    scored.append(failed(task.item, error))
                except OSError as error:
                    scored.append(failed(task.item, _unreadable(task.item, error)))
                except Exception as error:  # noqa: BLE001 - one item must not end the run; the record says what it was
                    scored.append(failed(task.item, _unexpected(error)))
                else:
                    if isinstance(found, Scored):
                        scored.append(found)
                    else:
                        waiting.append((len(scored), task, *found))
                        scored.append(Scored(Record(task.item.name, task.item.kind, "failed", task.item.stamp, 0)))
            if waiting:
                self._batch([whole for _, _, whole, _ in waiting])
                for place, task, whole, digest in waiting:
                    if whole.error is not None:
                        scored[place] = failed(task.item, whole.error)
                        continue
                    rows = EventRows(task.item.name)
                    rows.add(self._kept(whole.events))
                    scored[place] = _done(task.item, digest, rows, *_extent(whole.features))
        name, data = part_of(scored, self.bundle.id, self.options.settings())
        records = []
        for one in scored:
            record = one.record
            if record.events:
                record = replace(record, part=name)
            records.append(record)
        return Outcome(group.number, tuple(records), name, data, time.perf_counter() - began)

    def _batch(self, wholes: list[BatchItem]) -> None:
        try:
            localize_together(self.localizer.plan, self.localizer.backend, wholes)
        except Exception:  # noqa: BLE001 - the engine failed on a shared run: who is at fault shows one by one
            for whole in wholes:
                whole.events, whole.error = [], None
                try:
                    localize_together(self.localizer.plan, self.localizer.backend, [whole])
                except Exception as error:  # noqa: BLE001 - as above
                    whole.error = _unexpected(error)

    def _one(self, task: Task, held: contextlib.ExitStack) -> Scored | tuple[BatchItem, str]:
        """An item that is through, or one whose features wait for the group's common runs, with its sha256."""
        item = task.item
        paths, digest = [], ""
        if item.kind == "video" and self.bundle.manifest.backbone is None:
            from ..backbone.backbone import no_backbone

            raise no_backbone(self.bundle.id, shown(item.paths[0]))
        for path in item.paths:
            local, part = held.enter_context(_at_hand(item, path))
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
            raise InputError("features-length", f"RGB and flow of {item.name} have {lengths} snippets", "one length")
        data = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        _unchanged(item)
        return BatchItem(item.stream, Features(data, stride)), digest

    def _streamed(self, item: Item, path: Path, digest: str) -> Scored:
        """Features in blocks: memory does not depend on their length."""
        from ..sources.tail import RowFile

        plan = self.localizer.plan
        if item.stride_s is not None and abs(item.stride_s - plan.stride_s) > 1e-6 * plan.stride_s:
            raise InputError(
                "features-stride",
                f"features with a stride of {short(item.stride_s)} s",
                f"{short(plan.stride_s)} s, which this bundle was trained on",
                "extract features at that rate",
            )
        with contextlib.closing(RowFile(path, dim=plan.dim)) as source:
            chunks = (chunk for chunk in source.items() if isinstance(chunk, Chunk))
            return self._through(item, digest, chunks)

    def _video(self, item: Item, path: Path, digest: str) -> Scored:
        from ..backbone.backbone import VideoBackbone
        from ..sources.video import coalesce, open_video

        if self._backbone is None:
            self._backbone = VideoBackbone.open(self.bundle, self.options.spec)
        with contextlib.closing(open_video(str(path), self._backbone, overflow="wait", fps=self.options.fps)) as source:
            done = self._through(item, digest, coalesce(source.items()))
        return Scored(replace(done.record, lost=source.stats.lost), done.rows)

    def _through(self, item: Item, digest: str, chunks: Iterable[Chunk]) -> Scored:
        """A recording that comes in parts. What is held of it does not grow but for its events."""
        recording, rows = self.localizer.recording(stream=item.stream), EventRows(item.name)
        for chunk in chunks:
            rows.add(self._kept(recording.push(chunk.rows, at=chunk.at, lost=chunk.lost)))
        rows.add(self._kept(recording.finish()))
        spent = recording.stats
        _unchanged(item)
        done = _done(item, digest, rows, spent.snippets, spent.media_s)
        return Scored(replace(done.record, missing=spent.dropped), done.rows)

    def _kept(self, events: Sequence[Event]) -> list[Event]:
        options = self.options
        return [e for e in events if e.score >= options.min_score and (not options.labels or e.label in options.labels)]


def _done(item: Item, digest: str, rows: EventRows, snippets: int, media_s: float) -> Scored:
    record = Record(item.name, item.kind, "done", item.stamp, item.size, digest, snippets, media_s, rows.count)
    return Scored(record, rows)


@contextlib.contextmanager
def _at_hand(item: Item, path: str) -> Iterator[tuple[Path, str]]:
    """A local file with the content of a path, and its sha256. A remote one is there only while it is worked on."""
    if not item.remote:
        local = Path(path)
        yield local, sha256_file(local) if local.is_file() and item.stamp else ""
        return
    with tempfile.NamedTemporaryFile(prefix="punctum-", suffix=suffix_of(path)) as spool:
        digest = fetch(path, spool)  # type: ignore[arg-type]
        yield Path(spool.name), digest


def _unchanged(item: Item) -> None:
    """Raises InputError when a local file is no longer what was listed: what was read may be a mixture."""
    if item.remote or not item.stamp:
        return
    now = "+".join(stamp_of(Path(path).stat()) for path in item.paths)
    if now != item.stamp:
        raise InputError(
            "item-changed",
            f"{item.name} was written while it was scored",
            "files that are complete",
            "run again when its writer has finished",
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
        "item-failed", f"{type(error).__name__}: {plain(error)[:500]}", "", "report it with the recording"
    )


def _unreadable(item: Item, error: OSError) -> InputError:
    return InputError(
        "item-unreadable",
        f"{shown(item.paths[0])} ({error.strerror or error})",
        "files that this user may read, on a disk that gives them",
        "check mode and disk, then run again with --retry-failed",
    )


def _extent(features: Features) -> tuple[int, float]:
    return len(features.data), len(features.data) * features.stride_s
