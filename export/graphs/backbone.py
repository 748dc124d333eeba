"""A video backbone for a bundle: from a folder, an ONNX file, or a torch module named by its import path.

A torch module takes clips in the spec's layout, float32 [N, C, T, H, W] or [N, T, C, H, W], and returns [N, D].
For networks that end in a classifier, the spec file may hold, beside the fields of `BackboneSpec`,

    "torch": {"arguments": {...}, "drop": "fc"}

`arguments` are passed to the factory, and the submodule `drop` is replaced by the identity. For
`torchvision.models.video:r3d_18` these are {"arguments": {"weights": "KINETICS400_V1"}, "drop": "fc"}, with clips of
16 frames of 112 x 112, layout NCTHW, and the mean and std that torchvision documents.

Networks of single images, [N, C, H, W], are supported too, as ONNX files and as modules. The field

    "image": "middle" or "mean"

of the spec file selects the middle frame of each snippet (the default) or the mean over the frames of its clip; see
`images`. Image networks are also recognized without this field and with another layout than "NCHW".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from punctum.runtime import InputError, PunctumError
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.fingerprint import check_clips_apart, make_fingerprint
from punctum.runtime.backbone.folder import SPEC_FILE, parse_spec, read_backbone, read_spec_file, write_backbone
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.bundle.config import FeatureSpec
from punctum.runtime.datatypes import compact
from torch import nn

from .export import export_module
from .images import How, ImageClips, image_graph, takes_images
from .onnx_file import read_onnx
from .spec_options import image_option, not_of_images, torch_options
from .torch_module import import_module, takes_only_images

GRAPH_FILE = "backbone.onnx"
BATCHES = (1, 2, 5)
TOLERANCE = 1e-4  # relative to the largest feature, or to 1
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@compact
@dataclass(frozen=True, slots=True, repr=False)
class ExportedBackbone:
    """A backbone that is ready for a bundle.

    Attributes:
        name: source, for messages.
        spec: with its fingerprint.
        graph: ONNX.
        dim: columns of the features.
        digest: SHA-256 of the graph.
        parity: differences between graph and module by number of clips; None: there was no module.
        image: how a network of single images is applied to clips; None: the network takes clips.
    """

    name: str
    spec: BackboneSpec
    graph: bytes
    dim: int
    digest: str
    parity: dict[str, float] | None
    image: How | None = None

    def check_fits(self, features: FeatureSpec) -> None:
        """Raise InputError unless a locator trained on `features` can use the features of this backbone."""
        if self.dim != features.dim:
            raise InputError(
                "backbone-dimension",
                f"{self.name} returns {self.dim} features",
                required=f"{features.dim}, as in the training of the run",
                next_step="use the backbone that computed the run's features",
            )
        if not self.spec.fits_stride(features.stride_s):
            raise InputError(
                "backbone-stride",
                f"{self.name} has a stride of {self.spec.stride_s:g} s (snippet_frames / fps)",
                required=f"{features.stride_s:g} s, as in the training of the run",
                next_step="correct fps or snippet_frames, or extract features with it and train again",
            )
        if features.backbone_sha256 and features.backbone_sha256 != self.digest:
            raise InputError(
                "backbone-differs",
                f"{self.name} is backbone {self.digest[:12]}",
                required=f"{features.backbone_sha256[:12]}, which computed the features that the run was trained on",
                next_step="use that one, or extract features with this one and train again",
            )


def load_exported(source: str, spec_file: str | Path | None = None) -> ExportedBackbone:
    """Load a backbone for a bundle.

    Args:
        source: a backbone folder, an ONNX file, or `package.module:factory`.
        spec_file: spec (JSON), required for the last two.

    Raises:
        InputError: the source cannot be read or does not fit its spec.
        PunctumError: the graph does not reproduce the module.
    """
    path = Path(source)
    if path.is_dir():
        if spec_file is not None:
            raise InputError(
                "backbone-spec",
                "A spec file does not apply to a backbone folder",
                f"one of them: a backbone folder contains its spec, {SPEC_FILE}",
                "leave the spec file out",
            )
        spec, graph = read_backbone(path)
        return _with_fingerprint(path.name, spec, graph, None)
    is_module = bool(_IMPORT_PATH.fullmatch(source)) and not path.exists()
    if not is_module and not path.is_file():
        raise InputError(
            "backbone-missing",
            f"{source!r} is not a backbone folder, an ONNX file or package.module:factory",
            required="one of these",
            next_step="check the path",
        )
    if spec_file is None:
        raise InputError(
            "backbone-spec",
            f"{source} has no spec",
            required="a JSON file with fps, clip_frames, snippet_frames, height, width, mean, std, colour, layout",
            next_step="add a spec file",
        )
    record = read_spec_file(spec_file)
    how, record = image_option(record, Path(spec_file))
    spec = parse_spec(record, spec_file)
    if not is_module:
        graph = read_onnx(path)
        if takes_images(graph):
            how, spec = how or "middle", spec.model_copy(update={"layout": "NTCHW"})
            graph = image_graph(graph, spec, how, path.name)
        elif how is not None:
            raise not_of_images(path.name, Path(spec_file))
        return _with_fingerprint(path.name, spec, graph, None, how)
    module = import_module(source, torch_options(record, Path(spec_file)))
    how = how or ("middle" if takes_only_images(module, spec) else None)
    if how is not None:
        spec = spec.model_copy(update={"layout": "NTCHW"})
        module = ImageClips(module, spec, how)
    graph = export_backbone(module, spec)
    return _with_fingerprint(source, spec, graph, check_backbone_parity(module, spec, graph), how)


def backbone_files(module: nn.Module, spec: BackboneSpec) -> dict[str, bytes]:
    """The two files of a backbone folder for a torch module. Raises PunctumError unless the graph reproduces it."""
    graph = export_backbone(module, spec)
    check_backbone_parity(module, spec, graph)
    sealed = _with_fingerprint("the exported backbone", spec, graph, None)
    return {GRAPH_FILE: graph, SPEC_FILE: (sealed.spec.model_dump_json(indent=1) + "\n").encode()}


def is_backbone_folder(folder: Path) -> bool:
    """Whether a folder contains the two files of a backbone and nothing else."""
    return {path.name for path in folder.iterdir()} == {GRAPH_FILE, SPEC_FILE}


def write_folder(backbone: ExportedBackbone, folder: Path) -> None:
    """Write the two files of a backbone folder."""
    write_backbone(folder, backbone.spec.model_copy(update={"file": GRAPH_FILE}), backbone.graph)


def export_backbone(module: nn.Module, spec: BackboneSpec) -> bytes:
    """Export a module as an ONNX graph: clips float32 [N, *spec.clip_shape], N free -> features [N, D].

    Raises:
        InputError: the module fails, returns another shape, or cannot be exported.
    """
    clips = torch.randn(3, *spec.clip_shape)
    module = module.eval().cpu().float()
    try:
        with torch.no_grad():
            out = module(clips)
    except Exception as error:  # noqa: BLE001 - the module is the user's and may raise anything
        raise InputError(
            "backbone-module",
            f"The module fails on clips {tuple(clips.shape)}: {failure_text(error, 600)}",
            "a module that takes clips of the spec's shape",
            "correct layout, clip_frames, height, width, or colour",
        ) from None
    if not isinstance(out, torch.Tensor) or out.ndim != 2 or len(out) != 3:
        given = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise InputError(
            "backbone-module",
            f"The module returns {given} for 3 clips",
            required="a tensor [3, D]",
            next_step="wrap the module, or remove its last layer",
        )
    shapes = ({0: torch.export.Dim("N", min=1, max=1 << 16)},)
    try:
        return export_module(module, (clips,), shapes, [spec.input], [spec.output])
    except Exception as error:
        raise InputError(
            "backbone-module",
            f"The module cannot be exported with any number of clips: {failure_text(error, 600)}",
            "a module without control flow on values or on the number of clips",
            "export it to ONNX yourself and use the ONNX file with its spec",
        ) from error


def check_backbone_parity(module: nn.Module, spec: BackboneSpec, graph: bytes) -> dict[str, float]:
    """Largest difference between graph and module by number of clips. Raises PunctumError beyond `TOLERANCE`."""
    backbone = VideoBackbone.from_graph(graph, spec.model_copy(update={"fingerprint": None}))
    rng = np.random.default_rng(0)
    report: dict[str, float] = {}
    for count in BATCHES:
        clips = rng.normal(0, 1, (count, *spec.clip_shape)).astype(np.float32)
        with torch.no_grad():
            expected = module.eval()(torch.from_numpy(clips)).numpy()
        report[f"N={count}"] = difference = float(np.abs(backbone.embed(clips) - expected).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if difference > allowed:
            raise PunctumError(
                "parity",
                f"The exported backbone differs from the module by {difference:.2e} for {count} clips",
                required=f"at most {allowed:.0e}",
                next_step="report this, or export the module to ONNX yourself",
            )
    return report


def _with_fingerprint(
    name: str, spec: BackboneSpec, graph: bytes, parity: dict[str, float] | None, image: How | None = None
) -> ExportedBackbone:
    """Check a recorded fingerprint, or compute one."""
    backbone = VideoBackbone.from_graph(graph, spec, name=name)
    check_clips_apart(backbone)
    fingerprint = spec.fingerprint or make_fingerprint(backbone)
    sealed = spec.model_copy(update={"file": GRAPH_FILE, "fingerprint": fingerprint})
    return ExportedBackbone(name, sealed, graph, backbone.dim, backbone.digest, parity, image)
