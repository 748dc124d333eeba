"""The run: choose what to score, pass it to an engine, and commit the results."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from .._version import __version__
from ..bundle.reader import Bundle
from ..errors import InputError, PunctumError
from ..machine.cores import whole_cores
from ..text.display import counted, duration, printable, some, were
from ..video._frames import AUTO
from ..video._hardware import auto_choice
from ._commit import Committer
from ._groups import make_groups
from ._items import Group, Item, Outcome, Record, Task
from ._ledger import Archive
from ._open import discards, open_archive
from ._options import ArchiveOptions
from ._progress import Progress
from ._scorer import Scorer
from ._workers import run_local
from .inputs import find_items
from .results import write_results
from .tables import load_pyarrow


@dataclass(slots=True)
class Summary:
    """The result of a run.

    Attributes:
        items: Number of items of the inputs.
        skipped: Number of items that were done before.
        scored: Number of items scored.
        unchanged: Number of items whose file was touched, but whose content is as before.
        failed: Number of items that failed.
        failed_before: Number of items that failed in an earlier run.
        events: Number of events in the scored items.
        media_s: Media time of the scored items in seconds.
        read_bytes: Bytes read.
        workers: Number of workers.
        engine: "local" or "ray".
        start_s: Seconds until the first group was passed to a worker.
        wall_s: Seconds of the whole run.
        worker_s: Seconds of work, summed over all workers.
        errors: Code and message of each item of the inputs that is recorded as failed.
        lost: Number of missing "frames" and "snippets" of each item of the inputs with missing parts.
    """

    items: int = 0
    skipped: int = 0
    scored: int = 0
    unchanged: int = 0
    failed: int = 0
    failed_before: int = 0
    events: int = 0
    media_s: float = 0.0
    read_bytes: int = 0
    workers: int = 0
    engine: str = "local"
    start_s: float = 0.0
    wall_s: float = 0.0
    worker_s: float = 0.0
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)
    lost: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def loss(self) -> str:
        """One line about missing parts of the recordings; only valid if `lost` is not empty."""
        names = list(self.lost)
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        frames, snippets = (sum(one[part] for one in self.lost.values()) for part in ("frames", "snippets"))
        parts = [counted(n, thing) for n, thing in ((frames, "video frame"), (snippets, "snippet")) if n]
        return (
            f"{' and '.join(parts)} missing in {len(names)} of {counted(self.items, 'item')}: {shown} "
            "(lost_frames and missing_snippets in items.parquet)"
        )

    def lines(self) -> list[str]:
        """A summary in a few lines."""
        parts = [f"{self.scored} scored", f"{self.skipped} {were(self.skipped)} done before"]
        if self.unchanged:
            parts.append(f"{self.unchanged} touched, content as before")
        parts += [f"{self.failed} failed"]
        if self.failed_before:
            parts.append(f"{self.failed_before} had failed before")
        lines = [
            f"{counted(self.items, 'item')}: {', '.join(parts)}; {counted(self.events, 'event')} in the scored items"
        ]
        if self.scored:
            pace = self.media_s / max(self.wall_s, 1e-9)
            lines.append(
                f"{self.media_s / 3600:.2f} h of media in {duration(self.wall_s)} with "
                f"{counted(self.workers, 'worker')}: {pace:.4g} times real time"
            )
        for name, (code, message) in list(self.errors.items())[:10]:
            lines.append(printable(f"  {name}: [{code}] {message}"))
        if len(self.errors) > 10:
            lines.append(f"  and {len(self.errors) - 10} more, see items.parquet")
        return lines


class Engine(Protocol):
    """Scores groups of items. Closing the returned generator ends its workers."""

    def __call__(
        self, bundle: Bundle, options: ArchiveOptions, groups: Sequence[Group], *, workers: int
    ) -> Generator[Outcome, None, None]: ...


def score_archive(
    bundle: Bundle,
    inputs: Sequence[str],
    out: str | Path,
    options: ArchiveOptions | None = None,
    *,
    progress: bool = True,
) -> Summary:
    """Score all recordings of the inputs. An existing run in the folder is resumed.

    Args:
        bundle: The bundle.
        inputs: Files, folders, globs, list files, data set folders, or addresses that fsspec reads.
        out: The results folder.
        options: How to score.
        progress: Whether to print progress on standard error.

    Returns:
        A summary. Items that failed are listed in it and raise nothing.

    Raises:
        InputError: An input contains no recording, or the folder or the inference engine cannot be opened.
        PunctumError: Results cannot be written. Committed results remain.
    """
    began = time.perf_counter()
    options = options or ArchiveOptions()
    load_pyarrow()
    _check_labels(bundle, options)
    bundle.check_precision(options.precision)
    options.operating_point.of(bundle.manifest.calibration, bundle.labels)  # refused before anything is discarded
    items = find_items(list(inputs), kind=options.kind, split=options.split, root=options.root)
    videos = any(item.kind == "video" for item in items)
    if options.decoder is not None and not videos:
        raise InputError(
            "option-unfit", "`decoder` has no effect, because there are no videos", "videos", "leave out `decoder`"
        )
    if options.fps is not None and not videos:
        raise InputError(
            "video-rate",
            f"`fps={options.fps:g}` has no effect, because there are no videos",
            required="videos without timestamps",
            next_step="leave out `fps`",
        )
    head = {"bundle": bundle.id, "settings": options.settings(), "punctum": __version__, "labels": list(bundle.labels)}
    summary = Summary(items=len(items), engine=options.engine)
    if options.replace and discards(Path(out), head):
        _check_engine(bundle, options)
    with open_archive(Path(out), head, replace_all=options.replace) as archive:
        tasks = [task for item in items if (task := _task(item, archive, options)) is not None]
        wanted = {task.item.name: task for task in tasks}
        groups = _remaining(
            make_groups([Task(i) for i in items], archive_items=len(items), most=options.group_items), wanted
        )
        summary.skipped = sum(1 for i in items if i.name not in wanted and archive.records[i.name].status == "done")
        bar = Progress(len(wanted), sum(task.item.size for task in tasks)) if progress else None
        try:
            with _engine(options, idle=not groups) as (engine, room):
                summary.workers = min(options.workers or room, len(groups))
                summary.start_s = time.perf_counter() - began
                if bar is not None:
                    bar.start(len(items) - len(wanted), summary.workers)
                    if groups and options.decoder == AUTO:
                        bar.note(f"decoder: {auto_choice()}")
                if groups:
                    _consume(archive, engine(bundle, options, groups, workers=summary.workers), summary, bar)
        except BaseException:
            _finish(archive, options, complete=False)
            raise
        _finish(archive, options, complete=True)
        for item in items:
            record = archive.records.get(item.name)
            if record is not None and record.status == "failed":
                summary.errors[item.name] = (record.error_code, record.error)
            elif record is not None and (record.lost or record.missing):
                summary.lost[item.name] = {"frames": record.lost, "snippets": record.missing}
        summary.failed_before = len(summary.errors) - summary.failed
    summary.wall_s = time.perf_counter() - began
    return summary


def _check_engine(bundle: Bundle, options: ArchiveOptions) -> None:
    """Raise the error with which the engine would end the run, before earlier results are discarded for it."""
    if options.engine == "local":
        Scorer(bundle, options)
        return
    from ._ray_cluster import connected

    with connected(options):
        pass


@contextlib.contextmanager
def _engine(options: ArchiveOptions, *, idle: bool) -> Iterator[tuple[Engine, int]]:
    """The engine and the number of workers that it can run. idle: there is nothing to do, so nothing is started."""
    if options.engine == "local" or idle:
        yield run_local, max(whole_cores() // options.threads, 1)
        return
    from ._ray_cluster import connected
    from .ray_engine import run_ray

    with connected(options) as room:
        yield run_ray, room


def _consume(
    archive: Archive, outcomes: Generator[Outcome, None, None], summary: Summary, bar: Progress | None
) -> None:
    def count(outcome: Outcome) -> None:
        _count(summary, outcome)
        if bar is not None:
            bar.add(outcome)

    try:
        with Committer(archive, count) as committer, contextlib.closing(outcomes):
            for outcome in outcomes:
                committer.put(outcome)
    finally:
        if bar is not None:
            bar.close()


def _finish(archive: Archive, options: ArchiveOptions, *, complete: bool) -> None:
    """Write items.parquet, and after a complete run the other formats."""
    try:
        write_results(archive, options.formats if complete else ())
    except PunctumError:
        if complete:
            raise  # otherwise the error that ended the run is raised


def _task(item: Item, archive: Archive, options: ArchiveOptions) -> Task | None:
    """The task for an item; None if there is nothing to do."""
    record = archive.records.get(item.name)
    if record is None:
        return Task(item)
    same = bool(item.stamp) and record.stamp == item.stamp
    if record.status == "failed":
        return Task(item) if options.retry_failed or record.stamp != item.stamp else None
    if same and not options.rehash:
        return None
    # Other modification time, same size: the worker compares the content.
    return Task(item, record.sha256 if record.size == item.size else "")


def _remaining(groups: list[Group], wanted: dict[str, Task]) -> list[Group]:
    """Groups without finished items."""
    remaining = []
    for group in groups:
        tasks = tuple(wanted[task.item.name] for task in group.tasks if task.item.name in wanted)
        if tasks:
            remaining.append(replace(group, tasks=tasks))
    return remaining


def _count(summary: Summary, outcome: Outcome) -> None:
    def of(status: str) -> list[Record]:
        return [record for record in outcome.records if record.status == status]

    done = of("done")
    summary.scored += len(done)
    summary.unchanged += len(of("same"))
    summary.failed += len(of("failed"))
    summary.events += sum(record.events for record in done)
    summary.media_s += sum(record.media_s for record in done)
    summary.read_bytes += sum(record.size for record in done)
    summary.worker_s += outcome.seconds


def _check_labels(bundle: Bundle, options: ArchiveOptions) -> None:
    for name in options.labels:
        if name not in bundle.labels:
            raise InputError(
                "label-unknown",
                f"The bundle has no class {name!r}",
                some(bundle.labels),
                "set `labels` to some of these",
            )
