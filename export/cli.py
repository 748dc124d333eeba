"""`punctum export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Run folder made by `punctum train`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New bundle folder.")],
    name: Annotated[str, typer.Option(help="Bundle name; the data set's by default.")] = "",
    version: Annotated[str, typer.Option(help="Bundle version.")] = "1.0.0",
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing bundle.")] = False,
    backbone: Annotated[
        str | None,
        typer.Option(help="So that the bundle takes video: backbone folder, ONNX file, or package.module:factory."),
    ] = None,
    backbone_spec: Annotated[
        Path | None, typer.Option(help="What the backbone expects (JSON), for an ONNX file or a torch module.")
    ] = None,
) -> None:
    """Turn a training run into a verified bundle.

    Example: punctum export runs/gtea-1 --out bundles/gtea

    With video: punctum export runs/falls --out bundles/falls --backbone torchvision.models.video:r3d_18
    --backbone-spec r3d.json
    """
    from punctum.runtime.errors import InputError, MissingDependencyError

    for library in ("torch", "onnx", "onnxscript"):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(library, "export", "exporting") from None
    from punctum.training import load_run

    from .backbone import load_exported
    from .export import export_bundle

    if backbone is None and backbone_spec is not None:
        raise InputError("backbone-spec", "--backbone-spec without --backbone", "both", "give --backbone")
    loaded = load_run(run)
    video = None if backbone is None else load_exported(backbone, backbone_spec)
    bundle_id, worst = export_bundle(loaded, out, name=name, version=version, replace=replace, backbone=video)
    typer.echo(f"exported {bundle_id} to {out} (largest difference from the model {worst:.1e})")
