"""The two graphs of a bundle in ONNX Runtime, on the CPU or through its CUDA or TensorRT provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...errors import PunctumError
from ...session.engine import F32, I64, Placement, Shape
from ..graph_io import SCORER_INPUTS, TERMS, TRACKS, graph_mismatch, neutral_terms, warmup_proposals, warmup_window
from ..options import CPU, EngineSpec
from ..placement import session_placement
from ..runner import Array, Runner, TensorInfo
from .session import make_runner, open_session, unavailable
from .steps import OnnxStepper, StepGraphs
from .windows import OnnxWindowScorer, WindowScorers

if TYPE_CHECKING:
    from ...bundle.graphs import BundleGraphs

_PURPOSE = "running a bundle"


class OnnxBackend:
    """Runs the two graphs of a bundle with ONNX Runtime on the device of `spec`.

    Args:
        locator: The locator's inference session, or anything with the same methods.
        center: The scorer's; None for a bundle without one.
        classes: Number of classes C.
        dim: Feature dimension D.
        spec: What was requested.

    Attributes:
        requested: The device as it was requested.
        actual: The device that runs.
        choice: For device "auto", what was taken and why; else empty.
        precision: The variant of the graphs.
        buckets: Lengths to which the session pads locator windows.
    """

    choice = ""

    def __init__(self, locator: Runner, center: Runner | None, *, classes: int, dim: int, spec: EngineSpec) -> None:
        self._sessions = {"locator": locator} | ({} if center is None else {"center": center})
        self._locator = make_runner(locator, spec.place)
        self._center = None if center is None else make_runner(center, spec.place)
        shape = locator.get_inputs()[0].shape
        self._stacks = len(shape) == 3
        self._batches = self._stacks and not isinstance(shape[0], int)  # a fixed B is 1, or `locate` fails
        self._center_inputs = [] if center is None else [i.name for i in center.get_inputs()]
        self._classes, self._dim = classes, dim
        self._steps: StepGraphs | None = None
        self._windows: WindowScorers | None = None
        self.requested, self.actual = spec.device, str(spec.place)
        self.precision, self.buckets = spec.precision, spec.options.buckets

    @classmethod
    def open(cls, graphs: BundleGraphs, spec: EngineSpec = CPU) -> OnnxBackend:
        """Load the locator and the scorer; on a GPU also run them once.

        Raises:
            InputError: The device does not run here, or the graphs do not fit the manifest.
            MissingDependencyError: ONNX Runtime is not installed.
        """
        locator = open_session(graphs.locator.data, graphs.locator.name, spec, purpose=_PURPOSE)
        center = None
        if graphs.center is not None:
            center = open_session(graphs.center.data, graphs.center.name, spec, purpose=_PURPOSE)
        _check_locator(locator, graphs)
        if center is not None:
            _check_scorer(center, graphs)
        backend = cls(locator, center, classes=graphs.classes, dim=graphs.dim, spec=spec)
        if spec.place.kind == "cpu" and backend._stacks:
            backend._steps = StepGraphs(graphs, spec, backend.locate)
        if spec.place.kind == "cpu" and graphs.center is not None:
            sizes = {"dim": graphs.dim, "classes": graphs.classes}
            backend._windows = WindowScorers(graphs.center, spec, backend.score, **sizes)
        if spec.place.kind != "cpu":
            try:  # libraries that load on first use, such as cuDNN, would otherwise fail in the first real run
                backend.warm([Shape(64), Shape(64, proposals=4)])
            except PunctumError as error:
                raise unavailable(spec.place, error.given) from None
        return backend

    def locate(self, features: F32) -> tuple[F32, F32]:
        """features [T, D] -> (class track [T, C], actionness [T])."""
        if not self._stacks:
            class_track, actionness = self._locator.run(TRACKS, {"features": features})
            return class_track, actionness
        class_track, actionness = self._locator.run(TRACKS, {"features": features[None]})
        return class_track[0], actionness[0]

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        """Windows of one length [B, T, D] -> (class tracks [B, T, C], actionness [B, T]), in one run of the graph."""
        if not self._batches:
            parts = [self.locate(window) for window in windows]
            return np.stack([p for p, _ in parts]), np.stack([a for _, a in parts])
        class_track, actionness = self._locator.run(TRACKS, {"features": windows})
        return class_track, actionness

    def stepper(self, *, ahead: bool) -> OnnxStepper | None:
        """The locator for streams, opened at the first call. On a GPU streams run whole windows."""
        return None if self._steps is None else self._steps.get(ahead=ahead)

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        """Score proposals in one window. Without a scorer every term is 1."""
        if self._center is None:
            return neutral_terms(len(labels), self._classes)
        arrays: dict[str, Array] = {"features": features, "tracks": tracks, "segments": segments, "labels": labels}
        probability, attention, center = self._center.run(TERMS, {name: arrays[name] for name in self._center_inputs})
        return probability, attention, center

    def window_scorer(self) -> OnnxWindowScorer | None:
        """The scorer for proposals of many windows, opened at the first call. On a GPU the graph runs whole."""
        return None if self._windows is None else self._windows.get()

    def placement(self) -> Placement:
        """Graph -> provider -> operator -> number of nodes."""
        return {name: session_placement(session) for name, session in self._sessions.items()}

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Run each shape once on zeros; shapes with proposals go through the scorer."""
        for shape in shapes:
            if shape.proposals:
                self.score(**warmup_proposals(shape, self._dim, self._classes))
            elif shape.windows > 1:
                self.locate_many(warmup_window(shape, self._dim))
            else:
                self.locate(warmup_window(shape, self._dim)[0])


def _shapes(values: Sequence[TensorInfo]) -> dict[str, object]:
    """Name -> shape of each tensor; name -> type of anything else, such as a sequence."""
    return {v.name: v.shape if v.type.startswith("tensor(") else v.type for v in values}


def _check_locator(session: Runner, graphs: BundleGraphs) -> None:
    inputs, outputs = _shapes(session.get_inputs()), _shapes(session.get_outputs())
    shape = inputs.get("features")
    if len(inputs) != 1 or not isinstance(shape, list) or len(shape) not in (2, 3) or shape[-1] != graphs.dim:
        raise graph_mismatch(
            f"The locator of {graphs.source} takes {inputs}",
            f"features [B, T, {graphs.dim}] (or [T, {graphs.dim}]) and nothing else, as in the manifest",
        )
    track, actionness = (_as_list(outputs, name) for name in TRACKS)
    ranks = len(track), len(actionness)
    if set(outputs) != set(TRACKS) or ranks != (len(shape), len(shape) - 1) or track[-1] != graphs.classes:
        raise graph_mismatch(
            f"The locator of {graphs.source} returns {outputs}",
            f"class_track [B, T, {graphs.classes}] and actionness [B, T], as the labels in the manifest require",
        )


def _check_scorer(session: Runner, graphs: BundleGraphs) -> None:
    inputs, outputs = _shapes(session.get_inputs()), _shapes(session.get_outputs())
    tensors = [*inputs.values(), *(outputs.get(name) for name in TERMS)]
    if not set(inputs) <= set(SCORER_INPUTS) or not all(isinstance(shape, list) for shape in tensors):
        raise graph_mismatch(
            f"The scorer of {graphs.source} takes {inputs} and returns {outputs}",
            f"tensors: inputs from {', '.join(SCORER_INPUTS)}; outputs {', '.join(TERMS)}",
        )


def _as_list(shapes: Mapping[str, object], name: str) -> list[object]:
    shape = shapes.get(name)
    return shape if isinstance(shape, list) else []
