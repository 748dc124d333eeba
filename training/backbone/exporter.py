"""What training a backbone needs of the exporter, which is passed in: exporting lies above training."""

from __future__ import annotations

from typing import Protocol

from punctum.runtime.bundle.backbone_spec import BackboneSpec
from torch import nn


class BackboneExporter(Protocol):
    """Writes backbones as ONNX graphs."""

    def check_installed(self, purpose: str) -> None:
        """Raise MissingDependencyError, naming the extra, if a library that exporting needs is not installed.

        purpose: what the user asked for, as the subject of the message.
        """
        ...

    def backbone_files(self, module: nn.Module, spec: BackboneSpec) -> dict[str, bytes]:
        """The files of a backbone folder by name: the graph, and its spec with fingerprint.

        module maps clips float32 [N, *spec.clip_shape] to features [N, D]. Raises PunctumError if the graph does not
        reproduce the module.
        """
        ...
