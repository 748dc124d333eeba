"""A video backbone for a bundle: from a folder, an ONNX file, or a torch module named by its import path.

A torch module takes clips in the spec's layout, float32 [N, C, T, H, W] or [N, T, C, H, W], and returns [N, D].
Networks that end in a classifier are cut: the spec file may hold, beside the fields of `BackboneSpec`,

    "torch": {"arguments": {...}, "drop": "fc"}

where `arguments` go to the factory and the submodule `drop` is replaced by the identity. For torchvision's
`torchvision.models.video:r3d_18` that is {"arguments": {"weights": "KINETICS400_V1"}, "drop": "fc"}, with clips of
16 frames of 112 x 112, layout NCTHW, and the mean and std that torchvision documents.

Networks of single images, [N, C, H, W], are taken as well, as ONNX files and as modules; the field

    "image": "middle" or "mean"

of the spec file says whether the middle frame of each snippet stands for it (the default), or the mean over the frames
of its clip; see `images`. They are recognised where the field is missing and the layout is not "NCHW", too.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from punctum.runtime import InputError, PunctumError
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.fingerprint import check_clips_apart, make_fingerprint
from punctum.runtime.backbone.folder import SPEC_FILE, parse_spec, read_backbone, read_spec_file
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.bundle.config import FeatureSpec
from punctum.runtime.datatypes import compact
from punctum.runtime.text.display import shown
from torch import nn

from .export import _export
from .images import HOWS, How, ImageClips, image_graph, takes_images
from .onnx_file import read_onnx

GRAPH_FILE = "backbone.onnx"
BATCHES = (1, 2, 5)
TOLERANCE = 1e-4  # of the largest feature, or of 1
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@compact
@dataclass(frozen=True, slots=True, repr=False)
class ExportedBackbone:
    """Spec with fingerprint, graph, and how far the graph is from the module (None: there was none)."""

    name: str
    spec: BackboneSpec
    graph: bytes
    dim: int
    digest: str
    parity: dict[str, float] | None
    image: How | None = None
    """How a network of single images was applied to clips; None: it takes clips itself."""

    def check_fits(self, features: FeatureSpec) -> None:
        """Raises InputError where a locator trained on `features` cannot take what this backbone gives."""
        if self.dim != features.dim:
            raise InputError(
                "backbone-dimension",
                f"{self.name} gives {self.dim} features",
                f"{features.dim}, which the run was trained on",
                "give the backbone that made the run's features",
            )
        if not self.spec.fits_stride(features.stride_s):
            raise InputError(
                "backbone-stride",
                f"{self.name} gives a row every {self.spec.stride_s:g} s (snippet_frames / fps)",
                f"{features.stride_s:g} s, which the run was trained on",
                "correct fps or snippet_frames, or extract features with it and train again",
            )
        if features.backbone_sha256 and features.backbone_sha256 != self.digest:
            raise InputError(
                "backbone-differs",
                f"{self.name} is backbone {self.digest[:12]}",
                f"{features.backbone_sha256[:12]}, which made the features that the run was trained on",
                "give that one, or extract features with this one and train again",
            )


def load_exported(source: str, spec_file: str | Path | None = None) -> ExportedBackbone:
    """A backbone for a bundle. source: folder, ONNX file, or `package.module:factory`; the last two need a spec file.

    Raises InputError for what cannot be read or does not fit its spec; PunctumError where graph and module disagree.
    """
    path = Path(source)
    if path.is_dir():
        if spec_file is not None:
            raise InputError(
                "backbone-spec",
                "a backbone folder and a spec file",
                f"one of them: {SPEC_FILE} is the folder's spec",
                "leave out --backbone-spec",
            )
        spec, graph = read_backbone(path)
        return _sealed(path.name, spec, graph, None)
    is_module = bool(_IMPORT_PATH.fullmatch(source)) and not path.exists()
    if not is_module and not path.is_file():
        raise InputError(
            "backbone-missing",
            f"{source!r} is no backbone folder, no ONNX file and no package.module:factory",
            "one of these",
            "check --backbone",
        )
    if spec_file is None:
        raise InputError(
            "backbone-spec",
            f"{source} without a spec",
            "a JSON file with fps, clip_frames, snippet_frames, height, width, mean, std, colour, layout",
            "give --backbone-spec",
        )
    record = read_spec_file(spec_file)
    how, record = _image_option(record, Path(spec_file))
    spec = parse_spec(record, spec_file)
    if not is_module:
        graph = read_onnx(path)
        if takes_images(graph):
            how, spec = how or "middle", spec.model_copy(update={"layout": "NTCHW"})
            graph = image_graph(graph, spec, how, path.name)
        elif how is not None:
            raise _not_of_images(path.name, Path(spec_file))
        return _sealed(path.name, spec, graph, None, how)
    module = import_module(source, _torch_options(record, Path(spec_file)))
    how = how or ("middle" if _takes_only_images(module, spec) else None)
    if how is not None:
        spec = spec.model_copy(update={"layout": "NTCHW"})
        module = ImageClips(module, spec, how)
    graph = export_backbone(module, spec)
    return _sealed(source, spec, graph, check_backbone_parity(module, spec, graph), how)


def backbone_files(module: nn.Module, spec: BackboneSpec) -> dict[str, bytes]:
    """A torch module as the two files of a backbone folder, its graph checked against it. Raises PunctumError."""
    graph = export_backbone(module, spec)
    check_backbone_parity(module, spec, graph)
    sealed = _sealed("the exported backbone", spec, graph, None)
    return {GRAPH_FILE: graph, SPEC_FILE: (sealed.spec.model_dump_json(indent=1) + "\n").encode()}


def is_backbone_folder(folder: Path) -> bool:
    """Whether a folder holds the two files of a backbone and nothing else."""
    return {path.name for path in folder.iterdir()} == {GRAPH_FILE, SPEC_FILE}


def write_folder(made: ExportedBackbone, folder: Path) -> None:
    """The two files of a backbone folder."""
    (folder / GRAPH_FILE).write_bytes(made.graph)
    (folder / SPEC_FILE).write_text(made.spec.model_dump_json(indent=1) + "\n", encoding="utf-8")


def export_backbone(module: nn.Module, spec: BackboneSpec) -> bytes:
    """clips float32 [N, *spec.clip_shape], N free -> features [N, D], as an ONNX graph. Raises InputError."""
    clips = torch.randn(3, *spec.clip_shape)
    module = module.eval().cpu().float()
    try:
        with torch.no_grad():
            out = module(clips)
    except Exception as error:  # noqa: BLE001 - the module is the user's and may raise anything
        raise InputError(
            "backbone-module",
            f"the module fails on clips {tuple(clips.shape)}: {failure_text(error, 600)}",
            "a module that takes clips as the spec says",
            "correct layout, clip_frames, height, width, or colour",
        ) from None
    if not isinstance(out, torch.Tensor) or out.ndim != 2 or len(out) != 3:
        given = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise InputError(
            "backbone-module", f"the module returns {given} for 3 clips", "a tensor [3, D]", "wrap or cut the module"
        )
    shapes = ({0: torch.export.Dim("N", min=1, max=1 << 16)},)
    try:
        return _export(module, (clips,), shapes, [spec.input], [spec.output])
    except Exception as error:
        raise InputError(
            "backbone-module",
            f"the module cannot be exported with any number of clips: {failure_text(error, 600)}",
            "a module without control flow on values or on the number of clips",
            "export it to ONNX yourself and give the file with --backbone-spec",
        ) from error


def check_backbone_parity(module: nn.Module, spec: BackboneSpec, graph: bytes) -> dict[str, float]:
    """Largest difference between graph and module by number of clips. Raises PunctumError beyond TOLERANCE."""
    made = VideoBackbone.from_graph(graph, spec.model_copy(update={"fingerprint": None}))
    rng = np.random.default_rng(0)
    report: dict[str, float] = {}
    for count in BATCHES:
        clips = rng.normal(0, 1, (count, *spec.clip_shape)).astype(np.float32)
        with torch.no_grad():
            expected = module.eval()(torch.from_numpy(clips)).numpy()
        report[f"N={count}"] = difference = float(np.abs(made.embed(clips) - expected).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if difference > allowed:
            raise PunctumError(
                "parity",
                f"the exported backbone differs from the module by {difference:.2e} for {count} clips",
                f"at most {allowed:.0e}",
                "report this, or export the module yourself and give the ONNX file",
            )
    return report


def import_module(source: str, options: dict[str, Any]) -> nn.Module:
    """Call `package.module:factory` with options["arguments"]; cut off options["drop"]. Raises InputError."""
    name, attribute = source.split(":")
    with _working_folder():
        try:
            found: Any = importlib.import_module(name)
            for part in attribute.split("."):
                found = getattr(found, part)
            module = found if isinstance(found, nn.Module) else found(**options.get("arguments", {}))
        except Exception as error:  # noqa: BLE001 - the module is the user's and may raise anything
            raise InputError(
                "backbone-import",
                f"{source}: {error.__class__.__name__}: {failure_text(error, 600)}",
                "package.module:factory, where factory() returns a torch module",
                "check the path and the arguments",
            ) from None
    if not isinstance(module, nn.Module):
        raise InputError(
            "backbone-import", f"{source} gives {type(module).__name__}", "a torch module", "name a factory of modules"
        )
    drop = options.get("drop")
    if drop is not None:
        owner, _, last = str(drop).rpartition(".")
        try:
            module.get_submodule(str(drop))
            setattr(module.get_submodule(owner), last, nn.Identity())
        except AttributeError:
            held = ", ".join(name for name, _ in module.named_children())
            raise InputError("backbone-drop", f"no submodule {drop!r}", held, "correct torch.drop") from None
    return module


@contextmanager
def _working_folder() -> Iterator[None]:
    """Modules beside the user are found, as with `python -m`."""
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added:
            sys.path.remove(folder)


def _image_option(record: Any, path: Path) -> tuple[How | None, Any]:
    """What the spec file says about images, and the rest of it. Layout "NCHW" is that of an image network."""
    if not isinstance(record, dict):
        return None, record  # said by whoever reads the rest
    rest = {**record, "layout": "NTCHW"} if record.get("layout") == "NCHW" else record
    if "image" not in record:
        return ("middle" if rest is not record else None), rest
    if record["image"] not in HOWS:
        raise InputError(
            "backbone-spec",
            f"{shown(path)}: image is {shown(json.dumps(record['image']), 80)}",
            " or ".join(f'"{how}"' for how in HOWS),
            "correct it",
        )
    how: How = record["image"]
    return how, rest


def _takes_only_images(module: nn.Module, spec: BackboneSpec) -> bool:
    """Whether a module fails on clips and works on images."""
    module = module.eval().cpu().float()
    with torch.no_grad():
        try:
            module(torch.randn(3, *spec.clip_shape))
            return False
        except Exception:  # noqa: BLE001 - the module is the user's and may raise anything
            pass
        try:
            out = module(torch.randn(3, spec.channels, spec.height, spec.width))
        except Exception:  # noqa: BLE001 - as above; what it says on clips is reported
            return False
    return isinstance(out, torch.Tensor) and out.ndim == 2


def _not_of_images(name: str, path: Path) -> InputError:
    return InputError(
        "backbone-spec",
        f"{shown(path)} says that {name} takes images, and it takes clips",
        "image and layout NCHW for networks of single images only",
        "leave out image, and set layout to NCTHW or NTCHW",
    )


def _torch_options(record: Any, path: Path) -> dict[str, Any]:
    options = record.get("torch", {})
    known = isinstance(options, dict) and set(options) <= {"arguments", "drop"}
    if not known or not isinstance(options.get("arguments", {}), dict):
        raise InputError(
            "backbone-spec",
            f"{path}: torch is {json.dumps(options)[:80]}",
            '{"arguments": {...}, "drop": "name"}',
            "correct it",
        )
    return dict(options)


def _sealed(
    name: str, spec: BackboneSpec, graph: bytes, parity: dict[str, float] | None, image: How | None = None
) -> ExportedBackbone:
    """With a fingerprint: the recorded one, which is checked, or a new one."""
    made = VideoBackbone.from_graph(graph, spec, name=name)
    check_clips_apart(made)
    fingerprint = spec.fingerprint or make_fingerprint(made)
    sealed = spec.model_copy(update={"file": GRAPH_FILE, "fingerprint": fingerprint})
    return ExportedBackbone(name, sealed, graph, made.dim, made.digest, parity, image)
