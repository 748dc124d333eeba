"""The bundle: what training learned, verified when it is read. `manifest.json` is the only entry."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ..errors import InputError
from ..text.display import shown
from . import limits
from .files import BundleFiles, FolderFiles, ZipFiles
from .graph_scan import check_graph
from .graphs import BundleGraphs, PartGraph
from .manifest import MANIFEST, Manifest, content_id, identified, parse_manifest
from .precision import REFERENCE, Part

SHIPPED = "default"  # the name of the bundle that comes with the package
LARGEST = limits.FILE_BYTES  # a zip that unpacks to more is refused before it is read
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class Bundle:
    """A verified bundle: its manifest, and the bytes of its files as they were when checked.

    sha256: of `manifest.json`, byte by byte. Since the manifest lists the sha256 of every other file, this one covers
    everything in the bundle, provenance included; `id` covers what decides the results.
    """

    manifest: Manifest
    source: str
    content: dict[str, bytes]
    sha256: str = ""

    def __repr__(self) -> str:
        return f"Bundle(id={self.id!r}, source={self.source!r}, sha256={self.sha256!r})"

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
        """Raises InputError, naming what the bundle has, for a precision that it does not have."""
        if precision not in self.manifest.precisions:
            raise InputError(
                "precision-missing",
                f"{self.source} has no precision {precision!r}",
                ", ".join(self.manifest.precisions),
                f"add it with `punctum quantize {self.source} DATASET --out NEW --precision {precision}`",
            )

    @classmethod
    def load(cls, path: str | Path, *, expect_sha256: str | None = None) -> Bundle:
        """Read and verify a folder or a zip of the same layout; "default" is the bundle that ships with punctum.

        Every listed file is read once and checked against its size and sha256; what runs is what was checked.
        Files the manifest does not list are never read, and graphs that refer to other files are refused.
        expect_sha256: the digest that the bundle must have, from whoever vouches for it; without it a bundle is known
        to be undamaged, not to come from anyone in particular. Raises InputError naming what is missing or different.
        """
        wanted = None if expect_sha256 is None else parse_digest(expect_sha256)
        path = Path(path)
        source = shown(path, 500)
        try:
            if str(path) == SHIPPED and not path.exists():
                with resources.as_file(resources.files("punctum.runtime") / "assets" / SHIPPED) as folder:
                    return cls._verify(str(folder), FolderFiles(folder), wanted)
            if path.is_dir():
                return cls._verify(source, FolderFiles(path), wanted)
            if path.is_file() and zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    return cls._verify(source, ZipFiles(archive, source, LARGEST), wanted)
            given = f"{source} is not a bundle" if path.exists() else f"{source} does not exist"
        except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, struct.error) as error:
            raise InputError(
                "bundle-unreadable", f"{source} is a damaged zip ({shown(error)})", "a whole zip", "copy it again"
            ) from None
        except (OSError, ValueError) as error:  # a name that no file can have, a folder that may not be entered
            raise InputError(
                "bundle-unreadable",
                f"cannot read {source} ({shown(error)})",
                "a bundle folder or zip",
                "check the path",
            ) from None
        raise InputError("bundle-missing", given, "a bundle folder or zip", "check the path or run `punctum export`")

    @classmethod
    def _verify(cls, source: str, files: BundleFiles, wanted: str | None) -> Bundle:
        text = files.read(MANIFEST, limits.MANIFEST_BYTES)
        found = hashlib.sha256(text).hexdigest()
        if wanted is not None and found != wanted:
            raise InputError(
                "bundle-digest-differs",
                f"{source} has sha256 {found}",
                f"{wanted}, which was asked for (--expect-sha256)",
                "do not run it unless you know why it differs; get the bundle again from its source",
            )
        manifest = parse_manifest(source, text)
        content: dict[str, bytes] = {}
        for name, record in manifest.files.items():
            data = files.read(name, record.size)
            if len(data) != record.size or hashlib.sha256(data).hexdigest() != record.sha256:
                raise InputError(
                    "bundle-file-changed",
                    f"{name} in {source} is not the file that was exported (size or sha256 differs)",
                    "the files as exported",
                    "copy or export the bundle again",
                )
            content[name] = data
        for name in manifest.graph_files:
            if name not in content:
                raise InputError(
                    "bundle-file-unlisted",
                    f"{source} names graph {shown(name)!r} but lists no such file",
                    "a listed file",
                    "export again",
                )
            check_graph(content[name], f"{name} in {source}", opening=False)
        expected = content_id(manifest.name, manifest.version, manifest.files, identified(manifest))
        if manifest.id != expected:
            raise InputError(
                "bundle-id-differs",
                f"{source} says id {shown(manifest.id)} but its content gives {expected}",
                "an unchanged manifest",
                "export the bundle again",
            )
        return cls(manifest, source, content, found)


def parse_digest(text: str) -> str:
    """64 hexadecimal digits, with or without "sha256:" before them. Raises InputError."""
    match = _DIGEST.fullmatch(text.strip())
    if match is None:
        raise InputError(
            "bundle-digest",
            f"--expect-sha256 {shown(text, 80)!r}",
            "the 64 hexadecimal digits that `punctum doctor BUNDLE` and `punctum export` print",
            "give all of them",
        )
    return match[1].lower()
