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
) -> None:
    """Turn a training run into a verified bundle.

    Example: punctum export runs/gtea-1 --out bundles/gtea
    """
    from punctum.runtime.errors import MissingDependencyError

    for library in ("torch", "onnx", "onnxscript"):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(library, "export", "exporting") from None
    from punctum.training import load_run

    from .export import export_bundle

    bundle_id, worst = export_bundle(load_run(run), out, name=name, version=version, replace=replace)
    typer.echo(f"exported {bundle_id} to {out} (largest difference from the model {worst:.1e})")
