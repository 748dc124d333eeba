"""A training run to a bundle: graphs, parity, manifest; all of it appears at once or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

from punctum.runtime import InputError, __version__
from punctum.runtime.bundle_writer import write_bundle
from punctum.runtime.config import Graph
from punctum.training.checkpoint import Run

from .graphs import export_center, export_locator
from .parity import check_parity


def export_bundle(
    run: Run, out: str | Path, *, name: str = "", version: str = "1.0.0", replace: bool = False
) -> tuple[str, float]:
    """Write the bundle and return (its id, the worst difference between graph and model).

    Raises InputError for an unusable name or an existing folder, PunctumError where graph and model disagree.
    """
    name = name or str(run.provenance.get("dataset", "bundle"))
    for value in (name, version):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
            raise InputError(
                "bundle-name", f"name or version {value!r}", "letters, digits, dots, dashes", "set --name and --version"
            )
    if Path(out).exists() and not replace and (not Path(out).is_dir() or any(Path(out).iterdir())):
        raise InputError("output-exists", f"{out} exists already", "a new folder", "choose another --out or --replace")
    spec, classes = run.feature_spec, len(run.labels)
    files = {"locator.onnx": export_locator(run.locator, spec.dim)}
    if run.center is not None:
        files["center.onnx"] = export_center(run.center, spec.dim, classes)
    parity = check_parity(run, files["locator.onnx"], files.get("center.onnx"))
    files["parity.json"] = (json.dumps(parity, indent=1) + "\n").encode()
    left, right = run.locator.receptive_field
    bundle_id = write_bundle(
        out,
        name=name,
        version=version,
        labels=run.labels,
        features=spec,
        locator=Graph(file="locator.onnx", left=left, right=right),
        center=Graph(file="center.onnx") if run.center is not None else None,
        post=run.post,
        files=files,
        precision={"fp32": {"parity": parity["worst"]}},
        provenance={**run.provenance, "exporter": __version__},
        replace=replace,
    )
    return bundle_id, float(parity["worst"])
