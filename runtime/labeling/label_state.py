"""The labels of a folder at one time, to see what has changed since a round of training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from .store import ClickStore

_BETWEEN = "\t"


@dataclass(frozen=True)
class State:
    """The labels at one time. keys: one for each click, span and mark; renamed: changes of names of classes so far;
    digest: of all labels."""

    keys: frozenset[str]
    clicks: int
    videos: int
    renamed: int = 0

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(sorted(self.keys)).encode("utf-8", "surrogateescape")).hexdigest()


def state_of(store: ClickStore) -> State:
    """The labels that training reads."""
    clicks, spans, labeling = store.snapshot()
    clicked = {c.video for c in clicks}
    keys = {_key("click", c.video, c.id, c.label, f"{c.time_s:.3f}") for c in clicks}
    keys |= {_key("span", s.video, s.id, s.label, f"{s.start_s:.3f}", f"{s.end_s:.3f}") for s in spans}
    # In a video with clicks of other annotators, the mark changes nothing.
    keys |= {_key("nothing", video) for video in labeling.nothing if video not in clicked}
    keys |= {_key("partly", video) for video in labeling.partly}
    return State(frozenset(keys), len(clicks), len(clicked), len(labeling.renamed))


def changes(before: frozenset[str], now: frozenset[str]) -> int:
    """Number of labels that differ. A moved click counts as one, and so does one that removed the mark of its video."""
    subjects = {tuple(key.split(_BETWEEN)[:3]) for key in before ^ now}
    labels = {subject for subject in subjects if len(subject) == 3}
    videos = {subject[1] for subject in labels}
    return len(labels) + len({subject[-1] for subject in subjects - labels} - videos)


def _key(*parts: str) -> str:
    return _BETWEEN.join(parts)
