"""Engines that `punctum build` made, run by TensorRT without ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...session.engine import F32, I64, Placement, Shape
from ...text.display import counted
from ..graph_io import SCORER_INPUTS, TERMS, TRACKS, graph_mismatch, neutral_terms, warmup_proposals, warmup_window
from ..options import EngineSpec
from ..runner import Array
from .opener import EngineLoader
from .profiles import no_profile, split, split_window

if TYPE_CHECKING:
    from ...bundle.graphs import BundleGraphs
    from ...errors import InputError
    from .cuda import Cuda
    from .session import EngineSession

_EXPORT_AGAIN = "export the bundle again, then run `punctum build`"


class TensorRTBackend:
    """Runs the two graphs of a bundle on the first GPU that the process sees.

    Results do not depend on how a run is split: windows, proposals and clips beyond a profile are run in parts, and a
    long locator window in overlapping ones (see `profiles`).

    Args:
        locator: The locator's engine.
        center: The scorer's engine; None for a bundle without one.
        classes: Number of classes C.
        dim: Feature dimension D.
        receptive_field: Snippets that the locator sees to the left and to the right.
        precision: The variant of the graphs.
        library: Library, version and GPU, for `placement`.
        ignored: Engines in the folder that do not fit, each with the reason.
        after_warmup: Called once `warm` has run everything.
    """

    choice = ""

    def __init__(
        self,
        locator: EngineSession,
        center: EngineSession | None,
        *,
        classes: int,
        dim: int,
        receptive_field: tuple[int, int],
        precision: str,
        library: str,
        ignored: Sequence[str] = (),
        after_warmup: Callable[[], None] | None = None,
    ) -> None:
        self.requested, self.actual, self.precision = "tensorrt", "tensorrt", precision
        self.library, self.ignored = library, tuple(ignored)
        self._locator, self._center, self._after_warmup = locator, center, after_warmup
        self._classes, self._dim, self._receptive_field = classes, dim, receptive_field
        self._stacks = len(locator.get_inputs()[0].shape) == 3
        self._longest = max(profile.largest("features", 1 if self._stacks else 0) for profile in locator.profiles)

    @classmethod
    def open(
        cls,
        graphs: BundleGraphs,
        spec: EngineSpec,
        *,
        library: str = "auto",
        cuda: Cuda | None = None,
    ) -> TensorRTBackend:
        """Load the engines of a bundle from a folder, by default the one in the user's cache.

        Args:
            graphs: The graphs that the engines were built from.
            spec: Precision, and in its options the folder of engines.
            library: "tensorrt", "tensorrt_rtx", or "auto": the first that is installed.
            cuda: An open driver.

        Raises:
            InputError: No GPU, no library, no folder, or no engine in it that fits, with the reason for each.
            PunctumError: The library cannot load an engine.
        """
        loader = EngineLoader(graphs, spec, library=library, cuda=cuda)
        locator = loader.load(graphs.locator)
        center = None if graphs.center is None else loader.load(graphs.center)
        _check_locator(locator, graphs)
        if center is not None:
            _check_scorer(center, graphs)
        return cls(
            locator,
            center,
            classes=graphs.classes,
            dim=graphs.dim,
            receptive_field=graphs.receptive_field,
            precision=graphs.precision,
            library=f"{loader.library.name} {loader.library.version} on {loader.cuda.gpu.name}",
            ignored=loader.ignored,
            after_warmup=loader.save_kernels,
        )

    def locate(self, features: F32) -> tuple[F32, F32]:
        """features [T, D] -> (class track [T, C], actionness [T]). T may be 0, and longer than any profile."""
        parts = []
        for piece in split_window(len(features), self._longest, *self._receptive_field):
            window = features[piece.low : piece.high]
            track, actionness = self._locator.run(TRACKS, {"features": window[None] if self._stacks else window})
            exact = slice(piece.skip, piece.skip + piece.count)
            parts.append((track[0][exact], actionness[0][exact]) if self._stacks else (track[exact], actionness[exact]))
        if not parts:
            return np.zeros((0, self._classes), np.float32), np.zeros(0, np.float32)
        return _joined([p for p, _ in parts]), _joined([a for _, a in parts])

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        """Windows of one length [B, T, D] -> (class tracks [B, T, C], actionness [B, T])."""
        count, length = windows.shape[:2]
        if not count:
            return np.zeros((0, length, self._classes), np.float32), np.zeros((0, length), np.float32)
        if not self._stacks or length > self._longest or not length:
            tracks = [self.locate(window) for window in windows]
            return np.stack([p for p, _ in tracks]), np.stack([a for _, a in tracks])
        largest = max(p.largest("features", 0) for p in self._locator.profiles if p.largest("features", 1) >= length)
        parts = [self._locator.run(TRACKS, {"features": windows[part]}) for part in split(count, largest)]
        return _joined([p for p, _ in parts]), _joined([a for _, a in parts])

    def stepper(self, *, ahead: bool) -> None:
        """None: streams run whole windows."""

    def window_scorer(self) -> None:
        """None: the scorer takes one window in a run."""

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        """Score proposals in one window. Without a scorer every term is 1; without proposals nothing is run.

        Raises:
            InputError: The window is longer than any profile: it cannot be split.
        """
        if self._center is None or not len(labels):
            return neutral_terms(len(labels), self._classes)
        arrays: dict[str, Array] = {"features": features, "tracks": tracks, "segments": segments, "labels": labels}
        feeds = {name: arrays[name] for name in self._center.inputs}
        per_proposal = [name for name in ("segments", "labels") if name in feeds]
        fitting = [p for p in self._center.profiles if p.largest("features") >= len(features)]
        if not fitting:
            shapes = {name: array.shape for name, array in feeds.items()}
            raise no_profile(self._center.name, shapes, self._center.profiles)
        largest = max(profile.largest(per_proposal[0]) for profile in fitting)
        parts = []
        for part in split(len(labels), largest):
            parts.append(self._center.run(TERMS, feeds | {name: feeds[name][part] for name in per_proposal}))
        probability, attention, center = (_joined([terms[k] for terms in parts]) for k in range(3))
        return probability, attention, center

    def placement(self) -> Placement:
        """Graph -> library -> what runs there. An engine runs on its GPU as a whole, so there is one entry."""
        sessions = {"locator": self._locator, "center": self._center}
        return {
            name: {self.library: {"layers": session.layers, "recorded": session.recorded}}
            for name, session in sessions.items()
            if session is not None
        }

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Run each shape once and record it as a CUDA graph. A shape beyond the profiles is run in parts instead."""
        for shape in shapes:
            if shape.proposals:
                self._warm_scorer(shape)
            else:
                self._warm_locator(shape)
        if self._after_warmup is not None:
            self._after_warmup()

    def close(self) -> None:
        """Release the GPU's memory."""
        for session in (self._locator, self._center):
            if session is not None:
                session.close()

    def _warm_locator(self, shape: Shape) -> None:
        windows = warmup_window(shape, self._dim)
        feeds = {"features": windows if self._stacks else windows[0]}
        if any(profile.fits({"features": feeds["features"].shape}) for profile in self._locator.profiles):
            self._locator.warm(feeds)
        else:
            self.locate_many(windows)

    def _warm_scorer(self, shape: Shape) -> None:
        if self._center is None:
            return
        arrays = warmup_proposals(shape, self._dim, self._classes)
        feeds = {name: arrays[name] for name in self._center.inputs}
        shapes = {name: array.shape for name, array in feeds.items()}
        if any(profile.fits(shapes) for profile in self._center.profiles):
            self._center.warm(feeds)
        else:
            self.score(**arrays)


