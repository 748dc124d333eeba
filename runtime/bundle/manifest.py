"""The manifest of a bundle: `manifest.json`, validated once when the bundle is loaded."""

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
from .calibration import FOOTAGE, Calibration
from .config import FeatureSpec, FileRecord, Graph, Model, PostProcess
from .errors import invalid_field
from .precision import REFERENCE, Precisions

SCHEMA_MAJOR = 1
MANIFEST = "manifest.json"
_WHITESPACE = {ord(c): " " for c in "\t\r\n"}  # allowed in a label; it is escaped where labels are printed


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
    """With a backbone the bundle takes video as well as features."""
    post: PostProcess
    calibration: Calibration | None = None
    """Without it, scores rank events, but are not probabilities."""
    files: dict[str, FileRecord]
    precision: Precisions = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions of the bundle: fp32, then the variants by name."""
        return (REFERENCE, *sorted(name for name in self.precision if name != REFERENCE))

    @field_validator("name", "version")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip() or "/" in value or not is_plain(value):
            raise ValueError(f'"{shown(value, 60)}" is empty or contains slashes or control characters')
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
                raise ValueError(f'label "{shown(label, 60)}" contains control characters or invalid Unicode')
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
                raise ValueError(f'file name "{shown(name, 60)}" is too long or contains control characters')
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) in (MANIFEST, "."):
                raise ValueError(f"file name {name!r} is outside the bundle")
            if any(len(part.encode()) > limits.PART_BYTES for part in path.parts):
                raise ValueError(f'file name "{shown(name, 60)}" is too long')
        return value

    @model_validator(mode="after")
    def _fits(self) -> Manifest:
        self._check_window()
        if self.calibration is not None:
            classes, reduced = len(self.calibration.classes), len(self.calibration.reduced)
            if classes != len(self.labels) or reduced not in (0, classes):
                raise ValueError(
                    f"calibration has {classes} classes and {reduced} with reduced scoring, but the bundle has "
                    f"{len(self.labels)} labels"
                )
        if self.backbone is not None and not self.backbone.fits_stride(self.features.stride_s):
            raise ValueError(
                f"the backbone gives a row every {short(self.backbone.stride_s)} s, and the locator takes one every "
                f"{short(self.features.stride_s)} s"
            )
        for name, record in self.precision.items():
            for part, file in record.files.items():
                if getattr(self, part) is None:
                    raise ValueError(f"precision {name!r} names a {part}, but the bundle has none")
                if file not in self.files:
                    raise ValueError(f"precision {name!r} names {file!r}, which is not listed under files")
        return self

    def _check_window(self) -> None:
        """Bound the window that a session may have to keep. The fields are bounded; here, sum and product are."""
        seconds = 2 * self.post.right_context_s + self.post.max_island_s
        window = self.locator.left + self.locator.right + seconds / self.features.stride_s
        if window > limits.WINDOW or window * self.features.dim > limits.WINDOW_VALUES:
            raise ValueError(
                f"left + right, twice right_context_s, and max_island_s together are {window:,.0f} snippets of "
                f"{self.features.dim:,} features; at most {limits.WINDOW:,} snippets and {limits.WINDOW_VALUES:,} "
                "values are allowed"
            )

    @property
    def graph_files(self) -> tuple[str, ...]:
        """Files that an engine may load: the graphs and their variants, each once."""
        parts = (self.locator, self.center, self.backbone)
        own = [part.file for part in parts if part is not None]
        return tuple(dict.fromkeys([*own, *(f for r in self.precision.values() for f in r.files.values())]))


def content_id(name: str, version: str, files: dict[str, FileRecord], rest: dict[str, Any]) -> str:
    """The id of a bundle: name-version-hash, with a hash over the hashes of all files and the other fields."""
    text = json.dumps({"files": {k: v.sha256 for k, v in sorted(files.items())}, **rest}, sort_keys=True)
    return f"{name}-{version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def identified(manifest: Manifest) -> dict[str, Any]:
    """The fields of a manifest that its id covers, besides the files.

    Backbone, calibration and precision variants are included only where they exist, so that bundles without them keep
    the id that they had before these fields were introduced. The size of the footage of a calibration changes no event
    and is left out, so that versions that do not know it find the same id.
    The same holds for records of the backbone's parts. The SHA-256 of the bundle covers both.
    """
    parts = {"labels", "features", "locator", "center", "post"}
    if manifest.backbone is not None:
        parts.add("backbone")
    if manifest.calibration is not None:
        parts.add("calibration")
    if manifest.precisions != (REFERENCE,):
        parts.add("precision")
    record = manifest.model_dump(mode="json", include=parts)
    for name in FOOTAGE if manifest.calibration is not None else ():
        record["calibration"].pop(name)
    if manifest.backbone is not None:
        record["backbone"].pop("parts", None)
    return record


def parse_manifest(source: str, data: bytes) -> Manifest:
    """The manifest in the bytes of `manifest.json`.

    Args:
        source: The bundle, for messages.
        data: The file.

    Raises:
        InputError: It is not JSON, has another major schema, or a field is invalid.
    """
    try:
        record = parse_json(data)
    except ValueError as error:
        raise InputError(
            "bundle-manifest-unreadable",
            f"{MANIFEST} in {source} is not JSON ({error})",
            next_step="export the bundle again",
        ) from None
    schema = record.get("schema", "") if isinstance(record, dict) else ""
    if not isinstance(schema, str) or schema.split(".")[0] != str(SCHEMA_MAJOR):
        raise InputError(
            "bundle-schema",
            f'{source} has bundle schema "{shown(schema, 40)}", which this version does not support',
            f"{SCHEMA_MAJOR}.x",
            "update punctum, or export with a matching version",
        )
    try:
        manifest = Manifest.model_validate(record)
    except ValidationError as error:
        raise invalid_manifest(source, error) from None
    wrong = _converted(record, manifest.model_dump(mode="json", by_alias=True), "")
    if wrong:
        raise invalid_field(source, f"{shown(wrong, 120)} has the wrong type")
    return manifest


def _converted(raw: object, read: object, where: str) -> str:
    """The path of the first value that was converted to another type when it was read, as "0.1" to 0.1; or "".

    Other readers of the same manifest, such as the native library, convert nothing and must get the same result.
    """
    if isinstance(raw, dict) and isinstance(read, dict):
        pairs = [(raw[key], read[key], f"{where}.{key}") for key in raw if key in read]
    elif isinstance(raw, list) and isinstance(read, list):
        pairs = [(a, b, f"{where}.{k}") for k, (a, b) in enumerate(zip(raw, read, strict=False))]
    else:
        numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (raw, read)]
        scalars = isinstance(raw, str | int | float) and isinstance(read, str | int | float)
        return where.lstrip(".") if scalars and not all(numbers) and type(raw) is not type(read) else ""
    return next((path for a, b, inner in pairs if (path := _converted(a, b, inner))), "")


def invalid_manifest(source: str, error: ValidationError) -> InputError:
    """The error for the first problem that pydantic reports."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    where = shown(".".join(str(part) for part in first["loc"]), 120)
    return invalid_field(source, f"{where}{': ' if where else ''}{message}")
