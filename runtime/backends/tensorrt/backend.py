"""Engines that `punctum build` made, run by TensorRT without ONNX Runtime. Engines are looked up, never built here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, PunctumError
from ...session.engine import F32, I64, Shape
from ...text.display import counted
from .profiles import cut, cut_window, no_profile

if TYPE_CHECKING:
    from ...bundle.precision import Part
    from ...bundle.reader import Bundle
    from .cuda import Cuda
    from .library import Library
    from .session import EngineSession

_TRACKS = ["class_track", "actionness"]
_TERMS = ["class_probability", "attention", "center"]


class TensorRTBackend:
    """Runs the two graphs of a bundle on the first GPU that the process sees. Nothing falls back.

    Answers do not depend on how a run is cut: windows, proposals and clips beyond a profile are run in parts, and a
    long locator window in overlapping ones (see `profiles`). ignored: engines in the folder that were passed over, with
    the reason.
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
        keep: Callable[[], None] | None = None,
    ) -> None:
        self.requested, self.actual, self.precision = "tensorrt", "tensorrt", precision
        self.library, self.ignored = library, tuple(ignored)
        self._locator, self._center = locator, center
        self._classes, self._dim, self._field, self._keep = classes, dim, receptive_field, keep
        self._stacks = len(locator.get_inputs()[0].shape) == 3
        self._longest = max(profile.largest("features", 1 if self._stacks else 0) for profile in locator.profiles)

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        precision: str = "fp32",
        engines: str | Path | None = None,
        library: str = "auto",
        device: Cuda | None = None,
    ) -> TensorRTBackend:
        """Load the engines of a bundle from a folder (by default the one in the user's cache).

        library: "auto" takes the first of tensorrt and tensorrt_rtx that is installed. device: an open driver.
        Raises InputError for a precision that the bundle does not have, without a GPU, without a library, without a
        folder, and where no engine in it fits, saying why each does not; PunctumError where one does not load.
        """
        opener = _Opener(bundle, precision, engines, library, device)
        locator = opener.open("locator")
        center = None if bundle.manifest.center is None else opener.open("center")
        backend = cls(
            locator,
            center,
            classes=len(bundle.labels),
            dim=bundle.manifest.features.dim,
            receptive_field=(bundle.manifest.locator.left, bundle.manifest.locator.right),
            precision=precision,
            library=f"{opener.library.name} {opener.library.version} on {opener.device.gpu.name}",
            ignored=opener.ignored,
            keep=opener.keep_kernels,
        )
        backend._check(bundle.source)
        return backend

    def locate(self, features: F32) -> tuple[F32, F32]:
        """features [T, D] -> (class track [T, C], actionness [T]). T may be 0, and longer than any profile."""
        parts = []
        for piece in cut_window(len(features), self._longest, *self._field):
            window = features[piece.low : piece.high]
            track, actionness = self._locator.run(_TRACKS, {"features": window[None] if self._stacks else window})
            kept = slice(piece.keep, piece.keep + piece.count)
            parts.append((track[0][kept], actionness[0][kept]) if self._stacks else (track[kept], actionness[kept]))
        if not parts:
            return np.zeros((0, self._classes), np.float32), np.zeros(0, np.float32)
        return _joined([p for p, _ in parts]), _joined([a for _, a in parts])

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        """Windows of one length [B, T, D] -> (class tracks [B, T, C], actionness [B, T])."""
        count, length = windows.shape[:2]
        if not count:
            return np.zeros((0, length, self._classes), np.float32), np.zeros((0, length), np.float32)
        if not self._stacks or length > self._longest or not length:
            found = [self.locate(window) for window in windows]
            return np.stack([p for p, _ in found]), np.stack([a for _, a in found])
        most = max(p.largest("features", 0) for p in self._locator.profiles if p.largest("features", 1) >= length)
        parts = [self._locator.run(_TRACKS, {"features": windows[part]}) for part in cut(count, most)]
        return _joined([p for p, _ in parts]), _joined([a for _, a in parts])

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        """Proposals of one window; without a second graph every term is 1. No proposals: nothing is run.

        Raises InputError for a window longer than any profile: it cannot be cut.
        """
        if self._center is None:
            one = np.ones(len(labels), np.float32)
            return np.ones((len(labels), self._classes), np.float32), one, one
        none = np.zeros(0, np.float32)
        if not len(labels):
            return np.zeros((0, self._classes), np.float32), none, none
        given: dict[str, Any] = {"features": features, "tracks": tracks, "segments": segments, "labels": labels}
        feeds = {name: given[name] for name in self._center.inputs}
        counted = next(name for name in ("segments", "labels") if name in feeds)
        fitting = [p for p in self._center.profiles if p.largest("features") >= len(features)]
        if not fitting:
            shapes = {name: array.shape for name, array in feeds.items()}
            raise no_profile(self._center.name, shapes, self._center.profiles)
        most = max(profile.largest(counted) for profile in fitting)
        parts = []
        for part in cut(len(labels), most):
            own = {name: feeds[name][part] for name in ("segments", "labels") if name in feeds}
            parts.append(self._center.run(_TERMS, feeds | own))
        probability, attention, center = (_joined([terms[k] for terms in parts]) for k in range(3))
        return probability, attention, center

    def placement(self) -> dict[str, Any]:
        """Graph -> library -> what runs there. An engine runs whole on its GPU, so there is no second entry."""
        sessions = {"locator": self._locator, "center": self._center}
        return {
            name: {self.library: {"layers": session.layers, "recorded": session.recorded}}
            for name, session in sessions.items()
            if session is not None
        }

    def warm(self, shapes: Sequence[Shape]) -> None:
        """Run each shape once and record it as a CUDA graph; a shape beyond the profiles is run in parts."""
        for shape in shapes:
            if shape.proposals:
                self._warm_center(shape)
            else:
                self._warm_locator(shape)
        if self._keep is not None:
            self._keep()

    def close(self) -> None:
        """Give the GPU's memory back."""
        for session in (self._locator, self._center):
            if session is not None:
                session.close()

    def _warm_locator(self, shape: Shape) -> None:
        rows = np.zeros((shape.windows, shape.length, self._dim), np.float32)
        feeds = {"features": rows if self._stacks else rows[0]}
        if any(profile.fits({"features": feeds["features"].shape}) for profile in self._locator.profiles):
            self._locator.warm(feeds)
        else:
            self.locate_many(rows)

    def _warm_center(self, shape: Shape) -> None:
        if self._center is None:
            return
        segments = np.tile(np.array([[0.0, max(shape.length - 1, 0)]], np.float32), (shape.proposals, 1))
        given: dict[str, Any] = {
            "features": np.zeros((shape.length, self._dim), np.float32),
            "tracks": np.zeros((shape.length, self._classes + 1), np.float32),
            "segments": segments,
            "labels": np.zeros(shape.proposals, np.int64),
        }
        feeds = {name: given[name] for name in self._center.inputs}
        shapes = {name: array.shape for name, array in feeds.items()}
        if any(profile.fits(shapes) for profile in self._center.profiles):
            self._center.warm(feeds)
        else:
            self.score(**given)

    def _check(self, source: str) -> None:
        """Inputs and outputs against the manifest."""
        inputs = {i.name: i.shape for i in self._locator.get_inputs()}
        outputs = {o.name: o.shape for o in self._locator.get_outputs()}
        shape, track = inputs.get("features", ()), outputs.get("class_track", ())
        if len(inputs) != 1 or len(shape) not in (2, 3) or shape[-1] != self._dim:
            wanted = f"features [B, T, {self._dim}] (or [T, {self._dim}]) as the manifest says"
            raise _mismatch(f"the locator of {source} takes {inputs}", wanted)
        if set(outputs) != set(_TRACKS) or not track or track[-1] != self._classes:
            classes = counted(self._classes, "class", "classes")
            wanted = f"class_track with {classes} and actionness, as the manifest's labels say"
            raise _mismatch(f"the locator of {source} returns {outputs}", wanted)
        if self._center is None:
            return
        allowed = {"features", "tracks", "segments", "labels"}
        if not set(self._center.inputs) <= allowed or "segments" not in self._center.inputs:
            raise _mismatch(f"the scorer of {source} takes {sorted(self._center.inputs)}", ", ".join(sorted(allowed)))
        if set(self._center.outputs) != set(_TERMS):
            raise _mismatch(f"the scorer of {source} returns {sorted(self._center.outputs)}", ", ".join(_TERMS))


