"""Backbone folders: a graph, and beside it `backbone.json`, which describes what the graph expects."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from ..bundle.backbone_spec import BackboneSpec
from ..bundle.graph_scan import check_graph
from ..bundle.limits import FILE_BYTES, MANIFEST_BYTES
from ..errors import InputError
from ..files.atomic import atomic_write
from ..text.display import shown
from ..text.json_types import JsonValue
from ..text.strict_json import parse_json

SPEC_FILE = "backbone.json"


def read_backbone(folder: str | Path) -> tuple[BackboneSpec, bytes]:
    """Spec and graph of a backbone folder.

    Raises:
        InputError: A file is missing or invalid, or the graph refers to other files.
    """
    folder = Path(folder)
    spec = read_spec(folder / SPEC_FILE)
    path = folder / spec.file
    if not path.is_file():
        raise InputError(
            "backbone-missing",
            f"{shown(folder)} has no {spec.file}",
            required=f"the graph beside {SPEC_FILE}",
            next_step="copy both files",
        )
    graph = _read(path, FILE_BYTES)
    check_graph(graph, f"{spec.file} in {shown(folder)}", opening=False)
    return spec, graph


def read_shipped() -> tuple[BackboneSpec, bytes]:
    """Spec and graph of the backbone that ships, `motion`."""
    with resources.as_file(resources.files("punctum.runtime") / "assets" / "motion") as folder:
        return read_backbone(folder)


def write_backbone(folder: str | Path, spec: BackboneSpec, graph: bytes) -> None:
    """Write a backbone folder: the graph first, so that a folder with a spec is complete."""
    folder = Path(folder)
    atomic_write(folder / spec.file, graph)
    atomic_write(folder / SPEC_FILE, spec.model_dump_json(indent=1) + "\n")


def read_spec(path: str | Path) -> BackboneSpec:
    """The spec in a JSON file; unknown keys are ignored.

    Raises:
        InputError: The file is missing, or a field is invalid.
    """
    return parse_spec(read_spec_file(path), path)


def read_spec_file(path: str | Path) -> JsonValue:
    """The JSON document of a spec file. Raises InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            "backbone-missing",
            f"{shown(path)} does not exist",
            required=f"a backbone folder with backbone.onnx and {SPEC_FILE}",
            next_step="check the path, or make one with `punctum train-backbone`",
        )
    try:
        return parse_json(_read(path, MANIFEST_BYTES))
    except ValueError as error:
        raise InputError(
            "backbone-spec", f"{shown(path)} is not JSON ({error})", next_step="correct the file"
        ) from None


def parse_spec(record: object, path: str | Path) -> BackboneSpec:
    """The spec in a JSON document.

    Args:
        record: The document.
        path: Where it was read from, for messages.

    Raises:
        InputError: A field is invalid.
    """
    try:
        return BackboneSpec.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = shown(".".join(str(part) for part in first["loc"]) or "spec", 120)
        message = str(first["msg"]).removeprefix("Value error, ")
        raise InputError("backbone-spec", f"{shown(path)}: {where}: {message}", next_step="correct the field") from None


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise InputError(
            "backbone-unreadable",
            f"Cannot read {shown(path)} ({error.strerror or error})",
            required="a file that this user may read",
            next_step="check the permissions",
        ) from None
    if len(data) > limit:
        raise InputError(
            "backbone-unreadable",
            f"{shown(path)} has more than {limit:,} bytes",
            f"at most {limit:,}",
            "check the file",
        )
    return data
