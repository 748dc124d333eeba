"""The graphs of a bundle in one precision: everything that opening an engine needs, read once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ..datatypes import compact
from .backbone_spec import BackboneSpec
from .precision import REFERENCE, Part


@compact
@dataclass(frozen=True, slots=True, repr=False)
class PartGraph:
    """The ONNX graph of one part.

    Attributes:
        part: "locator", "center" or "backbone".
        file: The file of the fp32 graph, as the manifest names it; used in messages.
        precision: The precision of this graph: "fp32" for a part that the variant does not contain.
        data: The ONNX file.
    """

    part: Part
    file: str
    precision: str
    data: bytes

    @property
    def name(self) -> str:
        """The graph in messages: "locator.onnx", "locator.onnx in int8"."""
        return self.file if self.precision == REFERENCE else f"{self.file} in {self.precision}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@compact
@dataclass(frozen=True, slots=True, repr=False)
class BundleGraphs:
    """All graphs of a bundle in one precision, with what an engine checks them against.

    Attributes:
        bundle_id: The id of the bundle.
        source: Where the bundle was read from, for messages.
        precision: The variant that was requested.
        classes: Number of classes C.
        dim: Feature dimension D.
        receptive_field: Snippets that the locator sees to the left and to the right of a snippet.
        locator: The locator's graph.
        center: The scorer's graph; None for a bundle without one.
        backbone: The backbone's graph; None for a bundle without one.
        backbone_spec: What the backbone expects, with the fingerprint recorded for this precision.
    """

    bundle_id: str
    source: str
    precision: str
    classes: int
    dim: int
    receptive_field: tuple[int, int]
    locator: PartGraph
    center: PartGraph | None = None
    backbone: PartGraph | None = None
    backbone_spec: BackboneSpec | None = None

    def __iter__(self) -> Iterator[PartGraph]:
        """The graphs that are present: locator, center, backbone."""
        return (graph for graph in (self.locator, self.center, self.backbone) if graph is not None)
