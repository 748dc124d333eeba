"""The labels of a folder at one time, to see what has changed since a round of training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from .store import ClickStore


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
    keys = {f"click/{c.id}/{c.video}/{c.label}/{c.time_s:.3f}" for c in clicks}
    keys |= {f"span/{s.id}/{s.video}/{s.label}/{s.start_s:.3f}/{s.end_s:.3f}" for s in spans}
    keys |= {f"nothing/{video}" for video in labeling.nothing} | {f"partly/{video}" for video in labeling.partly}
    return State(frozenset(keys), len(clicks), len({c.video for c in clicks}), len(labeling.renamed))
