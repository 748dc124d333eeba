"""The exporter that training on videos is given: backbones and bundles as ONNX graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ._libraries import check_installed

if TYPE_CHECKING:
    from punctum.runtime.bundle.backbone_spec import BackboneSpec
    from punctum.training import Run
    from torch import nn


class OnnxExporter:
    """Implements `punctum.training.videos.Exporter`. Imports torch and onnx when a method is called."""

    def check_installed(self, purpose: str) -> None:
        """Raise MissingDependencyError for the first library of the extra `export` that is not installed."""
        check_installed(purpose)

    def backbone_files(self, module: nn.Module, spec: BackboneSpec) -> dict[str, bytes]:
        """The graph and the spec of a backbone folder; see `graphs.backbone.backbone_files`."""
        from .graphs.backbone import backbone_files

        return backbone_files(module, spec)

    def export_bundle(self, run: Run, out: Path, *, name: str, backbone: Path) -> str:
        """Write the bundle of a run and a backbone folder, replacing an earlier one; returns the bundle id."""
        from .bundle import export_bundle
        from .graphs.backbone import load_exported

        bundle_id, _ = export_bundle(run, out, name=name, backbone=load_exported(str(backbone)), replace=True)
        return bundle_id
