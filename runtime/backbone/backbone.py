"""A video backbone: its graph in ONNX Runtime and the spec that says what to feed it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from ..bundle.backbone_spec import BackboneSpec
from ..bundle.graph_scan import check_graph
from ..bundle.limits import FILE_BYTES, MANIFEST_BYTES
from ..errors import InputError
from ..text.display import shown
from ..text.strict_json import parse_json
from .fingerprint import check_fingerprint
from .preprocess import Preprocessor

if TYPE_CHECKING:
    from ..backends.onnxruntime.runner import Runner
    from ..backends.options import EngineOptions
    from ..bundle.reader import Bundle

F32 = npt.NDArray[np.float32]
SPEC_FILE = "backbone.json"


class VideoBackbone:
    """Clips to features, on the device that was asked for: nothing falls back.

    dim: columns of the features. digest: identity of graph and preprocessing together. choice: with device "auto",
    what was taken and why.
    """

    choice = ""

    def __init__(
        self, runner: Runner, spec: BackboneSpec, *, dim: int, digest: str, name: str, device: str, precision: str
    ) -> None:
        self._runner, self.spec, self.dim, self.digest, self.name = runner, spec, dim, digest, name
        self.requested, self.actual, self.precision = device, device, precision

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        precision: str = "fp32",
        options: EngineOptions | None = None,
    ) -> VideoBackbone:
        """The backbone of a bundle, its fingerprint checked. device, precision: as of `backends.open_backend`.

        Raises InputError where the bundle has none, where the device does not run, where the graph does not fit the
        manifest, and where its features for the reference clip are not those that were recorded.
        """
        spec = bundle.manifest.backbone
        if spec is None:
            raise no_backbone(bundle.id)
        variant = bundle.manifest.precision.get(precision)
        if variant is not None and "backbone" in variant.files:  # other roundings, so a fingerprint of its own
            spec = spec.model_copy(update={"fingerprint": variant.fingerprint})

        def open_on(place: str) -> VideoBackbone:
            session = None
            if place == "tensorrt":
                from ..backends.tensorrt.backend import open_backbone_engine

                session = open_backbone_engine(
                    bundle, precision=precision, engines=None if options is None else options.engines
                )
            return cls.from_graph(
                bundle.graph("backbone", precision),
                spec,
                name=bundle.source,
                device=place,
                threads=threads,
                precision=precision,
                options=options,
                session=session,
            )

        found = _on_device(device, open_on)
        if found.dim != bundle.manifest.features.dim:
            raise InputError(
                "backbone-dimension",
                f"the backbone of {bundle.source} gives {found.dim} features",
                f"{bundle.manifest.features.dim}, which the locator takes",
                "export the bundle again",
            )
        return found

    @classmethod
    def load(
        cls, folder: str | Path, *, device: str = "cpu", threads: int = 1, options: EngineOptions | None = None
    ) -> VideoBackbone:
        """The backbone in a folder (backbone.onnx and backbone.json), its fingerprint checked. Raises InputError."""
        spec, graph = read_backbone(folder)

        def open_on(place: str) -> VideoBackbone:
            return cls.from_graph(graph, spec, name=str(folder), device=place, threads=threads, options=options)

        return _on_device(device, open_on)

    @classmethod
    def from_graph(
        cls,
        graph: bytes,
        spec: BackboneSpec,
        *,
        name: str = "backbone",
        device: str = "cpu",
        threads: int = 1,
        precision: str = "fp32",
        options: EngineOptions | None = None,
        session: Any = None,
    ) -> Self:
        """A backbone from the bytes of its graph; a fingerprint in `spec` is checked. session: an engine of that graph
        which is open already, in place of ONNX Runtime. Raises InputError."""
        from ..backends.onnxruntime.backend import make_runner, open_session
        from ..backends.options import Device

        runner = session
        if session is None:
            session = open_session(
                graph,
                f"{spec.file} of {name}",
                device=device,
                threads=threads,
                purpose="running a video backbone",
                options=options,
            )
            runner = make_runner(session, Device.parse(device))
        dim = _check_graph(session, spec, name)
        digest = spec.digest(hashlib.sha256(graph).hexdigest())
        self = cls(runner, spec, dim=dim, digest=digest, name=name, device=device, precision=precision)
        if spec.fingerprint is not None:
            check_fingerprint(self, spec.fingerprint)
        return self

    def preprocessor(self) -> Preprocessor:
        """One for each thread that prepares frames."""
        return Preprocessor(self.spec)

    def warm(self, batch: int = 1) -> None:
        """Run the graph once on so many clips, the number that a stream will bring at a time."""
        self.embed(np.zeros((batch, *self.spec.clip_shape), np.float32))

    def embed(self, clips: F32) -> F32:
        """Clips [N, *spec.clip_shape] -> features float32 [N, dim], finite. Raises InputError for NaN."""
        rows: F32 = np.asarray(self._runner.run([self.spec.output], {self.spec.input: clips})[0], np.float32)
        if rows.shape != (len(clips), self.dim):
            raise InputError(
                "graph-mismatch",
                f"the backbone of {self.name} returned {rows.shape} for {len(clips)} clips",
                f"({len(clips)}, {self.dim})",
                "export it with a dynamic batch",
            )
        if not np.isfinite(rows).all():
            raise InputError(
                "features-not-finite", f"the backbone of {self.name} returned NaN", "finite features", "check the graph"
            )
        return rows


def no_backbone(bundle: str, address: str = "") -> InputError:
    """The error for a video given to a bundle that takes features only. address: without credentials."""
    given = f"{address}, a video," if address else "a video"
    return InputError(
        "bundle-without-backbone",
        f"{given} for bundle {bundle}, which holds no backbone",
        "features (.npy), or a bundle exported with --backbone",
        "export the run again with `punctum export RUN --out BUNDLE --backbone X`, or extract features with the "
        "extractor it was trained on",
    )


def open_backbone(
    path: str | Path,
    *,
    device: str = "cpu",
    threads: int = 1,
    precision: str = "fp32",
    options: EngineOptions | None = None,
    expect_sha256: str | None = None,
) -> VideoBackbone:
    """The backbone of a bundle (folder or zip) or of a backbone folder. expect_sha256: of the bundle, as
    `Bundle.load` takes it. Raises InputError."""
    from ..bundle.manifest import MANIFEST
    from ..bundle.reader import Bundle

    folder = Path(path)
    if folder.is_dir() and not (folder / MANIFEST).is_file():
        if precision != "fp32":
            raise InputError(
                "precision-missing",
                f"{folder} in precision {precision!r}",
                "fp32",
                "give a bundle that has the variant",
            )
        if expect_sha256 is not None:
            raise InputError(
                "option-unfit",
                f"--expect-sha256 for {folder}, a backbone folder",
                "the digest of a bundle",
                "leave it out, or give a bundle with this backbone",
            )
        return VideoBackbone.load(folder, device=device, threads=threads, options=options)
    return VideoBackbone.open(
        Bundle.load(path, expect_sha256=expect_sha256),
        device=device,
        threads=threads,
        precision=precision,
        options=options,
    )


def _on_device(device: str, open_on: Callable[[str], VideoBackbone]) -> VideoBackbone:
    if device != "auto":
        return open_on(device)
    from ..backends.auto import first_that_opens

    found, _, choice = first_that_opens(open_on)
    found.requested, found.choice = "auto", choice
    return found


def read_backbone(folder: str | Path) -> tuple[BackboneSpec, bytes]:
    """Spec and graph of a backbone folder. Raises InputError naming the file that is missing or wrong, and for a graph
    that refers to other files."""
    folder = Path(folder)
    spec = read_spec(folder / SPEC_FILE)
    path = folder / spec.file
    if not path.is_file():
        raise InputError(
            "backbone-missing", f"{shown(folder)} has no {spec.file}", "the graph beside its spec", "copy both"
        )
    graph = _read(path, FILE_BYTES)
    check_graph(graph, f"{spec.file} in {shown(folder)}", opening=False)
    return spec, graph


def read_spec(path: str | Path) -> BackboneSpec:
    """A spec from a JSON file; keys that it does not know are left. Raises InputError naming the field."""
    return parse_spec(read_spec_file(path), path)


def read_spec_file(path: str | Path) -> Any:
    """The JSON document of a spec file. Raises InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            "backbone-missing",
            f"{shown(path)} does not exist",
            f"a backbone folder with backbone.onnx and {SPEC_FILE}",
            "check the path, or make one with `punctum train-backbone`",
        )
    try:
        return parse_json(_read(path, MANIFEST_BYTES))
    except ValueError as error:
        raise InputError("backbone-spec", f"{shown(path)} is not JSON ({error})", "JSON", "write it again") from None


