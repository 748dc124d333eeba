"""`punctum export-backbone`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export_backbone(
    source: Annotated[str, typer.Argument(help="ONNX file, or a torch module as package.module:factory.")],
    spec: Annotated[Path, typer.Option("--spec", help="What it expects (JSON): fps, clip_frames, height, width, ...")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New backbone folder.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing folder.")] = False,
) -> None:
    """Turn a pretrained network into a backbone folder, for `punctum train VIDEOS --backbone` and `punctum features`.

    Networks of single images, [N, C, H, W], are taken as well: "image" in the spec says "middle" or "mean". Weights
    that an ONNX file keeps beside it are taken in.

    Example: punctum export-backbone torchvision.models.video:r3d_18 --spec r3d.json --out r3d/
    """
    from punctum.runtime.cli.terminal import echo
    from punctum.runtime.errors import InputError, MissingDependencyError
    from punctum.runtime.files.atomic import atomic_folder
    from punctum.runtime.files.outputs import check_folder

    for library in ("torch", "onnx", "onnxscript"):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(library, "export", "exporting a backbone") from None
    from .graphs.backbone import is_backbone_folder, load_exported, write_folder
    from .graphs.images import APPLIED

    if Path(source).is_dir():
        raise InputError(
            "backbone-folder", f"{source} is a folder", "an ONNX file or a torch module", "use it as it is"
        )
    check_folder(out, [source, spec], whole=True)
    # The folder is claimed before the export, which may take a minute.
    with atomic_folder(out, replace=replace, own=is_backbone_folder) as draft:
        made = load_exported(source, spec)
        write_folder(made, draft)
    worst = "" if made.parity is None else f", largest difference from the module {max(made.parity.values()):.1e}"
    how = f" {APPLIED[made.image]}" if made.image else ""
    echo(f"{out}: {made.dim} features{how} every {made.spec.stride_s:g} s{worst}")
