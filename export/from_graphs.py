"""A bundle from a locator trained elsewhere, a torch module or an ONNX file, checked against what a session needs.

A session runs the locator on windows. Row t of its output may therefore depend on features t - left .. t + right alone,
and every output lies in 0..1. Both are measured here, since a bundle that breaks either rule would give other events
live than offline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt
from punctum.runtime import Bundle, FeatureSpec, InputError, Localizer, PostProcess, PunctumError, __version__
from punctum.runtime.bundle.config import Graph
from punctum.runtime.bundle.manifest import invalid_manifest
from punctum.runtime.bundle.writer import assemble_bundle, save_bundle
from pydantic import ValidationError

from ._names import check_bundle_name, check_new_folder
from .graphs.onnx_file import read_onnx

if TYPE_CHECKING:
    from torch import nn

F32 = npt.NDArray[np.float32]
BLOCK = 48  # rows that are computed twice, in two windows
TOLERANCE = 1e-4  # between two windows, and between a module and its graph; outputs are in 0..1
COUNTS = (0, 1, 7)  # proposals that a scorer is tried with


def bundle_from_graphs(
    out: str | Path,
    *,
    locator: nn.Module | str | Path | bytes,
    labels: Sequence[str],
    dim: int,
    stride_s: float,
    receptive_field: tuple[int, int],
    scorer: str | Path | bytes | None = None,
    backbone: str | Path | None = None,
    post: PostProcess | None = None,
    name: str = "own",
    version: str = "1.0.0",
    provenance: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Bundle:
    """Write a bundle around your own locator, and return it.

    Args:
        out: New bundle folder.
        locator: A torch module that maps float32 ``features`` [B, T, dim] to ``(class_track [B, T, C],
            actionness [B, T])``, or an ONNX graph (a file or its bytes) with an input and outputs of these names. B and
            T are free; all outputs are probabilities in 0..1.
        labels: The C class names, in the order of the columns of ``class_track``.
        dim: Columns of the features.
        stride_s: Seconds from one feature row (snippet) to the next.
        receptive_field: ``(left, right)``: how many snippets before and after row t its output may depend on. Larger
            values than the network's own are allowed, and cost time and delay.
        scorer: An ONNX graph that scores proposals; see the reference page on graphs. Without it, proposals are ranked
            by the locator's tracks.
        backbone: Backbone folder, so that the bundle takes video and not features alone.
        post: Post-processing. By default proposals are ranked by their contrast, and with a scorer also by its center
            score.
        name: Name of the bundle.
        version: Version of the bundle.
        provenance: Facts about how it was made, stored in the manifest.
        replace: Replace an existing bundle.

    Returns:
        The bundle, as it was written.

    Raises:
        InputError: A graph does not have the inputs and outputs above, its outputs leave 0..1, it reads beyond
            ``receptive_field``, the folder exists, or a name is unusable.
        MissingDependencyError: ONNX Runtime, or torch for a module, is not installed.
    """
    check_bundle_name(name, version)
    check_new_folder(out, replace=replace)
    left, right = receptive_field
    spec = FeatureSpec(dim=dim, stride_s=stride_s)
    files = {"locator.onnx": _graph_bytes(locator) if _is_graph(locator) else _export(locator, dim)}
    if scorer is not None:
        files["center.onnx"] = _graph_bytes(scorer)
    video = None
    if backbone is not None:
        from .graphs.backbone import load_exported

        video = load_exported(str(backbone))
        video.check_fits(spec)
        spec = spec.model_copy(update={"backbone": video.name, "backbone_sha256": video.digest})
        files[video.spec.file] = video.graph
    try:
        bundle = assemble_bundle(
            name=name,
            version=version,
            labels=tuple(labels),
            features=spec,
            locator=Graph(file="locator.onnx", left=left, right=right),
            center=None if scorer is None else Graph(file="center.onnx"),
            post=post or _default_post(scorer is not None),
            files=files,
            precision={},
            provenance={**(provenance or {}), "exporter": __version__},
            backbone=None if video is None else video.spec,
            source=f"the bundle for {out}",
        )
    except ValidationError as error:
        raise invalid_manifest(f"the bundle for {out}", error) from None
    localizer = Localizer(bundle)
    check_graphs(localizer)
    if not _is_graph(locator):
        _check_parity(locator, localizer)
    save_bundle(bundle, out, replace=replace)
    return bundle


def check_graphs(localizer: Localizer) -> None:
    """Run both graphs on random features. Raises InputError where they break the rules that a session relies on."""
    backend, plan = localizer.backend, localizer.plan
    left, right = plan.left, plan.right
    features = _random((left + right + 3 * BLOCK, plan.dim))
    for length in (1, 2, BLOCK):
        _check_range(backend.locate(features[:length]), "locator", length)
    whole = backend.locate(features)
    _check_range(whole, "locator", len(features))
    inner = slice(left + BLOCK, left + 2 * BLOCK)
    window = backend.locate(features[inner.start - left : inner.stop + right])
    apart = max(float(np.abs(a[inner] - b[left : left + BLOCK]).max()) for a, b in zip(whole, window, strict=True))
    if apart > TOLERANCE:
        raise InputError(
            "receptive-field",
            f"`receptive_field` is ({left}, {right}) snippets, but the locator's output at a row changes by "
            f"{apart:.2g} with features outside of it",
            required="an output that depends on these snippets only, without statistics of the whole video",
            next_step="state a larger `receptive_field`, or bound what the network reads",
        )
    tracks = np.concatenate([whole[0], whole[1][:, None]], axis=1)
    for count in COUNTS:
        segments = np.stack([np.arange(count) * 2.0, np.arange(count) * 2.0 + 3.0], axis=1).astype(np.float32)
        labels = np.arange(count, dtype=np.int64) % len(plan.labels)
        _check_range(backend.score(features, tracks, segments, labels), "scorer", count)


def _check_range(outputs: tuple[Any, ...], part: str, size: int) -> None:
    for value in outputs:
        if len(value) != size or not np.isfinite(value).all() or (value.size and (value.min() < 0 or value.max() > 1)):
            raise InputError(
                "graph-output",
                f"the {part} returns an array of shape {value.shape} for an input of length {size}"
                + (f", with values from {value.min():.3g} to {value.max():.3g}" if value.size else ""),
                "as many rows as the input, with probabilities in 0..1",
                "end the network in a sigmoid or softmax, and keep its time resolution",
            )


def _default_post(scored: bool) -> PostProcess:
    post = PostProcess()
    if not scored:
        return post
    return post.model_copy(update={"fusion": post.fusion.model_copy(update={"center": 1.0})})


def _export(module: nn.Module, dim: int) -> bytes:
    from .graphs.export import export_locator

    try:
        return export_locator(module.eval(), dim)
    except Exception as error:
        raise InputError(
            "locator-module",
            f"the module cannot be exported with any number and length of windows ({type(error).__name__}: {error})",
            f"features [B, T, {dim}] -> (class_track [B, T, C], actionness [B, T]), without control flow on values",
            "export it to ONNX yourself and pass the file",
        ) from error


def _check_parity(module: nn.Module, localizer: Localizer) -> None:
    """Raises PunctumError where the graph does not compute what the module does."""
    import torch

    for length in (1, 2, 97):
        features = _random((length, localizer.plan.dim))
        with torch.no_grad():
            expected = [output[0].numpy() for output in module(torch.from_numpy(features[None]))]
        found = localizer.backend.locate(features)
        worst = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
        if worst > TOLERANCE:
            raise PunctumError(
                "parity",
                f"the exported graph differs from the module by {worst:.2e}",
                f"at most {TOLERANCE:.0e}",
                "export it to ONNX yourself and pass the file",
            )


def _random(shape: tuple[int, ...]) -> F32:
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def _is_graph(value: object) -> TypeGuard[str | Path | bytes]:
    return isinstance(value, str | Path | bytes)


def _graph_bytes(graph: str | Path | bytes) -> bytes:
    return graph if isinstance(graph, bytes) else read_onnx(graph)
