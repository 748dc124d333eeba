"""The bundle: what training learned, in a form that can be trusted. `manifest.json` is the only entry."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from ._text import short
from .config import FeatureSpec, FileRecord, Graph, PostProcess, _Model
from .errors import InputError
from .precision import REFERENCE, Part, Precisions
from .video.spec import BackboneSpec

SCHEMA_MAJOR = 1
MANIFEST = "manifest.json"
SHIPPED = "default"  # the name of the bundle that comes with the package
LARGEST = 2 << 30  # bytes; a zip that unpacks to more is refused before it is read


class Manifest(_Model):
    """`manifest.json`. Unknown keys of the same major schema are ignored; a newer major is refused."""

    schema_version: str = Field(default="1.0", alias="schema")
    name: str
    version: str
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

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value) or any(not label.strip() for label in value):
            raise ValueError("labels must be distinct and not empty")
        return value

    @field_validator("files")
    @classmethod
    def _files(cls, value: dict[str, FileRecord]) -> dict[str, FileRecord]:
        for name in value:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or name == MANIFEST:
                raise ValueError(f"file name {name!r} leaves the bundle")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Manifest:
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


@dataclass(frozen=True, slots=True, repr=False)
class Bundle:
    """A verified bundle: its manifest, and the bytes of its files as they were when checked."""

    manifest: Manifest
    source: str
    content: dict[str, bytes]

    def __repr__(self) -> str:
        return f"Bundle(id={self.id!r}, source={self.source!r})"

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def labels(self) -> tuple[str, ...]:
        return self.manifest.labels

    def read(self, name: str) -> bytes:
        """Bytes of one listed file."""
        if name not in self.content:
            raise InputError(
                "bundle-file-unlisted",
                f"{self.source} lists no file {name!r}",
                ", ".join(sorted(self.content)),
                "export the bundle again",
            )
        return self.content[name]

    def graph(self, part: Part, precision: str = REFERENCE) -> bytes:
        """The ONNX graph of one part in one precision; a part that the variant leaves out is the fp32 one.

        Raises InputError for a precision or a part that the bundle does not have.
        """
        owner = getattr(self.manifest, part, None) if part in ("locator", "center", "backbone") else None
        if owner is None:
            held = [name for name in ("locator", "center", "backbone") if getattr(self.manifest, name) is not None]
            raise InputError(
                "bundle-part", f"{self.source} has no {part}", ", ".join(held), "export the run again with this part"
            )
        self.check_precision(precision)
        variant = self.manifest.precision.get(precision)
        return self.read(variant.files.get(part, owner.file) if variant else owner.file)

    def check_precision(self, precision: str) -> None:
        """Raises InputError, naming what the bundle has, for a precision that it does not have."""
        if precision not in self.manifest.precisions:
            raise InputError(
                "precision-missing",
                f"{self.source} has no precision {precision!r}",
                ", ".join(self.manifest.precisions),
                f"add it with `punctum quantize {self.source} DATASET --out NEW --precision {precision}`",
            )

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read and verify a folder or a zip of the same layout; "default" is the bundle that ships with punctum.

        Every listed file is read once and checked against its size and sha256; what runs is what was checked.
        Files the manifest does not list are never read. Raises InputError naming what is missing or different.
        """
        path = Path(path)
        if str(path) == SHIPPED and not path.exists():
            with resources.as_file(resources.files("punctum.runtime") / "assets" / SHIPPED) as folder:
                return cls.load(folder)
        if path.is_dir():
            return cls._verify(str(path), _FolderReader(path))
        if path.is_file() and zipfile.is_zipfile(path):
            try:
                with zipfile.ZipFile(path) as archive:
                    return cls._verify(str(path), _ZipReader(archive))
            except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError) as error:
                raise InputError(
                    "bundle-unreadable", f"{path} is a damaged zip ({error})", "a whole zip", "copy it again"
                ) from None
        given = f"{path} is not a bundle" if path.exists() else f"{path} does not exist"
        raise InputError("bundle-missing", given, "a bundle folder or zip", "check the path or run `punctum export`")

    @classmethod
    def _verify(cls, source: str, reader: _FolderReader | _ZipReader) -> Bundle:
        manifest = _parse(source, reader.read(MANIFEST))
        content: dict[str, bytes] = {}
        for name, record in manifest.files.items():
            data = reader.read(name)
            if len(data) != record.size or hashlib.sha256(data).hexdigest() != record.sha256:
                raise InputError(
                    "bundle-file-changed",
                    f"{name} in {source} is not the file that was exported (size or sha256 differs)",
                    "the files as exported",
                    "copy or export the bundle again",
                )
            content[name] = data
        for part in (manifest.locator, manifest.center, manifest.backbone):
            if part is not None and part.file not in content:
                raise InputError(
                    "bundle-file-unlisted",
                    f"{source} names graph {part.file!r} but lists no such file",
                    "a listed file",
                    "export again",
                )
        expected = content_id(manifest.name, manifest.version, manifest.files, identified(manifest))
        if manifest.id != expected:
            raise InputError(
                "bundle-id-differs",
                f"{source} says id {manifest.id} but its content gives {expected}",
                "an unchanged manifest",
                "export the bundle again",
            )
        return cls(manifest, source, content)


def _parse(source: str, data: bytes) -> Manifest:
    try:
        record = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            "bundle-manifest-unreadable",
            f"{MANIFEST} in {source} is not JSON ({error})",
            "JSON",
            "export the bundle again",
        ) from None
    schema = str(record.get("schema", "")) if isinstance(record, dict) else ""
    major = schema.split(".")[0]
    if not major.isdigit() or int(major) != SCHEMA_MAJOR:
        raise InputError(
            "bundle-schema",
            f"{source} has bundle schema {schema!r}",
            f"{SCHEMA_MAJOR}.x",
            "update punctum, or export with a matching version",
        )
    try:
        return Manifest.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            "bundle-manifest-invalid",
            f"{MANIFEST} in {source}: {where}: {first['msg']}",
            "a manifest as exported",
            "export again",
        ) from None


class _FolderReader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def read(self, name: str) -> bytes:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            raise InputError(
                "bundle-path", f"{name} leads outside the bundle", "files inside the folder", "export the bundle again"
            )
        if not path.is_file():
            raise InputError(
                "bundle-file-missing",
                f"{self._folder} has no {name}",
                "all files that were exported",
                "copy or export the bundle again",
            )
        return path.read_bytes()


class _ZipReader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        if sum(info.file_size for info in archive.infolist()) > LARGEST:
            raise InputError(
                "bundle-too-large", "a zip that unpacks to more than 2 GiB", "at most 2 GiB", "use a folder"
            )

    def read(self, name: str) -> bytes:
        try:
            with self._archive.open(name) as stream:
                return io.BytesIO(stream.read()).getvalue()
        except KeyError:
            raise InputError(
                "bundle-file-missing",
                f"{self._archive.filename} has no {name}",
                "all files that were exported",
                "copy or export the bundle again",
            ) from None
