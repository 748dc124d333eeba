"""A bundle from a locator trained elsewhere, a torch module or an ONNX graph, checked against what a session needs.

A session runs the locator on windows. Row t of its output may therefore depend on features t - left .. t + right alone,
and every output lies in 0..1. Both are measured here, since a bundle that breaks either rule would give other events
live than offline. `_arguments` checks what is given, `_interface` the tensors of graphs, `_trials` runs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from punctum.runtime import (
    Bundle,
    FeatureSpec,
    InputError,
    Localizer,
    PostProcess,
    __version__,
)
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle import limits
from punctum.runtime.bundle.config import Graph
from punctum.runtime.bundle.writer import assemble_bundle, save_bundle
from punctum.runtime.errors import MissingDependencyError
from pydantic import ValidationError

from ._arguments import check_field, check_labels, check_number, check_post, check_provenance, check_whole
from ._interface import check_locator_graph, check_module, check_scorer_graph
from ._libraries import check_installed
from ._names import check_bundle_name, check_new_folder
from ._samples import Sample, fingerprint, read_sample
from ._trials import check_graphs, check_parity
from .graphs.onnx_file import has_onnx, read_file, read_onnx

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn


def bundle_from_graphs(
    out: str | Path,
    *,
    locator: nn.Module | ModelProto | str | Path | bytes,
    labels: Sequence[str],
    dim: int,
    stride_s: float,
    receptive_field: tuple[int, int],
    scorer: ModelProto | str | Path | bytes | None = None,
    backbone: str | Path | None = None,
    sample: Sample | None = None,
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
            actionness [B, T])``, or an ONNX graph (a file, its bytes, or an ``onnx.ModelProto``) with an input and
            outputs of these names. T must be dynamic; B may be dynamic or 1, and a graph may leave it out. All outputs
            are probabilities in 0..1.
        labels: The C class names, in the order of the columns of ``class_track``.
        dim: Columns of the features.
        stride_s: Seconds from one feature row (snippet) to the next.
        receptive_field: ``(left, right)``: how many snippets before and after row t its output may depend on. Larger
            values than the network's own are allowed, and cost time and delay.
        scorer: An ONNX graph that scores proposals; see the reference page on graphs. Without it, proposals are ranked
            by the locator's tracks.
        backbone: Backbone folder, so that the bundle takes video and not features alone.
        sample: Features of the kind that the locator was trained on, some hundred rows or more: an array [n, dim], a
            ``.npy`` or ``.npz`` file, ``Features``, or a data set (its folder, or a ``Dataset``). The checks are made
            with them, and the manifest states their mean, deviation and quantiles as the fingerprint of the features.
            Without it, the checks use random features of many scales, and the manifest has no fingerprint.
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
            ``receptive_field``, the folder exists, or another argument is unusable.
        PunctumError: The exported graph does not compute what the module does.
        MissingDependencyError: ONNX Runtime, or torch or onnx for a module, is not installed.
    """
    check_bundle_name(name, version)
    names, field, facts = check_labels(labels), check_field(receptive_field), check_provenance(provenance)
    dim = check_whole("dim", dim, 1, limits.DIMENSION)
    stride_s = check_number("stride_s", stride_s, limits.LEAST_STRIDE_S, limits.MOST_STRIDE_S)
    post = check_post(post, scored=scorer is not None)
    check_new_folder(out, replace=replace)
    rows = None if sample is None else read_sample(sample, dim)
    spec = FeatureSpec(dim=dim, stride_s=stride_s, fingerprint=None if rows is None else fingerprint(rows))
    files = {"locator.onnx": _graph_bytes(locator) if _is_graph(locator) else _export(locator, dim, len(names))}
    check_locator_graph(files["locator.onnx"], dim, len(names))
    if scorer is not None:
        if not _is_graph(scorer):
            raise _no_graph("scorer", scorer)
        files["center.onnx"] = _graph_bytes(scorer)
        check_scorer_graph(files["center.onnx"])
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
            labels=names,
            features=spec,
            locator=Graph(file="locator.onnx", left=field[0], right=field[1]),
            center=None if scorer is None else Graph(file="center.onnx"),
            post=post,
            files=files,
            precision={},
            provenance={**facts, "exporter": __version__},
            backbone=None if video is None else video.spec,
            source=f"the bundle for {out}",
        )
    except ValidationError as error:
        first = str(error.errors(include_input=False, include_url=False, include_context=False)[0]["msg"])
        raise InputError(
            "bundle-argument",
            f"These arguments do not fit together: {first.removeprefix('Value error, ')}",
            next_step="correct `receptive_field`, `stride_s`, `post` or `backbone`",
        ) from None
    localizer = Localizer(bundle)
    probes = check_graphs(localizer, files["locator.onnx"], rows)
    if not _is_graph(locator):
        check_parity(locator, localizer, probes)
    save_bundle(bundle, out, replace=replace)
    return bundle


def _export(module: object, dim: int, classes: int) -> bytes:
    try:
        from torch import nn
    except ImportError:
        raise MissingDependencyError("torch", "export", "A module as `locator`") from None
    if not isinstance(module, nn.Module):
        raise _no_graph("locator", module)
    check_installed("A module as `locator`")
    from .graphs.export import export_locator

    batches = check_module(module, dim, classes)
    required = (
        f"features [B, T, {dim}] -> (class_track [B, T, {classes}], actionness [B, T]), without loops over T and "
        "without control flow on values"
    )
    next_step = "export it to ONNX yourself, with a dynamic T, and pass the file"
    try:
        graph = export_locator(module, dim, batches=batches)
    except Exception as error:
        why = f"{type(error).__name__}: {failure_text(error, 500)}"
        raise InputError(
            "locator-module",
            f"The module cannot be exported for windows of any length ({why})",
            required=required,
            next_step=next_step,
        ) from error
    try:
        check_locator_graph(graph, dim, classes)
    except InputError as error:
        if error.code != "graph-shape":
            raise
        raise InputError(
            "locator-module",
            f"Exporting the module fixed the length of its windows, for example by a loop over T. {error.given}",
            required=required,
            next_step=next_step,
        ) from None
    return graph


def _is_graph(value: object) -> TypeGuard[ModelProto | str | Path | bytes]:
    return isinstance(value, str | Path | bytes) or _is_proto(value)


def _is_proto(value: object) -> TypeGuard[ModelProto]:
    return type(value).__name__ == "ModelProto" and hasattr(value, "SerializeToString")


def _graph_bytes(graph: ModelProto | str | Path | bytes) -> bytes:
    if isinstance(graph, bytes):
        return graph
    if _is_proto(graph):
        data: bytes = graph.SerializeToString(deterministic=True)
        return data
    return read_onnx(graph) if has_onnx() else read_file(graph)


def _no_graph(parameter: str, value: object) -> InputError:
    module = "a torch module, " if parameter == "locator" else ""
    return InputError(
        "bundle-argument",
        f"`{parameter}` is an object of type {type(value).__name__}",
        required=f"{module}an ONNX file, its bytes, or an onnx.ModelProto",
        next_step=f"pass one of these as `{parameter}`",
    )
