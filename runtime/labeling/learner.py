"""When the page trains in the background, what it says about it, and what comes of it.

A round begins when it is due (`due`). One process trains at a time (`child`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..files.regular import need_regular
from ..text.display import as_utf8
from .answered import FILE as ANSWERS
from .answered import Moment
from .asking import Asking
from .child import TRAIN_NEEDS, Child, missing
from .due import AFTER, VIDEOS, Due
from .export import Exports
from .label_state import State, state_of
from .last_round import TRAINED, LastRound
from .progress import Progress
from .results import results
from .round_result import FILE as RESULT
from .round_result import RoundResult
from .store import ClickStore

FOLDER = "learning"
ROUND: dict[str, Any] = {}
"""Sizes of a round that differ from the defaults of `punctum.training.guidance.run_round`."""
PAUSE_S = 1.0
"""Time without a change of a label before pages get the new state of training."""
QUIET_S = 3.0
"""Time without a change of a label before a round begins."""
_LOOK_S = 0.5
_PUBLISH_S = 0.4

Notify = Callable[[dict[str, Any]], None]
Start = Callable[..., Child]


class Learner:
    """Trains in the background, and answers what pages ask about the result.

    Args:
        store: The labels.
        folder: What is labeled.
        work: Folder for everything that can be made again.
        after: Clicks from which a first round is trained; 0: only when a page asks.
        notify: Called from any thread with an event for pages.
        start: Starts a process; for tests.
        needs: Libraries that training needs, and the extra that installs each.
        clock: Monotonic clock.
    """

    def __init__(
        self,
        store: ClickStore,
        folder: Path,
        work: Path,
        *,
        after: int = AFTER,
        notify: Notify = lambda event: None,
        start: Start = Child,
        needs: Sequence[tuple[str, str]] = TRAIN_NEEDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.folder, self.work = store, folder, work / FOLDER
        self.notify = notify
        self._start, self._clock = start, clock
        self._options = dict(ROUND)
        self._lacks = missing(needs)
        need_regular(self.work / name for name in (ANSWERS, RESULT, TRAINED))
        self._guard = threading.RLock()
        self._last = LastRound(self.work)
        self._child: Child | None = None
        self._exports = Exports(folder, self.work, start=start, changed=self._publish, clock=clock)
        self._due = Due(self._last, after)
        self._asking = Asking(store, self.work, self._last, self._guard)
        self._running: State | None = None
        self._progress = Progress(clock, self._usual)
        self._published_at = 0.0
        self._error = ""
        self._input_error = ""
        self._problems: list[str] = []
        self._seen: tuple[int, float] = (-1, 0.0)
        self._stale = False  # labels have changed since pages got the state
        self._known: tuple[int, State] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="punctum-label-learn", daemon=True)

    def start(self) -> None:
        """Begin to watch the labels."""
        self._thread.start()

    def close(self) -> None:
        """End, with the process that trains."""
        self._stop.set()
        with self._guard:
            child, self._child = self._child, None
        if child is not None:
            child.stop()
        self._exports.close()
        if self._thread.is_alive():
            self._thread.join(5.0)

    # --- what pages ask

    def status(self) -> dict[str, Any]:
        """How training stands, for pages."""
        with self._guard:
            now = self._state()
            self._round()
            record: dict[str, Any] = {
                "after": self._due.after,
                "videos_after": VIDEOS,
                "clicks": now.clicks,
                "videos": now.videos,
                "needs": self._lacks,
                "training": self._running is not None,
                "error": self._error,
                "problems": self._problems[-3:],
                **self._exports.status(),
                "changed": self._last.changed(now),
                "round": self._last.record(now),
            }
            if self._running is not None:
                record["progress"] = self._progress.to_record()
            return record

    def questions(self) -> dict[str, Any]:
        """Questions, and the order of unlabeled videos."""
        return self._asking.questions(self._round())

    def skip(self, key: str, value: bool) -> None:
        """Do not ask a question again until the server is started again; value False: do."""
        self._asking.skip(key, value)

    def answer(self, key: str, moment: Moment | None) -> None:
        """Note which moment a question that was answered is about; None: the answer was undone."""
        with self._guard:
            self._note(self._asking.answer(key, moment))

    def results(self, min_score: float | None) -> dict[str, Any] | None:
        """What the networks are worth at a minimum score (by default that of the round), and the events by video."""
        found = self._round()
        if found is None:
            return None
        least = found.min_score if min_score is None else min_score
        return results(found, self._asking.labels(), least)

    def events(self) -> dict[str, Any]:
        """All events, by video: [class, start, end, score]; held_out: videos whose events are of other networks."""
        self._round()
        return self._last.events()

    def train(self) -> str:
        """Train as soon as possible, even if little has changed. Returns why it cannot; empty if it can."""
        with self._guard:
            if self._state().videos < VIDEOS:
                return f"Training needs clicks in at least {VIDEOS} videos"
            self._due.ask()
            self._error = ""
        return ""

    def export(self, min_score: float | None = None) -> str:
        """Write the bundle of the last round, in the background. Returns why it cannot be; empty if it can.

        min_score: its default minimum score; None for that of the round.
        """
        found = self._last.found
        if found is None:
            return "There is nothing to export before the first round of training"
        if not self.store.there:
            return f"{as_utf8(str(self.folder))} is not at its place"
        least = found.min_score if min_score is None else min_score
        if problem := self._exports.begin(found.run, found.round, least, chosen=min_score is not None):
            return problem
        self._publish()
        return ""

    def _round(self) -> RoundResult | None:
        """The last round, with the current names of its classes."""
        with self._guard:
            self._last.name(*self.store.names())
            return self._last.found

    def _state(self) -> State:
        """The labels now; they are looked at again only after a change."""
        version = self.store.version
        if self._known is None or self._known[0] != version:
            self._known = (version, state_of(self.store))
        return self._known[1]

    # --- the loop

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self.look()

    def look(self) -> None:
        """Begin a round if one is due, and send the state of training to pages after labels have changed."""
        version, now = self.store.version, self._clock()
        gone: Child | None = None
        with self._guard:
            if version != self._seen[0]:
                self._seen, self._stale = (version, now), True
            unchanged_s = now - self._seen[1]
            publish = self._stale and unchanged_s >= PAUSE_S
            quiet = unchanged_s >= QUIET_S or self._last.found is None
            there = self.store.there
            if not there:  # the process would go on where the folder was
                gone, self._child, self._running = self._child, None, None
            busy = self._stop.is_set() or self._child is not None or self._lacks or not there
            if not busy and (quiet or self._due.asked):
                state = self._state()
                if self._due.is_due(state):
                    self._begin(state)
                    publish = True
            self._stale = self._stale and not publish
        if gone is not None:
            gone.stop()
        if publish:
            self._publish()

    def _begin(self, state: State) -> None:
        self._due.begin(state)
        self._error, self._input_error, self._problems = "", "", []
        self._running = state
        self._progress.begin()
        request = {
            "job": "train",
            "folder": str(self.folder.resolve()),
            "work": str(self.work.resolve()),
            "points": self.store.points_name,
            "state": state.digest,
            **self._options,
        }
        try:
            self._child = self._start(request, self.work / "train.log", on_message=self._receive, on_exit=self._exited)
        except OSError as error:
            self._running, self._error = None, f"Training cannot be started: {as_utf8(str(error))}"

    def _receive(self, message: dict[str, Any]) -> None:
        with self._guard:
            if "stage" in message:
                self._progress.take(message)
            elif "problem" in message:
                self._problems.append(str(message["problem"]))
            elif "error" in message:
                self._input_error = str(message["error"].get("text", ""))
            elif "result" in message:
                self._take()
        self._publish(throttled="stage" in message)

    def _take(self) -> None:
        if self._running is None:
            return
        if self._last.found is not None:
            self._note(self._asking.close_round(self._round() or self._last.found))
        taken, problem = self._last.take(self._running)
        self._note(problem)
        if taken and self._last.found is not None:
            self._asking.begin_round()
            self.notify({"round": self._last.found.round})

    def _exited(self, code: int) -> None:
        with self._guard:
            state, self._running, self._child = self._running, None, None
            if code and state is not None:
                self._error = self._due.failed(state, self._input_error, self.work / "train.log")
            elif state is not None:
                self._due.succeeded(state)
        self._publish()

    def _note(self, problem: str) -> None:
        """Show what could not be written."""
        if problem:
            self._problems.append(problem)

    def _usual(self, stage: str) -> float | None:
        """Seconds that training took in the last round; None for other stages, which are not recorded."""
        found = self._last.found
        return found.seconds.get("training") if found and stage == "training" else None

    def _publish(self, *, throttled: bool = False) -> None:
        """Send the state of training to pages. throttled: not if that was done just now."""
        now = self._clock()
        if throttled and now - self._published_at < _PUBLISH_S:
            return
        self._published_at = now
        self.notify({"learning": self.status()})
