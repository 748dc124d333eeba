"""Write a bundle: all files and the manifest appear at once, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import atomic_folder
from .backbone_spec import BackboneSpec
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
    source: str = "",
) -> Bundle:
    """A bundle in memory. `files` maps relative names to their content; source: for messages.

    Raises pydantic's ValidationError for what no manifest may say (`bundle.invalid_manifest` makes an InputError of
    it), and InputError for graphs that refer to other files.
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
        files=_records(files),
        precision=dict(precision),
        provenance=provenance,
    )
    return seal_bundle(draft, files, source)


def write_bundle(path: str | Path, *, replace: bool = False, **parts: Any) -> str:
    """Write the folder atomically and return the bundle id. parts: those of `assemble_bundle`."""
    return save_bundle(assemble_bundle(**parts), path, replace=replace)


def seal_bundle(draft: Manifest, files: Mapping[str, bytes], source: str = "") -> Bundle:
    """The draft with the hashes of `files` and the id and digest that follow from them. Raises InputError for graphs
    that refer to other files."""
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
    """`manifest.json` as it is written: its sha256 is the bundle's."""
    record = manifest.model_dump(mode="json", by_alias=True, exclude=None if manifest.backbone else {"backbone"})
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def save_bundle(bundle: Bundle, path: str | Path, *, replace: bool = False) -> str:
    """Write a bundle as a folder, whole or not at all, and return its id. Raises InputError for an existing folder,
    and with `replace` for one that holds anything else than a bundle."""
    with atomic_folder(path, replace=replace, own=_is_bundle) as folder:
        for key, data in bundle.content.items():
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (folder / MANIFEST).write_bytes(manifest_text(bundle.manifest))
    return bundle.id


def _is_bundle(folder: Path) -> bool:
    """Whether a folder holds what its manifest lists and nothing else."""
    try:
        listed = set(json.loads((folder / MANIFEST).read_bytes())["files"]) | {MANIFEST}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return all(p.is_dir() or p.relative_to(folder).as_posix() in listed for p in folder.rglob("*"))


def _records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    return {key: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for key, data in files.items()}
