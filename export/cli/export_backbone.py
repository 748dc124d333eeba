"""`punctum export-backbone`: a pretrained network as a backbone folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from punctum.runtime.cli.terminal import echo


def export_backbone(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="ONNX file, or a torch module as package.module:factory.")
    ],
    spec: Annotated[
        Path, typer.Option("--spec", help="Input of the network (JSON): fps, clip_frames, height, width, ...")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Backbone folder to write.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing backbone folder.")] = False,
) -> None:
    """Turn a pretrained network into a backbone folder, for `punctum train VIDEOS --backbone` and `punctum features`.

    Networks of single images, [N, C, H, W], are supported too: field "image" of the spec is "middle" or "mean".
    Weights that an ONNX file keeps in files beside it are included.

    Example: punctum export-backbone torchvision.models.video:r3d_18 --spec r3d.json --out r3d/
    """
    from punctum.runtime.errors import InputError, MissingDependencyError
    from punctum.runtime.files.atomic import atomic_folder
    from punctum.runtime.files.outputs import check_folder

    for library in ("torch", "onnx", "onnxscript"):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(library, "export", "exporting a backbone") from None
    from ..graphs.backbone import is_backbone_folder, load_exported, write_folder
    from ..graphs.images import APPLIED

    if Path(source).is_dir():
        raise InputError(
            "backbone-folder",
            f"{source} is a folder",
            required="an ONNX file or a torch module",
            next_step="use the folder as it is",
        )
    check_folder(out, [source, spec], whole=True)
    # The folder is reserved before the export, which may take a minute.
    with atomic_folder(out, replace=replace, own=is_backbone_folder) as draft:
        backbone = load_exported(source, spec)
        write_folder(backbone, draft)
    worst = ""
    if backbone.parity is not None:
        worst = f", largest difference from the module {max(backbone.parity.values()):.1e}"
    applied = f" {APPLIED[backbone.image]}" if backbone.image else ""
    echo(f"{out}: {backbone.dim} features{applied} every {backbone.spec.stride_s:g} s{worst}")
