"""Load and verify bundles. `manifest.json` is the only entry point."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
from dataclasses import dataclass
from importlib import resources
from os import PathLike
from pathlib import Path

from ..arguments import check_text, check_type
from ..errors import InputError
from ..text.display import shown
from . import limits
from .errors import changed_file, not_a_bundle, unlisted_file, unreadable
from .files import BundleFiles, FolderFiles, ZipFiles
from .graph_scan import check_graph
from .graphs import BundleGraphs, PartGraph
from .manifest import MANIFEST, Manifest, content_id, identified, parse_manifest
from .precision import REFERENCE, Part

SHIPPED = "default"  # the bundle that ships with the package
MAX_ZIP_BYTES = limits.FILE_BYTES  # a zip that unpacks to more is rejected before it is read
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class Bundle:
    """A verified bundle: its manifest, and the content of its files as it was verified.

    Attributes:
        manifest: What `manifest.json` contains.
        source: Where the bundle was read from, for messages.
        content: File name -> content.
        sha256: SHA-256 of `manifest.json`. The manifest lists the SHA-256 of every other file, so this digest covers
            the whole bundle with its provenance; `id` covers what decides the results.

    Example:
        >>> from punctum.runtime import Bundle
        >>> Bundle.load("default").manifest.name
        'default'
    """

    manifest: Manifest
    source: str
    content: dict[str, bytes]
    sha256: str = ""

    def __repr__(self) -> str:
        return f"Bundle(id={self.id!r}, source={self.source!r}, sha256={self.sha256!r})"

    @property
    def id(self) -> str:
        """Name, version and a hash of everything that decides the results."""
        return self.manifest.id

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the graphs' outputs."""
        return self.manifest.labels

    def read(self, name: str) -> bytes:
        """Content of one listed file. Raises InputError for any other name."""
        if name not in self.content:
            raise unlisted_file(f"{self.source} lists no file {name!r}")
        return self.content[name]

    def graphs(self, precision: str = REFERENCE) -> BundleGraphs:
        """All graphs in one precision; parts that the variant does not contain are the fp32 ones.

        Raises:
            InputError: The bundle does not have this precision.
        """
        self.check_precision(precision)
        manifest, spec = self.manifest, self.manifest.backbone
        variant = manifest.precision.get(precision)
        if spec is not None and variant is not None and "backbone" in variant.files:
            # Other precisions round differently, so a variant has a fingerprint of its own.
            spec = spec.model_copy(update={"fingerprint": variant.fingerprint})
        return BundleGraphs(
            bundle_id=self.id,
            source=self.source,
            precision=precision,
            classes=len(self.labels),
            dim=manifest.features.dim,
            receptive_field=(manifest.locator.left, manifest.locator.right),
            locator=self._part("locator", manifest.locator.file, precision),
            center=None if manifest.center is None else self._part("center", manifest.center.file, precision),
            backbone=None if spec is None else self._part("backbone", spec.file, precision),
            backbone_spec=spec,
        )

    def graph(self, part: Part, precision: str = REFERENCE) -> bytes:
        """The ONNX file of one part in one precision; fp32 for a part that the variant does not contain.

        Raises:
            InputError: The bundle does not have this precision, or no such part.
        """
        graphs = self.graphs(precision)
        wanted = next((graph for graph in graphs if graph.part == part), None)
        if wanted is None:
            present = ", ".join(graph.part for graph in graphs)
            raise InputError(
                "bundle-part", f"{self.source} has no {part}", present, "export the run again with this part"
            )
        return wanted.data

    def _part(self, part: Part, file: str, precision: str) -> PartGraph:
        variant = self.manifest.precision.get(precision)
        if variant is None or part not in variant.files:
            return PartGraph(part, file, REFERENCE, self.read(file))
        return PartGraph(part, file, precision, self.read(variant.files[part]))

    def check_precision(self, precision: str) -> None:
        """Raise InputError for a precision that the bundle does not have. The message lists those that it has."""
        if precision not in self.manifest.precisions:
            raise InputError(
                "precision-missing",
                f"{self.source} has no precision {shown(repr(precision), 80)}",
                ", ".join(self.manifest.precisions),
                "choose one of these, or add fp16, int8 or int8-trt with `punctum quantize`",
            )

    @classmethod
    def load(cls, path: str | Path, *, expect_sha256: str | None = None) -> Bundle:
        """Read and verify a bundle.

        Every listed file is read once and checked against its size and SHA-256; what runs is what was checked. Files
        that the manifest does not list are never read, and graphs that refer to other files are rejected.

        Args:
            path: A folder, or a zip of the same layout; "default" is the bundle that ships with punctum.
            expect_sha256: The digest that the bundle must have, from a source that you trust. Without it, a bundle is
                known to be undamaged, but not where it comes from.

        Raises:
            InputError: A file is missing, damaged or not as exported, or the digest differs.
        """
        check_type("path", path, (str, PathLike), "a path")
        check_text("expect_sha256", expect_sha256, optional=True)
        wanted = None if expect_sha256 is None else parse_digest(expect_sha256)
        path = Path(path)
        source = shown(path, 500)
        try:
            if str(path) == SHIPPED and not path.exists():
                with resources.as_file(resources.files("punctum.runtime") / "assets" / SHIPPED) as folder:
                    return cls._verify(str(folder), FolderFiles(folder), wanted)
            if path.is_dir():
                if not (path / MANIFEST).exists() and (path / "bundle" / MANIFEST).is_file():  # a run of training
                    raise not_a_bundle(source, f"use {shown(path / 'bundle', 500)}")
                return cls._verify(source, FolderFiles(path), wanted)
            if path.is_file() and zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    return cls._verify(source, ZipFiles(archive, source, MAX_ZIP_BYTES), wanted)
            problem = f"{source} is not a bundle" if path.exists() else f"{source} does not exist"
        except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, struct.error) as error:
            raise unreadable(f"{source} is a damaged zip ({shown(error)})", next_step="copy it again") from None
        except (OSError, ValueError) as error:  # an impossible file name, a folder without permission
            raise unreadable(f"Cannot read {source} ({shown(error)})", next_step="check the path") from None
        raise InputError(
            "bundle-missing",
            problem,
            required="a bundle folder or zip",
            next_step="check the path or run `punctum export`",
        )

    @classmethod
    def _verify(cls, source: str, files: BundleFiles, wanted: str | None) -> Bundle:
        try:
            text = files.read(MANIFEST, limits.MANIFEST_BYTES)
        except InputError as error:
            if error.code != "bundle-file-missing":
                raise
            raise not_a_bundle(source) from None
        digest = hashlib.sha256(text).hexdigest()
        if wanted is not None and digest != wanted:
            raise InputError(
                "bundle-digest-differs",
                f"{source} has SHA-256 {digest}",
                required=f"{wanted}, the value of `expect_sha256`",
                next_step="do not run it unless you know why it differs; get the bundle again from its source",
            )
        manifest = parse_manifest(source, text)
        content: dict[str, bytes] = {}
        for name, record in manifest.files.items():
            data = files.read(name, record.size)
            if len(data) != record.size or hashlib.sha256(data).hexdigest() != record.sha256:
                raise changed_file(f"{name} in {source} is not the file that was exported (size or SHA-256 differs)")
            content[name] = data
        for name in manifest.graph_files:
            if name not in content:
                raise unlisted_file(f"{source} names graph {shown(name)!r} but lists no such file")
            check_graph(content[name], f"{name} in {source}", opening=False)
        expected = content_id(manifest.name, manifest.version, manifest.files, identified(manifest))
        if manifest.id != expected:
            raise InputError(
                "bundle-id-differs",
                f"The manifest of {source} was changed: its id is {shown(manifest.id)}, its content gives {expected}",
                next_step="export the bundle again",
            )
        return cls(manifest, source, content, digest)


def parse_digest(text: str) -> str:
    """The 64 hexadecimal digits of a digest, which may begin with "sha256:". Raises InputError."""
    match = _DIGEST.fullmatch(text.strip())
    if match is None:
        raise InputError(
            "bundle-digest",
            f"{shown(text, 80)!r} is not a SHA-256 digest",
            required="the 64 hexadecimal digits that `punctum doctor BUNDLE` and `punctum export` print",
            next_step="correct `expect_sha256`",
        )
    return match[1].lower()
