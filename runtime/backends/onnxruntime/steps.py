"""The locator for streams in ONNX Runtime: its step graph, opened when a stream first needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from ...bundle.graphs import BundleGraphs
from ...bundle.precision import REFERENCE
from ...errors import PunctumError
from ...session.engine import F32
from ..graph_io import TRACKS
from ..options import EngineSpec
from ..runner import Runner
from ..stepping.rewrite import NotStepwiseError, step_graph
from .session import open_runner

LONGEST_FIELD = 4096  # snippets; the check of a step graph runs a window of this length
TOLERANCE = 1e-4
ROUNDING_STEP = 2e-2  # of a variant with rounded activations, in which a difference of 1e-7 can become one step


class OnnxStepper:
    """A step graph on a runner; see `engine.Stepper`."""

    def __init__(self, runner: Runner, *, state_size: int, ahead: int) -> None:
        self._runner, self.state_size, self.ahead = runner, state_size, ahead

    def step(self, features: F32, states: F32) -> tuple[F32, F32, F32]:
        """features [B, n, D], states [B, S] -> class tracks, actionness, next states."""
        found = self._runner.run((*TRACKS, "next_state"), {"features": features, "state": states})
        class_track, actionness, after = found
        return class_track, actionness, after


class StepGraphs:
    """The step graphs of one locator: with and without the rows that are not settled. Safe to use from any thread."""

    def __init__(self, graphs: BundleGraphs, spec: EngineSpec, locate: Callable[[F32], tuple[F32, F32]]) -> None:
        """Nothing is opened yet.

        Args:
            graphs: Of the bundle.
            spec: What runs them.
            locate: The locator on one window, against which a step graph is checked.
        """
        self._graphs, self._spec, self._locate = graphs, spec, locate
        self._opened: dict[bool, OnnxStepper | None] = {}
        self._lock = threading.Lock()

    def get(self, *, ahead: bool) -> OnnxStepper | None:
        """The stepper; None for a locator that is no chain of convolutions."""
        if ahead not in self._opened:
            with self._lock:
                if ahead not in self._opened:
                    self._opened[ahead] = self._open(ahead=ahead)
        return self._opened[ahead]

    def _open(self, *, ahead: bool) -> OnnxStepper | None:
        left, right = self._graphs.receptive_field
        if left + right > LONGEST_FIELD:
            return None
        try:
            graph = step_graph(self._graphs.locator.data, right=right, ahead=ahead)
            name = f"{self._graphs.locator.name} in steps"
            runner = open_runner(graph.data, name, self._spec, purpose="running a stream")
            stepper = OnnxStepper(runner, state_size=graph.state, ahead=graph.ahead)
            return stepper if self._agrees(stepper) else None
        except (NotStepwiseError, PunctumError):
            return None

    def _agrees(self, stepper: OnnxStepper) -> bool:
        """Whether steps give the tracks of a window. They do by construction; a graph of an unknown kind may not."""
        left, right = self._graphs.receptive_field
        begin = left + right
        rows = np.random.default_rng(0).standard_normal((1, begin + 5, self._graphs.dim)).astype(np.float32)
        *_, state = stepper.step(rows[:, :begin], np.zeros((1, stepper.state_size), np.float32))
        bound = TOLERANCE if self._graphs.locator.precision == REFERENCE else ROUNDING_STEP
        for known, before in ((begin + 3, begin), (begin + 5, begin + 3)):
            class_track, actionness, state = stepper.step(rows[:, before:known], state)
            wanted = self._locate(rows[0, :known])
            low, high = before - right, known - right + stepper.ahead
            for found, whole in zip((class_track[0], actionness[0]), wanted, strict=True):
                if found.shape != whole[low:high].shape or not np.allclose(found, whole[low:high], rtol=0, atol=bound):
                    return False
        return True