def parse_spec(record: Any, path: str | Path) -> BackboneSpec:
    """A spec from a JSON document. path: where it was read from. Raises InputError naming the field."""
    try:
        return BackboneSpec.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = shown(".".join(str(part) for part in first["loc"]) or "spec", 120)
        said = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(
            "backbone-spec", f"{shown(path)}: {where}: {said}", "a spec as documented", "correct the field"
        ) from None


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise InputError(
            "backbone-unreadable",
            f"cannot read {shown(path)} ({error.strerror or error})",
            "a file that this user may read",
            "check the permissions",
        ) from None
    if len(data) > most:
        raise InputError(
            "backbone-unreadable", f"{shown(path)} has more than {most:,} bytes", f"at most {most:,}", "check the file"
        )
    return data


def _compatible(given: list[Any], wanted: tuple[int, ...]) -> bool:
    return all(not isinstance(n, int) or n == m for n, m in zip(given, wanted, strict=True))


def _check_graph(session: Any, spec: BackboneSpec, name: str) -> int:
    """Input and output against the spec; returns the feature dimension."""
    inputs, outputs = session.get_inputs(), {o.name: o.shape for o in session.get_outputs()}
    wanted = f"{spec.input} [N, {', '.join(map(str, spec.clip_shape))}]"
    shape = inputs[0].shape if len(inputs) == 1 and inputs[0].name == spec.input else None
    if shape is None or len(shape) != 5 or not _compatible(shape[1:], spec.clip_shape):
        given = {i.name: i.shape for i in inputs}
        raise InputError("graph-mismatch", f"the backbone of {name} takes {given}", wanted, "correct spec or graph")
    if isinstance(shape[0], int):
        raise InputError(
            "graph-mismatch",
            f"the backbone of {name} takes exactly {shape[0]} clips",
            "any number (a dynamic first dimension)",
            "export it with a dynamic batch",
        )
    if inputs[0].type != "tensor(float)":
        raise InputError("graph-mismatch", f"the backbone of {name} takes {inputs[0].type}", "float32", "export again")
    found = outputs.get(spec.output)
    if found is None or len(found) != 2 or not isinstance(found[1], int):
        raise InputError(
            "graph-mismatch",
            f"the backbone of {name} returns {outputs}",
            f"{spec.output} [N, D] with a fixed D",
            "pool over space and time in the graph",
        )
    return int(found[1])
