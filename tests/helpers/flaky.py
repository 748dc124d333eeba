"""An engine that fails when it is told to, in each of the ways that engines fail."""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import strategies as st

from tests.helpers import fakes


def wrong(kind: str, answer):
    """An answer that no graph of a bundle may give."""
    first = np.array(answer[0], np.float32)
    if kind == "nan":
        first.flat[-1] = np.nan
    elif kind == "above":
        first.flat[-1] = 1.5
    elif kind == "below":
        first.flat[-1] = -0.25
    elif kind == "huge":
        first[:] = 3.4e38
    elif kind == "short":
        return tuple(np.asarray(part)[..., :-1, :] if np.ndim(part) > 1 else part[:-1] for part in answer)
    elif kind == "ragged":
        first = first[:-1]
    elif kind == "one":
        return first
    elif kind == "none":
        return None
    return (first, *answer[1:])


KINDS = ("raise", "memory", "nan", "above", "below", "huge", "short", "ragged", "one", "none")


class Flaky(fakes.SmoothingBackend):
    """Fails at some of its calls, counted from 0: {call: how}.

    many: it takes stacks of windows, too. steps: it also works in steps.
    """

    def __init__(self, failures=(), *, many=True, steps=False):
        self.failures, self.calls = dict(failures), 0
        if many:
            self.locate_many = self._locate_many
        if steps:
            self.stepper = partial(fakes.Stepper, self._step)

    def _step(self, features, states, ahead):
        return self._answer(fakes.step, features, states, ahead)

    def _answer(self, run, *arguments):
        kind = self.failures.get(self.calls)
        self.calls += 1
        if kind == "raise":
            raise RuntimeError("transient CUDA error")
        if kind == "memory":
            raise MemoryError
        answer = run(*arguments)
        return answer if kind is None else wrong(kind, answer)

    def locate(self, features):
        return self._answer(super().locate, features)

    def _locate_many(self, windows):
        def run(stack):
            parts = [fakes.SmoothingBackend.locate(self, window) for window in stack]
            return np.stack([p for p, _ in parts]), np.stack([a for _, a in parts])

        return self._answer(run, windows)

    def score(self, features, tracks, segments, labels):
        return self._answer(super().score, features, tracks, segments, labels)


FAILURES = st.dictionaries(st.integers(0, 60), st.sampled_from(KINDS), max_size=8)


def same(a, b):
    assert [(e.id, e.phase, e.revision) for e in a] == [(e.id, e.phase, e.revision) for e in b]
    for x, y in zip(a, b, strict=True):
        assert abs(x.start - y.start) < 1e-4
        assert abs(x.end - y.end) < 1e-4
        assert abs(x.score - y.score) < 1e-4
