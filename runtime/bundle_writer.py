"""Write a bundle: all files and the manifest appear at once, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._files import atomic_folder
from .bundle import MANIFEST, Manifest, content_id, identified
from .config import FeatureSpec, FileRecord, Graph, PostProcess
from .precision import PrecisionRecord
from .video.spec import BackboneSpec


def write_bundle(
    path: str | Path,
    *,
    name: str,
    version: str,
    labels: tuple[str, ...],
    features: FeatureSpec,
    locator: Graph,
    center: Graph | None,
    post: PostProcess,
    files: dict[str, bytes],
    precision: Mapping[str, PrecisionRecord],
    provenance: dict[str, Any],
    backbone: BackboneSpec | None = None,
    replace: bool = False,
) -> str:
    """Write the folder atomically and return the bundle id. `files` maps relative names to their content."""
    records = {key: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for key, data in files.items()}
    draft = Manifest(
        schema="1.0",
        name=name,
        version=version,
        id="",
        labels=labels,
        features=features,
        locator=locator,
        center=center,
        backbone=backbone,
        post=post,
        files=records,
        precision=dict(precision),
        provenance=provenance,
    )
    manifest = draft.model_copy(update={"id": content_id(name, version, records, identified(draft))})
    with atomic_folder(path, replace=replace) as folder:
        for key, data in files.items():
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        record = manifest.model_dump(mode="json", by_alias=True, exclude=None if backbone else {"backbone"})
        text = json.dumps(record, indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n")
    return manifest.id
