"""The two graphs of a bundle in ONNX Runtime, on the CPU or through its CUDA or TensorRT provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, PunctumError
from ...session.engine import F32, I64, Shape
from ..options import Device, EngineOptions
from ..placement import node_placement
from .runner import BoundRunner, PlainRunner, Runner
from .session import import_onnxruntime, open_session, unavailable

if TYPE_CHECKING:
    from ...bundle.precision import Part
    from ...bundle.reader import Bundle

__all__ = ["OnnxBackend", "make_runner", "open_session"]

_TRACKS = ["class_track", "actionness"]
_HEAD = ["class_probability", "attention", "center"]
_GIVEN = ["features", "tracks", "segments", "labels"]


def make_runner(session: Any, device: Device) -> Runner:
    """How a session is run on its device."""
    if device.kind == "cpu":
        return PlainRunner(session)
    return BoundRunner(import_onnxruntime("running on a GPU"), session, place="cuda", index=device.index)


class OnnxBackend:
    """Runs the two graphs of a bundle. What was asked for is what runs: `actual` is the device of `requested`."""

    choice = ""

    def __init__(
        self,
        locator: Any,
        center: Any,
        *,
        classes: int,
        dim: int,
        device: Device,
        requested: str,
        precision: str,
        buckets: tuple[int, ...] = (),
    ) -> None:
        self._sessions = {"locator": locator} | ({} if center is None else {"center": center})
        self._locator = make_runner(locator, device)
        self._center = None if center is None else make_runner(center, device)
        self._stacks = len(locator.get_inputs()[0].shape) == 3
        self._center_inputs = [] if center is None else [i.name for i in center.get_inputs()]
        self._classes, self._dim = classes, dim
        self.requested, self.actual, self.precision, self.buckets = requested, str(device), precision, buckets

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        threads: int = 1,
        options: EngineOptions | None = None,
    ) -> OnnxBackend:
        """Load both graphs; on a GPU also run them once. Raises InputError for a device that cannot run here and for
        graphs that do not fit the manifest; MissingDependencyError without ONNX Runtime."""
        manifest, options, place = bundle.manifest, options or EngineOptions(), Device.parse(device)
        parts: list[tuple[Part, str]] = [("locator", manifest.locator.file)]
        if manifest.center is not None:
            parts.append(("center", manifest.center.file))
        sessions = [
            open_session(
                bundle.graph(part, precision),
                file if precision == "fp32" else f"{file} in {precision}",
                device=device,
                threads=threads,
                purpose="running a bundle",
                options=options,
            )
            for part, file in parts
        ]
        scorer = sessions[1] if len(sessions) > 1 else None
        _check(sessions[0], scorer, classes=len(bundle.labels), dim=manifest.features.dim, source=bundle.source)
        backend = cls(
            sessions[0],
            scorer,
            classes=len(bundle.labels),
            dim=manifest.features.dim,
            device=place,
            requested=device,
            precision=precision,
            buckets=options.buckets,
        )
        if place.kind != "cpu":
            try:  # what is loaded only when it is used, as cuDNN, would else be missed in the first real run
                backend.warm([Shape(64), Shape(64, proposals=4)])
            except PunctumError as error:
                raise unavailable(place, error.given) from None
        return backend

    def locate(self, features: F32) -> tuple[F32, F32]:
        """features [T, D] -> (class track [T, C], actionness [T])."""
        if not self._stacks:
            class_track, actionness = self._locator.run(_TRACKS, {"features": features})
            return class_track, actionness
        class_track, actionness = self._locator.run(_TRACKS, {"features": features[None]})
        return class_track[0], actionness[0]

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        """Windows of one length [B, T, D] -> (class tracks [B, T, C], actionness [B, T]), in one run of the graph."""
        if not self._stacks:
            parts = [self.locate(window) for window in windows]
            return np.stack([p for p, _ in parts]), np.stack([a for _, a in parts])
        class_track, actionness = self._locator.run(_TRACKS, {"features": windows})
        return class_track, actionness

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        """Proposals of one window; without a second graph every term is 1."""
        if self._center is None:
            one = np.ones(len(labels), np.float32)
            return np.ones((len(labels), self._classes), np.float32), one, one
        given: dict[str, Any] = {"features": features, "tracks": tracks, "segments": segments, "labels": labels}
        probability, attention, center = self._center.run(_HEAD, {name: given[name] for name in self._center_inputs})
        return probability, attention, center

    def placement(self) -> dict[str, Any]:
        """Graph -> provider -> operator -> number of nodes."""
        return {name: node_placement(session) for name, session in self._sessions.items()}

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Run each shape once on zeros; shapes with proposals go through the scorer."""
        for shape in shapes:
            rows = np.zeros((shape.length, self._dim), np.float32)
            if shape.proposals:
                segments = np.tile(np.array([[0.0, max(shape.length - 1, 0)]], np.float32), (shape.proposals, 1))
                tracks = np.zeros((shape.length, self._classes + 1), np.float32)
                self.score(rows, tracks, segments, np.zeros(shape.proposals, np.int64))
            elif shape.windows > 1:
                self.locate_many(np.stack([rows] * shape.windows))
            else:
                self.locate(rows)


def _facts(values: list[Any]) -> dict[str, Any]:
    """Name -> shape of inputs or outputs, for what is a tensor; its type for anything else, such as a sequence."""
    return {v.name: v.shape if v.type.startswith("tensor(") else v.type for v in values}


def _check(locator: Any, center: Any, *, classes: int, dim: int, source: str) -> None:
    inputs, outputs = _facts(locator.get_inputs()), _facts(locator.get_outputs())
    shape = inputs.get("features")
    if len(inputs) != 1 or not isinstance(shape, list) or len(shape) not in (2, 3) or shape[-1] != dim:
        raise InputError(
            "graph-mismatch",
            f"the locator of {source} takes {inputs}",
            f"features [B, T, {dim}] (or [T, {dim}]) and nothing else, as the manifest says",
            "export again",
        )
    track, actionness = (found if isinstance(found := outputs.get(name), list) else [] for name in _TRACKS)
    ranks = len(track), len(actionness)
    if set(outputs) != set(_TRACKS) or ranks != (len(shape), len(shape) - 1) or track[-1] != classes:
        raise InputError(
            "graph-mismatch",
            f"the locator of {source} returns {outputs}",
            f"class_track [B, T, {classes}] and actionness [B, T], as the manifest's labels say",
            "export again",
        )
    if center is None:
        return
    inputs, outputs = _facts(center.get_inputs()), _facts(center.get_outputs())
    returned = [outputs.get(name) for name in _HEAD]
    if not set(inputs) <= set(_GIVEN) or not all(isinstance(found, list) for found in [*inputs.values(), *returned]):
        raise InputError(
            "graph-mismatch",
            f"the scorer of {source} takes {inputs} and returns {outputs}",
            f"tensors: some of {', '.join(_GIVEN)}; {', '.join(_HEAD)}",
            "export again",
        )
