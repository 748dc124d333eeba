"""Answers to questions, by round of training, in the file answers.json of the learning folder.

Every answer says which moment of a video it was about. Until the next round, nothing more is asked about that moment. A
click that a person confirmed or gave as an answer is asked about again only if a later round doubts it more than the
round did whose question was answered, and takes it for more probably wrong than right. The question then says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import PunctumError
from ..files.atomic import atomic_write
from .lock import make_work

FILE = "answers.json"
SCHEMA = "punctum.label-answers/1"
MOST = 20_000
MORE_DOUBT, PROBABLE = 0.1, 0.5
"""A later round asks about a click again if the probability of an error has risen by this, and is at least this."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of a video that an answer was about. click: id of the click that was asked about or given."""

    video: str
    start_s: float
    end_s: float
    click: str = ""

    def concerns(self, video: str, start_s: float, end_s: float, click: str) -> bool:
        """Whether a question about this stretch or click is about the moment: the middle of one is in the other."""
        if self.click and click == self.click:
            return True
        if video != self.video:
            return False
        mine, other = (self.start_s + self.end_s) / 2, (start_s + end_s) / 2
        return self.start_s <= other <= self.end_s or start_s <= mine <= end_s


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. key: of its question; round: number of the round; doubt: probability of an error of its click, as
    far as that round knew; None until the round has ended."""

    key: str
    moment: Moment
    round: int
    doubt: float | None = None


class Answered:
    """The answers so far.

    Args:
        work: The learning folder.
    """

    def __init__(self, work: Path) -> None:
        self._path = work / FILE
        self._answers: dict[str, Answer] = {answer.key: answer for answer in _read(self._path)}

    def add(self, key: str, moment: Moment, number: int) -> str:
        """Note an answer to a question of a round. Returns what could not be written; empty if it was."""
        self._answers.pop(key, None)
        self._answers[key] = Answer(key, moment, number)
        while len(self._answers) > MOST:
            del self._answers[next(iter(self._answers))]
        return self._write()

    def remove(self, key: str) -> str:
        """Forget an answer that was undone. Returns what could not be written."""
        return self._write() if self._answers.pop(key, None) is not None else ""

    def moments(self, number: int) -> list[Moment]:
        """The moments that were answered in a round."""
        return [answer.moment for answer in self._answers.values() if answer.round == number]

    def doubts(self) -> dict[str, float]:
        """Probability of an error above which a click that a person has settled is asked about again, by its id."""
        made: dict[str, float] = {}
        for answer in self._answers.values():
            if answer.moment.click and answer.doubt is not None:
                known = made.get(answer.moment.click, PROBABLE)
                made[answer.moment.click] = max(known, answer.doubt + MORE_DOUBT)
        return made

    def settled(self) -> dict[str, tuple[int, float]]:
        """Last round in which a click was confirmed or given as an answer, and the probability of an error then, by
        its id."""
        made: dict[str, tuple[int, float]] = {}
        for answer in self._answers.values():
            if answer.moment.click and answer.doubt is not None:
                made[answer.moment.click] = max(made.get(answer.moment.click, (0, 0.0)), (answer.round, answer.doubt))
        return made

    def close_round(self, doubts: Mapping[str, float], least: float) -> str:
        """Note how much the round that ends doubts the clicks that were settled in it.

        Args:
            doubts: Probability of an error by click.
            least: That of clicks that it does not doubt.

        Returns:
            What could not be written.
        """
        waiting = [answer for answer in self._answers.values() if answer.moment.click and answer.doubt is None]
        for answer in waiting:
            doubt = max(doubts.get(answer.moment.click, least), least)
            self._answers[answer.key] = replace(answer, doubt=doubt)
        return self._write() if waiting else ""

    def _write(self) -> str:
        rows = [
            [a.key, a.moment.video, a.moment.start_s, a.moment.end_s, a.moment.click, a.round, a.doubt]
            for a in self._answers.values()
        ]
        try:
            make_work(self._path.parent)
            atomic_write(self._path, json.dumps({"schema": SCHEMA, "answers": rows}))
        except (PunctumError, OSError) as error:
            return error.given if isinstance(error, PunctumError) else str(error)
        return ""


def _read(path: Path) -> Iterable[Answer]:
    """The answers of a file; none if it is damaged: then some questions come again."""
    try:
        record = json.loads(path.read_text("utf-8"))
        if record["schema"] != SCHEMA:
            return []
        made = []
        for key, video, start_s, end_s, click, number, doubt in record["answers"]:
            moment = Moment(str(video), _finite(start_s), _finite(end_s), str(click))
            made.append(Answer(str(key), moment, int(number), None if doubt is None else _finite(doubt)))
        return made[-MOST:]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return []


def _finite(value: float) -> float:
    if not math.isfinite(number := float(value)):
        raise ValueError("not finite")
    return number
