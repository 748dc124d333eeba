"""Write a bundle: all files and the manifest appear together, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import atomic_folder
from .backbone_spec import BackboneSpec
from .calibration import FOOTAGE, Calibration
from .config import FeatureSpec, FileRecord, Graph, PostProcess
from .graph_scan import check_graph
from .manifest import MANIFEST, Manifest, content_id, identified
from .precision import PrecisionRecord
from .reader import Bundle


def assemble_bundle(
    *,
    name: str,
    version: str,
    labels: tuple[str, ...],
    features: FeatureSpec,
    locator: Graph,
    center: Graph | None,
    post: PostProcess,
    files: Mapping[str, bytes],
    precision: Mapping[str, PrecisionRecord],
    provenance: dict[str, Any],
    backbone: BackboneSpec | None = None,
    calibration: Calibration | None = None,
    source: str = "",
) -> Bundle:
    """A bundle in memory.

    Args:
        name: Name of the bundle.
        version: Its version.
        labels: The classes.
        features: What the features are.
        locator: The locator's graph.
        center: The scorer's graph.
        post: Post-processing.
        files: Relative file name -> content.
        precision: Variants by name.
        provenance: How the bundle was made.
        backbone: What the backbone expects, for a bundle that takes video.
        calibration: From raw scores to probabilities.
        source: The bundle, for messages.

    Raises:
        pydantic.ValidationError: A field is invalid; `manifest.invalid_manifest` turns it into an InputError.
        InputError: A graph refers to other files.
    """
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
        calibration=calibration,
        files=_records(files),
        precision=dict(precision),
        provenance=provenance,
    )
    return seal_bundle(draft, files, source)


def write_bundle(path: str | Path, *, replace: bool = False, **parts: Any) -> str:
    """Assemble a bundle from the arguments of `assemble_bundle` and write it. Returns its id."""
    return save_bundle(assemble_bundle(**parts), path, replace=replace)


def seal_bundle(draft: Manifest, files: Mapping[str, bytes], source: str = "") -> Bundle:
    """A bundle from a draft of its manifest: hashes, id and digest are computed from the files.

    Raises:
        InputError: A graph refers to other files.
    """
    records = _records(files)
    listed = Manifest.model_validate({**draft.model_dump(by_alias=True), "files": records})
    for file in listed.graph_files:
        if file in files:
            check_graph(files[file], f"{file} of {source or draft.name}", opening=False)
    name = content_id(draft.name, draft.version, records, identified(listed))
    sealed = listed.model_copy(update={"id": name})
    digest = hashlib.sha256(manifest_text(sealed)).hexdigest()
    return Bundle(sealed, source or draft.name, dict(files), digest)


def manifest_text(manifest: Manifest) -> bytes:
    """`manifest.json` as it is written. Its SHA-256 is that of the bundle."""
    absent = {name for name in ("backbone", "calibration") if getattr(manifest, name) is None}
    record = manifest.model_dump(mode="json", by_alias=True, exclude=absent)
    for name in FOOTAGE:
        if manifest.calibration is not None and getattr(manifest.calibration, name) is None:
            record["calibration"].pop(name)
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def save_bundle(bundle: Bundle, path: str | Path, *, replace: bool = False) -> str:
    """Write a bundle as a folder, atomically. Returns its id.

    Raises:
        InputError: The folder exists; with `replace`: it contains anything but a bundle.
    """
    with atomic_folder(path, replace=replace, own=is_bundle_folder) as folder:
        for key, data in bundle.content.items():
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (folder / MANIFEST).write_bytes(manifest_text(bundle.manifest))
    return bundle.id


def is_bundle_folder(folder: Path) -> bool:
    """Whether a folder contains the files that its manifest lists and nothing else."""
    try:
        listed = set(json.loads((folder / MANIFEST).read_bytes())["files"]) | {MANIFEST}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return all(p.is_dir() or p.relative_to(folder).as_posix() in listed for p in folder.rglob("*"))


def _records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    return {key: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for key, data in files.items()}
