"""Scoring with processes on this machine. Each process opens the bundle once.

When a worker dies (out of memory, a crash inside a decoder, `kill -9`), its group is tried again in a new worker. If
that one dies too, the items are scored one by one, so that the item that crashes workers is found and recorded.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..bundle.reader import Bundle
from ..errors import PunctumError
from ..text.display import printable
from ..text.warning_lines import LOGGER, WarningLines
from ._items import Group, Outcome

if TYPE_CHECKING:
    from ._options import ArchiveOptions

_log = logging.getLogger(__name__)

AHEAD = 2  # groups per worker, so that the next one is available when it finishes one
ATTEMPTS = 2
MAX_FAILED_STARTS = 3  # successive workers that end before they are ready
STOP_S = 5.0
_STARTED, _READY = "started", "ready"  # messages of a worker before its first outcome


@dataclass(slots=True)
class _Job:
    group: Group
    deaths: int = 0


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Any
    assigned: deque[_Job] = field(default_factory=deque)
    has_bundle: bool = False
    ready: bool = False  # has opened the bundle


def run_local(
    bundle: Bundle, options: ArchiveOptions, groups: Sequence[Group], *, workers: int
) -> Generator[Outcome, None, None]:
    """Score groups with processes on this machine.

    Yields:
        Outcomes in the order in which they are finished.

    Raises:
        PunctumError: Workers cannot start, for example because the engine cannot be opened.
    """
    pool = _Pool(bundle, options, deque(_Job(group) for group in groups))
    try:
        yield from pool.run(min(workers, len(groups)))
    finally:
        pool.close()


class _Pool:
    def __init__(self, bundle: Bundle, options: ArchiveOptions, jobs: deque[_Job]) -> None:
        self._bundle, self._options, self._jobs = bundle, options, jobs
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._context = multiprocessing.get_context("spawn")

    def run(self, count: int) -> Iterator[Outcome]:
        for _ in range(count):
            self._workers.append(self._start())
        while self._jobs or any(worker.assigned for worker in self._workers):
            for worker in self._workers:
                self._feed(worker)
            watched = {w.pipe: w for w in self._workers} | {w.process.sentinel: w for w in self._workers}
            woken = multiprocessing.connection.wait(list(watched))
            # Messages that a worker sent before it died come first.
            for worker in {id(watched[one]): watched[one] for one in woken}.values():
                yield from self._receive(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        # The bundle is sent through the pipe after the process has started: passing a large argument to a process that
        # does not start would block forever.
        process = self._context.Process(target=_work, args=(theirs, self._options), name="punctum-score", daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _feed(self, worker: _Worker) -> None:
        busy = sum(1 for one in self._workers if one.assigned)
        while worker.has_bundle and self._jobs and len(worker.assigned) < AHEAD and worker.process.is_alive():
            # The last groups go to idle workers, not to the queue of a busy one.
            if worker.assigned and len(self._jobs) <= len(self._workers) - busy:
                return
            job = self._jobs[0]
            if job.deaths and worker.assigned:
                return  # a group whose worker died runs alone, so that the cause of the next death is known
            try:
                worker.pipe.send(job.group)
            except (BrokenPipeError, ConnectionError):
                return  # it has died; `_receive` handles this
            worker.assigned.append(self._jobs.popleft())

    def _receive(self, worker: _Worker) -> Iterator[Outcome]:
        try:
            while worker.pipe.poll():
                message = worker.pipe.recv()
                if isinstance(message, BaseException):
                    raise message
                if isinstance(message, Outcome):
                    worker.assigned.popleft()
                    yield message
                elif message == _STARTED:
                    worker.pipe.send(self._bundle)
                    worker.has_bundle = True
                else:
                    worker.ready = True
                    self._failed_starts = 0
        except (EOFError, ConnectionError):
            pass
        else:
            if worker.process.is_alive():
                return
        yield from self._replace(worker)

    def _replace(self, worker: _Worker) -> Iterator[Outcome]:
        """Replace a worker that died, and requeue its groups."""
        worker.process.join(STOP_S)
        worker.pipe.close()
        code = worker.process.exitcode
        self._failed_starts += not worker.ready
        if self._failed_starts == MAX_FAILED_STARTS:
            raise PunctumError(
                "worker-start",
                f"{MAX_FAILED_STARTS} workers in a row ended before they were ready ({_cause(code)})",
                required="workers that can load the bundle",
                next_step="try with `workers=1`, read its output, and check the memory",
            )
        requeued = list(worker.assigned)
        place = "" if worker.ready else " before it was ready"
        if requeued and worker.ready:
            first = requeued.pop(0)
            first.deaths += 1
            tasks = first.group.tasks
            place = f" at {tasks[0].item.name}" + (f" and {len(tasks) - 1} more" if len(tasks) > 1 else "")
            if first.deaths < ATTEMPTS:
                requeued.insert(0, first)
            elif len(tasks) == 1:
                yield _abandoned(first.group, code)
            else:
                requeued = [_Job(Group(first.group.number, (task,)), ATTEMPTS - 1) for task in tasks] + requeued
        _log.warning("a worker ended (%s)%s", _cause(code), printable(place))
        self._jobs.extendleft(reversed(requeued))
        self._workers[self._workers.index(worker)] = self._start()

    def close(self) -> None:
        """End all workers immediately."""
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.pipe.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(STOP_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(STOP_S)


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def _abandoned(group: Group, code: int | None) -> Outcome:
    from ._scorer import failed

    error = PunctumError(
        "worker-died",
        f"A worker ended {ATTEMPTS} times while it scored this item alone ({_cause(code)})",
        required="a valid recording and enough memory",
        next_step="check the recording and the memory, then run again with `retry_failed`",
    )
    records = tuple(failed(task.item, error).record for task in group.tasks)
    return Outcome(group.number, records, "", b"", 0.0)


def _work(pipe: Any, options: ArchiveOptions) -> None:
    """Main function of a worker. It ends when its pipe is closed or its parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is sent to all processes; the driver handles it
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent.sentinel,), name="punctum-parent", daemon=True).start()
    from ._scorer import Scorer

    logging.getLogger(LOGGER).addHandler(WarningLines())
    try:
        pipe.send(_STARTED)
        try:
            scorer = Scorer(pipe.recv(), options)
        except PunctumError as error:
            pipe.send(error)
            return
        pipe.send(_READY)
        while True:
            pipe.send(scorer.score(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionError):
        return


def _exit_with(sentinel: Any) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
