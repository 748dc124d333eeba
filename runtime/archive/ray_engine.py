"""Scoring with a Ray cluster: a Ray Data pipeline over a pool of actors, each of which opens the bundle once.

    groups -> blocks of the object store -> actors (`Scorer`) -> outcomes, streamed to the driver, which commits them

Ray places the actors, replaces those that die, and applies backpressure. Groups without a result at the end of a pass
(their actor or node died) go through another pass: first as groups, then item by item, so that exactly the item that
crashes workers is found and recorded. Local paths must refer to the same files on every node.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..bundle.reader import Bundle
from ..errors import PunctumError
from ..text.display import counted
from ._items import Group, Outcome
from ._ray_cluster import connected, load_ray, needs
from ._workers import AHEAD

if TYPE_CHECKING:
    from ._options import ArchiveOptions
    from ._scorer import Scorer

_log = logging.getLogger(__name__)

MAX_BLOCKS = 4096  # a block costs the driver a few milliseconds; with more groups, blocks contain several
MAX_EMPTY_PASSES = 3  # successive passes that Ray aborts without a result


@dataclass(frozen=True, slots=True)
class _Pass:
    """How a pass runs. single: item by item. ahead: groups per actor; 1 makes the cause of a crash unambiguous."""

    single: bool
    ahead: int


PASSES = (_Pass(False, AHEAD), _Pass(False, 1), _Pass(True, 1), _Pass(True, 1))


def run_ray(
    bundle: Bundle, options: ArchiveOptions, groups: Sequence[Group], *, workers: int
) -> Generator[Outcome, None, None]:
    """Score groups with a Ray cluster.

    Args:
        bundle: The bundle.
        options: How to score.
        groups: The groups.
        workers: Number of actors; 0: as many as the cluster can run.

    Yields:
        Outcomes in the order in which they are finished.

    Raises:
        InputError: The cluster cannot be reached.
        PunctumError: Workers cannot start, or Ray fails ("ray-failed").
    """
    with connected(options) as room:
        ray = load_ray()
        left, empty_passes, number = list(groups), 0, 0
        while left:
            settings = PASSES[number]
            if settings.single:
                left = [Group(group.number, (task,)) for group in left for task in group.tasks]
            done: set[int] = set()
            failure: Exception | None = None
            try:
                for key, result in _run_pass(bundle, options, left, workers=workers or room, ahead=settings.ahead):
                    if isinstance(result, PunctumError):
                        raise result
                    done.add(key)
                    yield result
            except ray.exceptions.RayError as error:
                failure = error
            left = [group for key, group in enumerate(left) if key not in done]
            if failure is not None:
                empty_passes = 0 if done else empty_passes + 1
                if empty_passes == MAX_EMPTY_PASSES:
                    raise _failed(failure) from None
            elif left:
                number += 1
                if number == len(PASSES):
                    for group in left:
                        yield _abandoned(group)
                    return
            if left:
                _warn(left, failure)


def _run_pass(
    bundle: Bundle, options: ArchiveOptions, groups: Sequence[Group], *, workers: int, ahead: int
) -> Iterator[tuple[int, Outcome | PunctumError]]:
    """One pass: position in `groups`, and the outcome or an error. Groups whose actor died are missing."""
    ray = load_ray()
    rows = [{"key": key, "group": pickle.dumps(group)} for key, group in enumerate(groups)]
    with _data_settings(ray):
        pool = ray.data.ActorPoolStrategy(size=min(workers, len(groups)), max_tasks_in_flight_per_actor=ahead)
        work = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_BLOCKS)).map(
            RayWorker,
            fn_constructor_args=(bundle, options, str(Path.cwd()), __version__),
            compute=pool,
            # A dead actor is restarted. Its groups do not wait for it; they are in the next pass.
            max_restarts=-1,
            max_task_retries=0,
            **needs(options),
        )
        for row in work.iter_rows():
            yield int(row["key"]), pickle.loads(row["result"])


@contextlib.contextmanager
def _data_settings(ray: Any) -> Iterator[None]:
    context = ray.data.DataContext.get_current()
    wanted = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "max_errored_blocks": -1,  # a block whose actor died does not end the pass
        "execution_no_progress_timeout_s": -1,  # long videos take long
        "target_max_block_size": 1,  # yield each outcome at once, not when a block is full
    }
    before = {name: getattr(context, name) for name in wanted if hasattr(context, name)}
    for name in before:
        setattr(context, name, wanted[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


class RayWorker:
    """An actor. folder: the working directory of the driver, to which paths are relative."""

    def __init__(self, bundle: Bundle, options: ArchiveOptions, folder: str, version: str) -> None:
        from ._scorer import Scorer

        with contextlib.suppress(OSError):  # not on this node: absolute paths may work
            os.chdir(folder)
        self._scorer: Scorer | None = None
        self._error: PunctumError | None = None
        if version != __version__:
            self._error = PunctumError(
                "ray-version",
                f"A node has punctum {__version__}, and the driver has {version}",
                required="the same version on all nodes",
                next_step="install it",
            )
            return
        try:
            self._scorer = Scorer(bundle, options)
        except PunctumError as error:  # raised by the driver, without a traceback of the actor
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        result: Any = self._error
        if self._scorer is not None:
            result = self._scorer.score(pickle.loads(row["group"]))
        return {"key": row["key"], "result": pickle.dumps(result)}


def _warn(left: Sequence[Group], failure: Exception | None) -> None:
    cause = "Ray aborted" if failure is not None else "a worker or a node ended"
    items = sum(len(group.tasks) for group in left)
    _log.warning(f"{counted(items, 'item')} without a result ({cause}); trying again")


def _failed(error: Exception) -> PunctumError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    summary = " ".join([*lines[:2], *lines[-1:]])[:600]
    return PunctumError(
        "ray-failed",
        f"Ray ended {MAX_EMPTY_PASSES} times without a result ({type(error).__name__}: {summary})",
        required="a cluster whose nodes have punctum and the libraries of the inference engine",
        next_step="see the logs of Ray, try `engine=local` on a node, then run the same command again",
    )


def _abandoned(group: Group) -> Outcome:
    from ._scorer import failed

    error = PunctumError(
        "worker-died",
        f"Ray workers ended {sum(p.single for p in PASSES)} times while they scored this item alone",
        required="a valid recording and enough memory",
        next_step="check the recording and the memory of the nodes, then run again with `retry_failed`",
    )
    return Outcome(group.number, tuple(failed(task.item, error).record for task in group.tasks), "", b"", 0.0)