class BackboneEngine:
    """The backbone's engine in place of an ONNX Runtime session: any number of clips, run in parts if need be."""

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self._most = max(p.largest(name) for p in session.profiles for name in session.inputs)
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, names: Sequence[str] | None, feeds: dict[str, Any]) -> list[Any]:
        """Like `EngineSession.run`; all inputs have the same number of rows, at least one."""
        count = len(next(iter(feeds.values())))
        parts = [
            self._session.run(names, {name: array[part] for name, array in feeds.items()})
            for part in cut(count, self._most)
        ]
        return [_joined([outputs[k] for outputs in parts]) for k in range(len(parts[0]))]


def open_backbone_engine(
    bundle: Bundle, *, precision: str = "fp32", engines: str | Path | None = None, library: str = "auto"
) -> BackboneEngine:
    """The engine of a bundle's backbone; raises as `TensorRTBackend.open` does, also without a backbone."""
    return BackboneEngine(_Opener(bundle, precision, engines, library, None).open("backbone"))


class _Opener:
    """What opening several parts of one bundle has in common."""

    def __init__(
        self, bundle: Bundle, precision: str, engines: str | Path | None, library: str, device: Cuda | None
    ) -> None:
        from .cuda import Cuda
        from .library import check_runs_on
        from .store import EngineStore, default_folder

        bundle.check_precision(precision)
        self.bundle, self.precision = bundle, precision
        self.device = device or Cuda.open()
        folder = Path(engines) if engines is not None else default_folder(bundle.id)
        if not folder.is_dir():
            raise InputError(
                "engine-missing",
                f"no folder {folder} with engines of {bundle.id}",
                "engines built on this machine",
                f"punctum build {bundle.source} --out {folder} --precision {precision}",
            )
        self.store = EngineStore(folder)
        self.library = self._library(library)
        check_runs_on(self.library, self.device.gpu.capability)
        self.ignored: list[str] = []
        self._opened: list[tuple[str, EngineSession]] = []

    def _library(self, choice: str) -> Library:
        """The library asked for; with "auto", and several installed, the first that built anything in the folder."""
        from .library import installed_libraries, load_library

        if choice == "auto":
            built = {(e.record.key.library, e.record.key.version) for e in self.store.entries(deep=False) if e.record}
            for found in installed_libraries():
                if (found.name, found.version) in built:
                    return load_library(found.name)
        return load_library(choice)

    def open(self, part: Part) -> EngineSession:
        from .build import part_precision
        from .session import EngineSession

        graph = hashlib.sha256(self.bundle.graph(part, self.precision)).hexdigest()
        own = part_precision(self.bundle, part, self.precision)
        library = (self.library.name, self.library.version)
        record, engine, ignored = self.store.find(part, own, graph, library=library, gpu=self.device.gpu)
        self.ignored += ignored
        kernels = f"kernels-{part}-{own}-{self.library.version}.cache"
        name = f"the {part} engine {record.file}"
        session = EngineSession(
            self.library,
            self.device,
            engine,
            name=name,
            kernels=self.store.blob(kernels) if self.library.rtx else b"",
        )
        self._opened.append((kernels, session))
        return session

    def keep_kernels(self) -> None:
        """Put down what tensorrt_rtx compiled, for the next process. A folder that cannot be written stays as it is."""
        for name, session in self._opened:
            kernels = session.kernels()
            if not kernels or kernels == self.store.blob(name):
                continue
            try:
                self.store.merge_blob(name, lambda _, own=kernels: own)  # type: ignore[misc]
            except PunctumError:
                return


def _joined(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _mismatch(given: str, allowed: str) -> InputError:
    return InputError("graph-mismatch", given, allowed, "export the bundle again, then `punctum build`")
