"""ONNX Runtime on the CPU, configured for low latency (threads pinned, no spinning, strict provider list)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, MissingDependencyError
from ._options import EngineOptions
from ._placement import RECORD, node_placement
from ._protocol import F32, I64, Shape

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..precision import Part

_TRACKS = ["class_track", "actionness"]


def open_session(graph: bytes, name: str, *, device: str, threads: int, purpose: str) -> Any:
    """An inference session of one graph; name and purpose are for messages.

    Raises InputError for a device that this build cannot run and for a graph that does not load;
    MissingDependencyError without ONNX Runtime.
    """
    if device != "cpu":
        raise InputError(
            "device-unavailable",
            f"device {device!r}",
            "'cpu' in this version (GPU engines are not built yet)",
            "use --device cpu",
        )
    if threads < 1:
        raise InputError("threads", f"{threads} threads", "1 or more", "set --threads")
    try:
        import onnxruntime as ort
    except ImportError:
        raise MissingDependencyError("onnxruntime", "cpu", purpose) from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_mem_pattern = False  # lengths vary from window to window
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(RECORD, "1")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
        raise InputError(
            "graph-unreadable",
            f"ONNX Runtime cannot load {name}: {str(error)[:200]}",
            "a graph that ONNX Runtime loads",
            "export again",
        ) from None


class OnnxBackend:
    """Runs the two graphs of a bundle. `requested` and `actual` are always equal: nothing falls back."""

    choice = ""

    def __init__(
        self, locator: Any, center: Any, *, classes: int, dim: int, requested: str, actual: str, precision: str
    ) -> None:
        self._locator, self._center, self._classes = locator, center, classes
        self._stacks = len(locator.get_inputs()[0].shape) == 3
        self._center_inputs = [] if center is None else [i.name for i in center.get_inputs()]
        self._dim = dim
        self.requested, self.actual, self.precision = requested, actual, precision

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
        """Load both graphs. Raises InputError for a device that this build cannot run and for graphs that do not fit
        the manifest; MissingDependencyError without ONNX Runtime."""
        manifest = bundle.manifest
        parts: list[tuple[Part, str]] = [("locator", manifest.locator.file)]
        if manifest.center is not None:
            parts.append(("center", manifest.center.file))
        sessions = [
            open_session(
                bundle.graph(part, precision), file, device=device, threads=threads, purpose="running a bundle"
            )
            for part, file in parts
        ]
        backend = cls(
            sessions[0],
            sessions[1] if len(sessions) > 1 else None,
            classes=len(bundle.labels),
            dim=manifest.features.dim,
            requested=device,
            actual="cpu",
            precision=precision,
        )
        backend._check(manifest.features.dim, bundle.source)
        return backend

    def _check(self, dim: int, source: str) -> None:
        shape = self._locator.get_inputs()[0].shape
        if len(shape) not in (2, 3) or shape[-1] != dim:
            raise InputError(
                "graph-mismatch",
                f"the locator of {source} takes {shape}",
                f"[B, T, {dim}] (or [T, {dim}]) as the manifest says",
                "export again",
            )
        outputs = {o.name: o.shape for o in self._locator.get_outputs()}
        if set(outputs) != {"class_track", "actionness"} or outputs["class_track"][-1] != self._classes:
            raise InputError(
                "graph-mismatch",
                f"the locator of {source} returns {outputs}",
                f"class_track [B, T, {self._classes}] and actionness [B, T], as the manifest's labels say",
                "export again",
            )

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
        given = {"features": features, "tracks": tracks, "segments": segments, "labels": labels}
        names = ["class_probability", "attention", "center"]
        probability, attention, center = self._center.run(names, {name: given[name] for name in self._center_inputs})
        return probability, attention, center

    def placement(self) -> dict[str, Any]:
        """Graph -> provider -> operator -> number of nodes."""
        graphs = {"locator": self._locator, "center": self._center}
        return {name: node_placement(session) for name, session in graphs.items() if session is not None}

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Run each shape once on zeros; windows with proposals go through the scorer."""
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
