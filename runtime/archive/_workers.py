"""Groups worked off by processes of this machine. Each opens the bundle once; one that dies takes nothing with it.

A worker's death (out of memory, a crash inside a decoder, `kill -9`) costs its group a second attempt, whole, in a
fresh worker. If that one dies too, the items go on alone, so that the one that kills workers is found and recorded.
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

AHEAD = 2  # groups in a worker's pipe: the next one lies ready when it has finished one
ATTEMPTS = 2
STILLBORN = 3  # workers in a row that ended before they were ready: it is no accident then
STOP_S = 5.0
_UP, _READY = "up", "ready"  # what a worker says before its first outcome


@dataclass(slots=True)
class _Job:
    group: Group
    deaths: int = 0


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Any
    held: deque[_Job] = field(default_factory=deque)
    told: bool = False  # it has the bundle
    ready: bool = False  # and has opened it


def run_local(
    bundle: Bundle, options: ArchiveOptions, groups: Sequence[Group], *, workers: int
) -> Generator[Outcome, None, None]:
    """Outcomes in the order in which they are finished. With one worker the groups are worked off by one process.

    Raises what keeps a worker from starting, such as an engine that cannot be opened.
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
        self._stillborn = 0
        self._context = multiprocessing.get_context("spawn")

    def run(self, count: int) -> Iterator[Outcome]:
        for _ in range(count):
            self._workers.append(self._start())
        while self._jobs or any(worker.held for worker in self._workers):
            for worker in self._workers:
                self._feed(worker)
            watched = {w.pipe: w for w in self._workers} | {w.process.sentinel: w for w in self._workers}
            woken = multiprocessing.connection.wait(list(watched))
            # A worker may have said something before it died: its words come first.
            for worker in {id(watched[one]): watched[one] for one in woken}.values():
                yield from self._hear(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        # The bundle follows through the pipe, when it is asked for: a large argument to a process that does not come
        # up would be written to nobody, for ever.
        process = self._context.Process(target=_work, args=(theirs, self._options), name="punctum-score", daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _feed(self, worker: _Worker) -> None:
        busy = sum(1 for one in self._workers if one.held)
        while worker.told and self._jobs and len(worker.held) < AHEAD and worker.process.is_alive():
            # The last groups go to whoever is idle, not into the pipe of one that works.
            if worker.held and len(self._jobs) <= len(self._workers) - busy:
                return
            job = self._jobs[0]
            if job.deaths and worker.held:
                return  # a suspect goes in alone, so that nobody else is blamed
            try:
                worker.pipe.send(job.group)
            except (BrokenPipeError, ConnectionError):
                return  # it has died; `_hear` will see to it
            worker.held.append(self._jobs.popleft())

    def _hear(self, worker: _Worker) -> Iterator[Outcome]:
        try:
            while worker.pipe.poll():
                said = worker.pipe.recv()
                if isinstance(said, BaseException):
                    raise said
                if isinstance(said, Outcome):
                    worker.held.popleft()
                    yield said
                elif said == _UP:
                    worker.pipe.send(self._bundle)
                    worker.told = True
                else:
                    worker.ready = True
                    self._stillborn = 0
        except (EOFError, ConnectionError):
            pass
        else:
            if worker.process.is_alive():
                return
        yield from self._bury(worker)

    def _bury(self, worker: _Worker) -> Iterator[Outcome]:
        """The worker is gone: its groups go back, a new one takes its place."""
        worker.process.join(STOP_S)
        worker.pipe.close()
        code = worker.process.exitcode
        self._stillborn += not worker.ready
        if self._stillborn == STILLBORN:
            raise PunctumError(
                "worker-start",
                f"{STILLBORN} workers in a row ended before they were ready ({_cause(code)})",
                "workers that can load the bundle",
                "try with --workers 1, see what it printed, and check the memory",
            )
        back = list(worker.held)
        place = "" if worker.ready else " before it was ready"
        if back and worker.ready:
            blamed = back.pop(0)
            blamed.deaths += 1
            tasks = blamed.group.tasks
            place = f" at {tasks[0].item.name}" + (f" and {len(tasks) - 1} more" if len(tasks) > 1 else "")
            if blamed.deaths < ATTEMPTS:
                back.insert(0, blamed)
            elif len(tasks) == 1:
                yield _given_up(blamed.group, code)
            else:
                back = [_Job(Group(blamed.group.number, (task,)), ATTEMPTS - 1) for task in tasks] + back
        _log.warning("a worker ended (%s)%s", _cause(code), printable(place))
        self._jobs.extendleft(reversed(back))
        self._workers[self._workers.index(worker)] = self._start()

    def close(self) -> None:
        """End all workers, now."""
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


def _given_up(group: Group, code: int | None) -> Outcome:
    from ._scorer import failed

    error = PunctumError(
        "worker-died",
        f"a worker ended {ATTEMPTS} times while it scored this alone ({_cause(code)})",
        "recordings that the decoder and the memory can bear",
        "check it and the memory of the machine, then run again with --retry-failed",
    )
    records = tuple(failed(task.item, error).record for task in group.tasks)
    return Outcome(group.number, records, "", b"", 0.0)


def _work(pipe: Any, options: ArchiveOptions) -> None:
    """A worker's life. It ends with its pipe, or with the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of them; the driver decides
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), name="punctum-parent", daemon=True).start()
    from ._scorer import Scorer

    logging.getLogger(LOGGER).addHandler(WarningLines())
    try:
        pipe.send(_UP)
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


def _end_with(sentinel: Any) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
