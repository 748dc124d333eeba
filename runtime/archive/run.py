"""The run: what there is to do, who does it, and what came of it."""

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
from ..text.display import counted, printable, were
from ._commit import Committer
from ._groups import make_groups
from ._items import Group, Item, Outcome, Record, Task
from ._ledger import Archive, open_archive
from ._options import ArchiveOptions
from ._progress import Progress, duration
from ._workers import run_local
from .inputs import find_items
from .results import write_results
from .tables import load_pyarrow


@dataclass(slots=True)
class Summary:
    """What a run did. Counts are of items; `failed` and `failed_before` are among today's inputs.

    errors: item -> (code, message) of all that are recorded as failed among today's inputs.
    lost: item -> {"frames", "snippets"} that were missing, for those inputs of this run where some were.
    start_s: from the call to the first group handed out; wall_s: all of it. worker_s: work of all workers together.
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
        """One line on what is missing from the recordings; only where `lost` names some."""
        names = list(self.lost)
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        frames, snippets = (sum(one[part] for one in self.lost.values()) for part in ("frames", "snippets"))
        parts = [counted(n, thing) for n, thing in ((frames, "video frame"), (snippets, "snippet")) if n]
        return (
            f"{' and '.join(parts)} missing in {len(names)} of {counted(self.items, 'item')}: {shown} "
            "(lost_frames and missing_snippets in items.parquet)"
        )

    def lines(self) -> list[str]:
        """A few lines for people."""
        parts = [f"{self.scored} scored", f"{self.skipped} {were(self.skipped)} done before"]
        if self.unchanged:
            parts.append(f"{self.unchanged} touched, content as before")
        parts += [f"{self.failed} failed"]
        if self.failed_before:
            parts.append(f"{self.failed_before} had failed before")
        told = [
            f"{counted(self.items, 'item')}: {', '.join(parts)}; {counted(self.events, 'event')} in what was scored"
        ]
        if self.scored:
            pace = self.media_s / max(self.wall_s, 1e-9)
            told.append(
                f"{self.media_s / 3600:.2f} h of media in {duration(self.wall_s)} with "
                f"{counted(self.workers, 'worker')}: {pace:.4g} times real time"
            )
        for name, (code, message) in list(self.errors.items())[:10]:
            told.append(printable(f"  {name}: [{code}] {message}"))
        if len(self.errors) > 10:
            told.append(f"  and {len(self.errors) - 10} more, see items.parquet")
        return told


class Engine(Protocol):
    """Works groups off. Closing what it returns ends its workers."""

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
    """Score everything that `inputs` name into the folder `out`, or what is left of it from an earlier run.

    progress: report on standard error. Items that fail are in the summary; they raise nothing.
    Raises InputError for inputs that name nothing, for a folder that cannot be used, and for an engine that cannot be
    opened; PunctumError when results cannot be written: what was committed before stays.
    """
    began = time.perf_counter()
    options = options or ArchiveOptions()
    load_pyarrow()
    _check_labels(bundle, options)
    bundle.check_precision(options.precision)
    items = find_items(list(inputs), kind=options.kind, split=options.split, root=options.root)
    if options.fps is not None and not any(item.kind == "video" for item in items):
        raise InputError(
            "video-rate",
            f"--fps {options.fps:g} without any video",
            "videos without time stamps",
            "leave out --fps",
        )
    head = {"bundle": bundle.id, "settings": options.settings(), "punctum": __version__, "labels": list(bundle.labels)}
    summary = Summary(items=len(items), engine=options.engine)
    with open_archive(Path(out), head, replace_all=options.replace) as archive:
        tasks = [task for item in items if (task := _task(item, archive, options)) is not None]
        wanted = {task.item.name: task for task in tasks}
        groups = _left(
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
                if groups:
                    _work_off(archive, engine(bundle, options, groups, workers=summary.workers), summary, bar)
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


@contextlib.contextmanager
def _engine(options: ArchiveOptions, *, idle: bool) -> Iterator[tuple[Engine, int]]:
    """Who does the work, and how many workers there is room for. idle: there is nothing to do, so nothing starts."""
    if options.engine == "local" or idle:
        yield run_local, max(whole_cores() // options.threads, 1)
        return
    from ._ray_cluster import connected
    from .ray_engine import run_ray

    with connected(options) as room:
        yield run_ray, room


def _work_off(
    archive: Archive, outcomes: Generator[Outcome, None, None], summary: Summary, bar: Progress | None
) -> None:
    def told(outcome: Outcome) -> None:
        _count(summary, outcome)
        if bar is not None:
            bar.add(outcome)

    try:
        with Committer(archive, told) as committer, contextlib.closing(outcomes):
            for outcome in outcomes:
                committer.put(outcome)
    finally:
        if bar is not None:
            bar.close()


def _finish(archive: Archive, options: ArchiveOptions, *, complete: bool) -> None:
    """items.parquet also after a run that broke off; the other forms of a whole one only."""
    try:
        write_results(archive, options.formats if complete else ())
    except PunctumError:
        if complete:
            raise  # else the first fault is the one to tell


def _task(item: Item, archive: Archive, options: ArchiveOptions) -> Task | None:
    """What is to be done about an item; None: nothing."""
    record = archive.records.get(item.name)
    if record is None:
        return Task(item)
    same = bool(item.stamp) and record.stamp == item.stamp
    if record.status == "failed":
        return Task(item) if options.retry_failed or record.stamp != item.stamp else None
    if same and not options.rehash:
        return None
    # Another time stamp, the same size: the content decides, and the worker reads it anyway.
    return Task(item, record.sha256 if record.size == item.size else "")


def _left(groups: list[Group], wanted: dict[str, Task]) -> list[Group]:
    """Groups without what is done."""
    left = []
    for group in groups:
        tasks = tuple(wanted[task.item.name] for task in group.tasks if task.item.name in wanted)
        if tasks:
            left.append(replace(group, tasks=tasks))
    return left


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
                "label-unknown", f"label {name!r}", ", ".join(bundle.labels), "set --label to one of these"
            )