def _check_locator(engine: EngineSession, graphs: BundleGraphs) -> None:
    """Raise InputError where inputs or outputs do not fit the manifest."""
    inputs = {i.name: i.shape for i in engine.get_inputs()}
    outputs = {o.name: o.shape for o in engine.get_outputs()}
    shape, track = inputs.get("features", ()), outputs.get("class_track", ())
    if len(inputs) != 1 or len(shape) not in (2, 3) or shape[-1] != graphs.dim:
        raise _mismatch(
            f"The locator of {graphs.source} takes {inputs}",
            f"features [B, T, {graphs.dim}] (or [T, {graphs.dim}]), as in the manifest",
        )
    if set(outputs) != set(TRACKS) or not track or track[-1] != graphs.classes:
        raise _mismatch(
            f"The locator of {graphs.source} returns {outputs}",
            f"class_track with {counted(graphs.classes, 'class', 'classes')} and actionness, as the labels in the "
            "manifest require",
        )


def _check_scorer(engine: EngineSession, graphs: BundleGraphs) -> None:
    if not set(engine.inputs) <= set(SCORER_INPUTS) or "segments" not in engine.inputs:
        raise _mismatch(f"The scorer of {graphs.source} takes {sorted(engine.inputs)}", ", ".join(SCORER_INPUTS))
    if set(engine.outputs) != set(TERMS):
        raise _mismatch(f"The scorer of {graphs.source} returns {sorted(engine.outputs)}", ", ".join(TERMS))


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _mismatch(given: str, expected: str) -> InputError:
    return graph_mismatch(given, expected, _EXPORT_AGAIN)
