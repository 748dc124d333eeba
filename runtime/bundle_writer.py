"""Write a bundle: all files and the manifest appear at once, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._files import atomic_folder
from .bundle import MANIFEST, Bundle, Manifest, content_id, identified
from .config import FeatureSpec, FileRecord, Graph, PostProcess
from .precision import PrecisionRecord
from .video.spec import BackboneSpec


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
    source: str = "",
) -> Bundle:
    """A bundle in memory. `files` maps relative names to their content; source: for messages."""
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
        files=_records(files),
        precision=dict(precision),
        provenance=provenance,
    )
    return seal_bundle(draft, files, source)


def write_bundle(path: str | Path, *, replace: bool = False, **parts: Any) -> str:
    """Write the folder atomically and return the bundle id. parts: those of `assemble_bundle`."""
    return save_bundle(assemble_bundle(**parts), path, replace=replace)


def seal_bundle(draft: Manifest, files: Mapping[str, bytes], source: str = "") -> Bundle:
    """The draft with the hashes of `files` and the id that follows from them."""
    records = _records(files)
    listed = Manifest.model_validate({**draft.model_dump(by_alias=True), "files": records})
    name = content_id(draft.name, draft.version, records, identified(listed))
    return Bundle(listed.model_copy(update={"id": name}), source or draft.name, dict(files))


def save_bundle(bundle: Bundle, path: str | Path, *, replace: bool = False) -> str:
    """Write a bundle as a folder, whole or not at all, and return its id. Raises InputError for an existing folder,
    and with `replace` for one that holds anything else than a bundle."""
    manifest = bundle.manifest
    with atomic_folder(path, replace=replace, own=_is_bundle) as folder:
        for key, data in bundle.content.items():
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        record = manifest.model_dump(mode="json", by_alias=True, exclude=None if manifest.backbone else {"backbone"})
        text = json.dumps(record, indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n")
    return manifest.id


def _is_bundle(folder: Path) -> bool:
    """Whether a folder holds what its manifest lists and nothing else."""
    try:
        listed = set(json.loads((folder / MANIFEST).read_bytes())["files"]) | {MANIFEST}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return all(p.is_dir() or p.relative_to(folder).as_posix() in listed for p in folder.rglob("*"))


def _records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    return {key: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for key, data in files.items()}
