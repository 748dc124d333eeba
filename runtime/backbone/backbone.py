"""A video backbone: its graph on an engine, and the spec of the clips that it takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from ..backends.auto import open_on_device
from ..backends.options import CPU, EngineSpec
from ..bundle.backbone_spec import BackboneSpec
from ..errors import InputError
from .fingerprint import check_fingerprint
from .folder import read_backbone
from .preprocess import Preprocessor

if TYPE_CHECKING:
    from ..backends.runner import Runner
    from ..bundle.reader import Bundle

F32 = npt.NDArray[np.float32]


class VideoBackbone:
    """Turns clips into features on the requested device. Nothing falls back.

    Args:
        runner: The graph on its engine.
        spec: What the graph expects.
        dim: Feature dimension D.
        digest: Identity of graph and preprocessing together.
        name: The backbone, for messages.
        engine_spec: What was requested.

    Attributes:
        engine_spec: As given.
        requested: The device as it was requested.
        actual: The device that runs.
        choice: For device "auto", what was taken and why; else empty.
        precision: The variant of the graph.
    """

    choice = ""

    def __init__(
        self, runner: Runner, spec: BackboneSpec, *, dim: int, digest: str, name: str, engine_spec: EngineSpec
    ) -> None:
        self._runner, self.spec, self.dim, self.digest, self.name = runner, spec, dim, digest, name
        self.engine_spec = engine_spec
        self.requested, self.actual = engine_spec.device, engine_spec.device
        self.precision = engine_spec.precision

    @classmethod
    def open(cls, bundle: Bundle, spec: EngineSpec = CPU) -> VideoBackbone:
        """The backbone of a bundle, its fingerprint checked.

        Args:
            bundle: A bundle with a backbone.
            spec: Device, precision, threads and options.

        Raises:
            InputError: The bundle has no backbone, the device does not run here, the graph does not fit the manifest,
                or its features for the reference clip differ from the recorded fingerprint.
        """
        from ..backends.open import open_backbone_runner

        graphs = bundle.graphs(spec.precision)
        backbone, clips = graphs.backbone, graphs.backbone_spec
        if backbone is None or clips is None:
            raise no_backbone(bundle.id)

        def open_one(one: EngineSpec) -> VideoBackbone:
            runner = open_backbone_runner(graphs, one)
            return cls.from_graph(backbone.data, clips, name=bundle.source, engine_spec=one, runner=runner)

        opened = open_on_device(spec, open_one)
        if opened.dim != graphs.dim:
            raise InputError(
                "backbone-dimension",
                f"The backbone of {bundle.source} gives {opened.dim} features, and the locator takes {graphs.dim}",
                next_step="export the bundle again",
            )
        return opened

    @classmethod
    def load(cls, folder: str | Path, spec: EngineSpec = CPU) -> VideoBackbone:
        """The backbone in a folder (backbone.onnx and backbone.json), its fingerprint checked. Raises InputError."""
        clips, graph = read_backbone(folder)
        return open_on_device(spec, lambda one: cls.from_graph(graph, clips, name=str(folder), engine_spec=one))

    @classmethod
    def from_graph(
        cls,
        graph: bytes,
        spec: BackboneSpec,
        *,
        name: str = "backbone",
        engine_spec: EngineSpec = CPU,
        runner: Runner | None = None,
    ) -> Self:
        """A backbone from the bytes of its graph. A fingerprint in `spec` is checked.

        Args:
            graph: The ONNX file.
            spec: What the graph expects.
            name: The backbone, for messages.
            engine_spec: Device, threads and options; never device "auto".
            runner: The same graph on an engine that is open; default: ONNX Runtime.

        Raises:
            InputError: The graph does not load, does not fit the spec, or has another fingerprint.
        """
        if runner is None:
            from ..backends.onnxruntime.session import open_runner

            runner = open_runner(graph, f"{spec.file} of {name}", engine_spec, purpose="running a video backbone")
        dim = _check_graph(runner, spec, name)
        digest = spec.digest(hashlib.sha256(graph).hexdigest())
        backbone = cls(runner, spec, dim=dim, digest=digest, name=name, engine_spec=engine_spec)
        if spec.fingerprint is not None:
            check_fingerprint(backbone, spec.fingerprint)
        return backbone

    def preprocessor(self) -> Preprocessor:
        """A new preprocessor. Each thread that prepares frames needs its own."""
        return Preprocessor(self.spec)

    def warm(self, batch: int = 1) -> None:
        """Run the graph once on `batch` clips, the number that a stream passes at a time."""
        self.embed(np.zeros((batch, *self.spec.clip_shape), np.float32))

    def embed(self, clips: F32) -> F32:
        """Clips [N, *spec.clip_shape] -> features float32 [N, D], all finite.

        Raises:
            InputError: The graph returned another shape, or values that are not finite.
        """
        rows: F32 = np.asarray(self._runner.run([self.spec.output], {self.spec.input: clips})[0], np.float32)
        if rows.shape != (len(clips), self.dim):
            raise InputError(
                "graph-mismatch",
                f"The backbone of {self.name} returned shape {rows.shape} for {len(clips)} clips",
                required=f"shape ({len(clips)}, {self.dim})",
                next_step="export it with a dynamic batch",
            )
        if not np.isfinite(rows).all():
            raise InputError(
                "features-not-finite",
                f"The backbone of {self.name} returned NaN or infinite values",
                next_step="check the graph and its precision",
            )
        return rows


def no_backbone(bundle: str, address: str = "") -> InputError:
    """The error for a video given to a bundle without a backbone.

    Args:
        bundle: The id of the bundle.
        address: The video, without credentials.
    """
    return InputError(
        "bundle-without-backbone",
        f"Bundle {bundle} has no backbone and cannot take {address or 'a video'}",
        required="features (.npy), or a bundle exported with a backbone",
        next_step="export the run again with `punctum export RUN --out BUNDLE --backbone BACKBONE`, or extract "
        "features with the extractor that it was trained on",
    )


def open_backbone(path: str | Path, spec: EngineSpec = CPU, *, expect_sha256: str | None = None) -> VideoBackbone:
    """The backbone of a bundle (folder or zip) or of a backbone folder.

    Args:
        path: The bundle, or the backbone folder.
        spec: Device, precision, threads and options.
        expect_sha256: The digest that the bundle must have, see `Bundle.load`.

    Raises:
        InputError: As `VideoBackbone.open` and `VideoBackbone.load`.
    """
    from ..bundle.manifest import MANIFEST
    from ..bundle.reader import Bundle

    folder = Path(path)
    if not folder.is_dir() or (folder / MANIFEST).is_file():
        return VideoBackbone.open(Bundle.load(path, expect_sha256=expect_sha256), spec)
    if spec.precision != "fp32":
        raise InputError(
            "precision-missing",
            f"{folder} is a backbone folder, which has no precision {spec.precision!r}",
            "fp32",
            "give a bundle that has the variant",
        )
    if expect_sha256 is not None:
        raise InputError(
            "option-unfit",
            f"`expect_sha256` has no effect with {folder}, a backbone folder",
            required="a bundle",
            next_step="leave it out, or give a bundle with this backbone",
        )
    return VideoBackbone.load(folder, spec)


def _matches(shape: Sequence[object], expected: tuple[int, ...]) -> bool:
    return all(not isinstance(n, int) or n == m for n, m in zip(shape, expected, strict=True))


def _check_graph(runner: Runner, spec: BackboneSpec, name: str) -> int:
    """Check input and output against the spec. Returns the feature dimension."""
    inputs, outputs = runner.get_inputs(), {o.name: o.shape for o in runner.get_outputs()}
    shape = inputs[0].shape if len(inputs) == 1 and inputs[0].name == spec.input else None
    if shape is None or len(shape) != 5 or not _matches(shape[1:], spec.clip_shape):
        raise _mismatch(
            f"The backbone of {name} takes { {i.name: i.shape for i in inputs} }",
            f"{spec.input} [N, {', '.join(map(str, spec.clip_shape))}]",
            "correct spec or graph",
        )
    if isinstance(shape[0], int):
        raise _mismatch(
            f"The backbone of {name} takes exactly {shape[0]} clips",
            "any number of clips (a dynamic first dimension)",
            "export it with a dynamic batch",
        )
    if inputs[0].type != "tensor(float)":
        raise _mismatch(f"The backbone of {name} takes {inputs[0].type}", "float32", "export it again")
    features = outputs.get(spec.output)
    if features is None or len(features) != 2 or not isinstance(features[1], int):
        raise _mismatch(
            f"The backbone of {name} returns {outputs}",
            f"{spec.output} [N, D] with a fixed D",
            "pool over space and time in the graph",
        )
    if spec.parts and spec.parts[-1].columns[1] != features[1]:
        raise _mismatch(
            f"The parts of the backbone of {name} have {spec.parts[-1].columns[1]} columns",
            f"{features[1]}, as the graph returns",
            "compose the backbone again",
        )
    return int(features[1])


def _mismatch(given: str, required: str, next_step: str) -> InputError:
    return InputError("graph-mismatch", given, required=required, next_step=next_step)
