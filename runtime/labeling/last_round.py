"""The last round of background training, and the labels that it was trained on, as files keep them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import PunctumError
from ..files.atomic import atomic_write
from ..text.name_index import NameIndex
from .class_names import current_name
from .label_state import State, changes
from .round_result import RoundResult, read_round
from .settled import typical_lengths

TRAINED = "trained.json"


class LastRound:
    """What the last round found.

    Args:
        work: The learning folder.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        self._found: RoundResult | None = read_round(work)
        self.trained: frozenset[str]
        """Keys of the labels that it was trained on."""
        self._renamed: int | None
        self.trained, self._renamed = self._read_trained()
        self._names: dict[str, str] | None = None
        self.found: RoundResult | None = self._found
        """Its result, with the current names of its classes."""

    def name(self, classes: Sequence[str], renamed: Sequence[tuple[str, str]]) -> None:
        """Use the current names of classes. Results of removed classes are left out.

        Args:
            classes: The classes.
            renamed: All changes of their names.
        """
        if self._found is None:
            return
        start = None if self._renamed is None or self._renamed > len(renamed) else self._renamed
        index = NameIndex(classes)
        names: dict[str, str] = {}
        for label in self._found.labels:
            kept = start is None and index.find(label) is not None
            now = label if kept else current_name(renamed, label, start)
            if (name := index.find(now)) is not None:
                names[label] = name
        if names != self._names:
            same = all(names.get(label) == label for label in self._found.labels)
            self._names, self.found = names, self._found if same else self._found.named(names)

    def take(self, state: State) -> tuple[bool, str]:
        """Take over the result that the process has written for the labels of `state`.

        Returns:
            Whether there is one, and what could not be written; without that file the labels count as changed after a
            restart.
        """
        found = read_round(self._work)
        if found is None:
            return False, ""
        self._found = self.found = found
        self.trained, self._renamed, self._names = state.keys, state.renamed, None
        try:
            facts = {"state": found.state, "keys": sorted(state.keys), "renamed": state.renamed}
            atomic_write(self._work / TRAINED, json.dumps(facts))
        except (PunctumError, OSError) as error:
            return True, error.given if isinstance(error, PunctumError) else str(error)
        return True, ""

    def changed(self, state: State) -> int:
        """Number of labels that differ from those of the round."""
        return changes(self.trained, state.keys) if self.found else 0

    def record(self, state: State) -> dict[str, Any] | None:
        """The round, for pages."""
        found = self.found
        if found is None:
            return None
        return {
            "number": found.round,
            "clicks": found.clicks,
            "min_score": found.min_score,
            "seconds": round(sum(found.seconds.values()), 1),
            "labels": list(found.labels),
            "current": found.state == state.digest,
        }

    def events(self) -> dict[str, Any]:
        """All events, by video: [class, start, end, score]; held_out: videos whose events are of other networks."""
        found = self.found
        if found is None:
            return {"round": 0, "videos": {}, "held_out": [], "typical_s": {}}
        rows = {
            name: [[e.label, round(e.start_s, 3), round(e.end_s, 3), round(e.score, 4)] for e in video.events]
            for name, video in found.videos.items()
        }
        held_out = [name for name, video in found.videos.items() if video.held_out]
        typical = {label: round(seconds, 3) for label, seconds in typical_lengths(found).items()}
        facts = {"round": found.round, "min_score": found.min_score, "typical_s": typical}
        return {**facts, "videos": rows, "held_out": held_out}

    def _read_trained(self) -> tuple[frozenset[str], int | None]:
        try:
            record = json.loads((self._work / TRAINED).read_text("utf-8"))
            if self._found is not None and record["state"] == self._found.state:
                renamed = record.get("renamed")
                return frozenset(map(str, record["keys"])), renamed if isinstance(renamed, int) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        return frozenset(), None
