"""Groups worked off by a Ray cluster: a Ray Data pipeline over a pool of actors, each with the bundle opened once.

    groups -> blocks of the object store -> actors (`Scorer`) -> outcomes, streamed to the driver, which commits them

Ray places the actors, replaces those that die, and holds work back while the driver is behind. What has no result at
the end of a pass (its actor or its node died) goes through another one: as a whole, then item by item, so that the
item that kills workers is found and recorded and no other one is. Local paths must mean the same file on every node.
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

MOST_BLOCKS = 4096  # a block costs the driver a few milliseconds; beyond, blocks hold several groups
BARREN = 3  # passes in a row that Ray broke off without a result


@dataclass(frozen=True, slots=True)
class _Pass:
    """How groups are tried. single: item by item. ahead: groups that an actor holds; with one, no other is blamed."""

    single: bool
    ahead: int


PASSES = (_Pass(False, AHEAD), _Pass(False, 1), _Pass(True, 1), _Pass(True, 1))


def run_ray(
    bundle: Bundle, options: ArchiveOptions, groups: Sequence[Group], *, workers: int
) -> Generator[Outcome, None, None]:
    """Outcomes in the order in which they are finished. workers: actors; 0: as many as the cluster has room for.

    Raises what keeps a worker from starting, InputError for a cluster that cannot be reached, and PunctumError
    "ray-failed" where it does not work.
    """
    with connected(options) as room:
        ray = load_ray()
        left, barren, number = list(groups), 0, 0
        while left:
            how = PASSES[number]
            if how.single:
                left = [Group(group.number, (task,)) for group in left for task in group.tasks]
            done: set[int] = set()
            broken: Exception | None = None
            try:
                for key, said in _passed(bundle, options, left, workers=workers or room, ahead=how.ahead):
                    if isinstance(said, PunctumError):
                        raise said
                    done.add(key)
                    yield said
            except ray.exceptions.RayError as error:
                broken = error
            left = [group for key, group in enumerate(left) if key not in done]
            if broken is not None:
                barren = 0 if done else barren + 1
                if barren == BARREN:
                    raise _failed(broken) from None
            elif left:
                number += 1
                if number == len(PASSES):
                    for group in left:
                        yield _given_up(group)
                    return
            if left:
                _warn(left, broken)


def _passed(
    bundle: Bundle, options: ArchiveOptions, groups: Sequence[Group], *, workers: int, ahead: int
) -> Iterator[tuple[int, Outcome | PunctumError]]:
    """One pass: (place in `groups`, what an actor said). Groups whose actor died are missing."""
    ray = load_ray()
    rows = [{"key": key, "group": pickle.dumps(group)} for key, group in enumerate(groups)]
    with _data_settings(ray):
        pool = ray.data.ActorPoolStrategy(size=min(workers, len(groups)), max_tasks_in_flight_per_actor=ahead)
        work = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map(
            RayWorker,
            fn_constructor_args=(bundle, options, str(Path.cwd()), __version__),
            compute=pool,
            # A dead actor comes back. Its groups do not wait for it, perhaps for ever: the next pass has them.
            max_restarts=-1,
            max_task_retries=0,
            **needs(options),
        )
        for row in work.iter_rows():
            yield int(row["key"]), pickle.loads(row["said"])


@contextlib.contextmanager
def _data_settings(ray: Any) -> Iterator[None]:
    context = ray.data.DataContext.get_current()
    wanted = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "max_errored_blocks": -1,  # a block whose actor died does not end the pass
        "execution_no_progress_timeout_s": -1,  # a long video takes as long as it takes
        "target_max_block_size": 1,  # an outcome goes out when it is there, not when its task has a block full
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
    """An actor. folder: of the driver, which relative paths begin at."""

    def __init__(self, bundle: Bundle, options: ArchiveOptions, folder: str, version: str) -> None:
        from ._scorer import Scorer

        with contextlib.suppress(OSError):  # not there on this node: absolute paths may do
            os.chdir(folder)
        self._scorer: Scorer | None = None
        self._error: PunctumError | None = None
        if version != __version__:
            self._error = PunctumError(
                "ray-version", f"a node has punctum {__version__}, this one {version}", "one version", "install it"
            )
            return
        try:
            self._scorer = Scorer(bundle, options)
        except PunctumError as error:  # the driver is to tell it, not a trace of the actor
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        said: Any = self._error
        if self._scorer is not None:
            said = self._scorer.score(pickle.loads(row["group"]))
        return {"key": row["key"], "said": pickle.dumps(said)}


def _warn(left: Sequence[Group], broken: Exception | None) -> None:
    cause = "Ray broke off" if broken is not None else "a worker or a node ended"
    items = sum(len(group.tasks) for group in left)
    _log.warning(f"{counted(items, 'item')} came back without a result ({cause}); trying again")


def _failed(error: Exception) -> PunctumError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = " ".join([*lines[:2], *lines[-1:]])[:600]
    return PunctumError(
        "ray-failed",
        f"Ray ended {BARREN} times without a result ({type(error).__name__}: {told})",
        "a cluster whose nodes have punctum and the libraries of the bundle's engine",
        "see the logs of Ray, try --engine local on a node, then run the same command again",
    )


def _given_up(group: Group) -> Outcome:
    from ._scorer import failed

    error = PunctumError(
        "worker-died",
        f"workers of Ray ended {sum(p.single for p in PASSES)} times while they scored this alone",
        "recordings that the decoder and the memory can bear",
        "check it and the memory of the nodes, then run again with --retry-failed",
    )
    return Outcome(group.number, tuple(failed(task.item, error).record for task in group.tasks), "", b"", 0.0)
