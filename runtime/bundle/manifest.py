"""The manifest of a bundle: `manifest.json`, validated once, when the bundle is loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from ..errors import InputError
from ..text.display import is_plain, short, shown
from ..text.strict_json import parse_json
from . import limits
from .backbone_spec import BackboneSpec
from .config import FeatureSpec, FileRecord, Graph, Model, PostProcess
from .precision import REFERENCE, Precisions

SCHEMA_MAJOR = 1
MANIFEST = "manifest.json"
_WHITESPACE = {ord(c): " " for c in "\t\r\n"}  # harmless in a label: whoever prints on one line spells it out


class Manifest(Model):
    """`manifest.json`. Unknown keys of the same major schema are ignored; a newer major is refused."""

    schema_version: str = Field(default="1.0", alias="schema", max_length=limits.NAME_CHARACTERS)
    name: str = Field(max_length=limits.NAME_CHARACTERS)
    version: str = Field(max_length=limits.NAME_CHARACTERS)
    id: str
    labels: tuple[str, ...]
    features: FeatureSpec
    locator: Graph
    center: Graph | None = None
    backbone: BackboneSpec | None = None
    """With it the bundle takes video, not features alone."""
    post: PostProcess
    files: dict[str, FileRecord]
    precision: Precisions = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        """What `--precision` can be: fp32, then the variants by name."""
        return (REFERENCE, *sorted(name for name in self.precision if name != REFERENCE))

    @field_validator("name", "version")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip() or "/" in value or not is_plain(value):
            raise ValueError(f'"{shown(value, 60)}" is empty or holds slashes or control characters')
        return value

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value) or any(not label.strip() for label in value):
            raise ValueError("labels must be distinct and not empty")
        if len(value) > limits.LABELS:
            raise ValueError(f"{len(value):,} labels, at most {limits.LABELS:,} are allowed")
        for label in value:
            if len(label) > limits.LABEL_CHARACTERS:
                raise ValueError(f"a label of {len(label):,} characters, at most {limits.LABEL_CHARACTERS} are allowed")
            if not is_plain(label.translate(_WHITESPACE)):
                raise ValueError(f'label "{shown(label, 60)}" holds control characters or text of no valid encoding')
        return value

    @field_validator("files")
    @classmethod
    def _files(cls, value: dict[str, FileRecord]) -> dict[str, FileRecord]:
        if len(value) > limits.FILES:
            raise ValueError(f"{len(value):,} files, at most {limits.FILES:,} are allowed")
        if sum(record.size for record in value.values()) > limits.BUNDLE_BYTES:
            raise ValueError(f"files of more than {limits.BUNDLE_BYTES >> 30} GiB together")
        for name in value:
            if len(name) > limits.PATH_CHARACTERS or not is_plain(name):
                raise ValueError(f'file name "{shown(name, 60)}" is too long or holds control characters')
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) in (MANIFEST, "."):
                raise ValueError(f"file name {name!r} leaves the bundle")
            if any(len(part.encode()) > limits.PART_BYTES for part in path.parts):
                raise ValueError(f'file name "{shown(name, 60)}" is too long')
        return value

    @model_validator(mode="after")
    def _fits(self) -> Manifest:
        self._check_window()
        if self.backbone is not None and not self.backbone.fits_stride(self.features.stride_s):
            raise ValueError(
                f"the backbone gives a row every {short(self.backbone.stride_s)} s, the locator takes one every "
                f"{short(self.features.stride_s)} s"
            )
        for name, record in self.precision.items():
            for part, file in record.files.items():
                if getattr(self, part) is None:
                    raise ValueError(f"precision {name!r} names a {part}, and the bundle has none")
                if file not in self.files:
                    raise ValueError(f"precision {name!r} names {file!r}, which is not listed under files")
        return self

    def _check_window(self) -> None:
        """What a session may have to keep at a time. The fields alone are bounded; here their sum and product are."""
        seconds = 2 * self.post.right_context_s + self.post.max_island_s
        window = self.locator.left + self.locator.right + seconds / self.features.stride_s
        if window > limits.WINDOW or window * self.features.dim > limits.WINDOW_VALUES:
            raise ValueError(
                f"left + right, twice right_context_s and max_island_s are {window:,.0f} snippets of "
                f"{self.features.dim:,} features; at most {limits.WINDOW:,} snippets and {limits.WINDOW_VALUES:,} "
                "values are allowed"
            )

    @property
    def graph_files(self) -> tuple[str, ...]:
        """Files that an engine may be given: the graphs and their variants, each once."""
        parts = (self.locator, self.center, self.backbone)
        own = [part.file for part in parts if part is not None]
        return tuple(dict.fromkeys([*own, *(f for r in self.precision.values() for f in r.files.values())]))


def content_id(name: str, version: str, files: dict[str, FileRecord], rest: dict[str, Any]) -> str:
    """name-version-hash, the hash over every file's hash and everything else the manifest says."""
    text = json.dumps({"files": {k: v.sha256 for k, v in sorted(files.items())}, **rest}, sort_keys=True)
    return f"{name}-{version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def identified(manifest: Manifest) -> dict[str, Any]:
    """The parts of a manifest that its id covers, besides the files.

    A backbone and precision variants count where there are any: a bundle without them keeps the id it had before
    they existed.
    """
    parts = {"labels", "features", "locator", "center", "post"}
    if manifest.backbone is not None:
        parts.add("backbone")
    if manifest.precisions != (REFERENCE,):
        parts.add("precision")
    return manifest.model_dump(mode="json", include=parts)


