"""Export a training run as a bundle: graphs, parity, manifest. The bundle appears as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from punctum.runtime import __version__
from punctum.runtime.bundle.config import Graph
from punctum.runtime.bundle.manifest import invalid_manifest
from punctum.runtime.bundle.precision import REFERENCE, PrecisionRecord
from punctum.runtime.bundle.reader import Bundle
from punctum.runtime.bundle.writer import assemble_bundle, save_bundle
from punctum.training.models.checkpoint import Run
from pydantic import ValidationError

from ._names import check_bundle_name, check_new_folder, name_of_dataset
from .graphs.backbone import ExportedBackbone
from .graphs.export import center_graph, locator_graph
from .graphs.parity import check_parity


def export_bundle(
    run: Run,
    out: str | Path,
    *,
    name: str = "",
    version: str = "1.0.0",
    replace: bool = False,
    backbone: ExportedBackbone | None = None,
    finish: Callable[[Bundle], Bundle] = lambda bundle: bundle,
) -> tuple[str, float]:
    """Export a run.

    Args:
        run: the training run.
        out: folder of the bundle.
        name: of the bundle; by default that of the data set.
        version: of the bundle.
        replace: replace an existing folder.
        backbone: makes the bundle take video; see `graphs.backbone.load_exported`.
        finish: applied to the bundle before it is written, for example to add precision variants. If it raises, nothing
            is written.

    Returns:
        The bundle id, and the largest difference between graphs and modules.

    Raises:
        InputError: the name is not valid, the folder exists, or the backbone's features are not those of the run.
        PunctumError: a graph does not reproduce its module.
    """
    name = name or name_of_dataset(run.provenance.get("dataset", "bundle"))
    check_bundle_name(name, version)
    check_new_folder(out, replace=replace)
    spec = run.feature_spec
    if backbone is not None:
        backbone.check_fits(spec)
        spec = spec.model_copy(update={"backbone": backbone.name, "backbone_sha256": backbone.digest})
    files = {"locator.onnx": locator_graph(run.locator)}
    if run.center is not None:
        files["center.onnx"] = center_graph(run.center)
    parity = check_parity(run, files["locator.onnx"], files.get("center.onnx"))
    worst = {"worst": float(parity["worst"])}
    if backbone is not None:
        files[backbone.spec.file] = backbone.graph
        if backbone.parity is not None:
            parity["backbone"] = backbone.parity
            worst["backbone"] = max(backbone.parity.values())
    files["parity.json"] = (json.dumps(parity, indent=1) + "\n").encode()
    left, right = run.locator.receptive_field
    try:
        bundle = assemble_bundle(
            name=name,
            version=version,
            labels=run.labels,
            features=spec,
            locator=Graph(file="locator.onnx", left=left, right=right),
            center=Graph(file="center.onnx") if run.center is not None else None,
            post=run.post,
            calibration=run.calibration,
            files=files,
            precision={REFERENCE: PrecisionRecord(parity=worst)},
            provenance={**run.provenance, "exporter": __version__},
            backbone=None if backbone is None else backbone.spec,
            source=f"the bundle of {run.path}",
        )
    except ValidationError as error:
        raise invalid_manifest(f"the bundle of {run.path}", error) from None
    bundle_id = save_bundle(finish(bundle), out, replace=replace)
    return bundle_id, float(parity["worst"])