def parse_manifest(source: str, data: bytes) -> Manifest:
    """The manifest in the bytes of `manifest.json`. Raises InputError naming what is wrong with it."""
    try:
        record = parse_json(data)
    except ValueError as error:
        raise InputError(
            "bundle-manifest-unreadable",
            f"{MANIFEST} in {source} is not JSON ({error})",
            "JSON",
            "export the bundle again",
        ) from None
    schema = record.get("schema", "") if isinstance(record, dict) else ""
    if not isinstance(schema, str) or schema.split(".")[0] != str(SCHEMA_MAJOR):
        raise InputError(
            "bundle-schema",
            f'{source} has bundle schema "{shown(schema, 40)}"',
            f"{SCHEMA_MAJOR}.x",
            "update punctum, or export with a matching version",
        )
    try:
        manifest = Manifest.model_validate(record)
    except ValidationError as error:
        raise invalid_manifest(source, error) from None
    wrong = _converted(record, manifest.model_dump(mode="json", by_alias=True), "")
    if wrong:
        raise InputError(
            "bundle-manifest-invalid",
            f"{MANIFEST} in {source}: {shown(wrong, 120)} is of the wrong type",
            "numbers as numbers, text as text, true or false as such",
            "export again",
        )
    return manifest


def _converted(given: Any, read: Any, where: str) -> str:
    """The first value that was converted to another type on the way in, as "0.1" to 0.1, or "". Other readers of the
    same manifest, such as the native library, convert nothing, and must not come to another result."""
    if isinstance(given, dict) and isinstance(read, dict):
        pairs = [(given[key], read[key], f"{where}.{key}") for key in given if key in read]
    elif isinstance(given, list) and isinstance(read, list):
        pairs = [(a, b, f"{where}.{k}") for k, (a, b) in enumerate(zip(given, read, strict=False))]
    else:
        numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (given, read)]
        scalars = isinstance(given, str | int | float) and isinstance(read, str | int | float)
        return where.lstrip(".") if scalars and not all(numbers) and type(given) is not type(read) else ""
    return next((found for a, b, place in pairs if (found := _converted(a, b, place))), "")


def invalid_manifest(source: str, error: ValidationError) -> InputError:
    """What is wrong with a manifest, as the first of pydantic's findings has it."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    said = str(first["msg"]).removeprefix("Value error, ")
    where = shown(".".join(str(part) for part in first["loc"]), 120)
    return InputError(
        "bundle-manifest-invalid",
        f"{MANIFEST} in {source}: {where}{': ' if where else ''}{said}",
        "a manifest as exported",
        "export again",
    )
