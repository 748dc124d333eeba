"""`punctum quantize`: precision variants for an existing bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from punctum.runtime.cli.terminal import echo, echo_json

from ..precision import MAX_MAP_DROP
from .precision_options import MAX_MAP_DROP_HELP, variant_adder


def quantize(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Bundle folder or zip; its training run is not needed.")
    ],
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="Data set of the bundle: training videos calibrate, test videos measure the accuracy.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Bundle folder to write.")],
    precision: Annotated[
        str, typer.Option(help="Precision variants to add: fp16, int8, int8-trt, separated by commas.")
    ] = "int8",
    split: Annotated[str | None, typer.Option(help="Split folder of the data set, e.g. split_1.")] = None,
    max_map_drop: Annotated[float, typer.Option(help=MAX_MAP_DROP_HELP)] = MAX_MAP_DROP,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing bundle.")] = False,
    expect_sha256: Annotated[
        str | None,
        typer.Option(
            metavar="DIGEST",
            help="Refuse the bundle unless this is its SHA-256, which `punctum doctor BUNDLE` prints.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records of all variants as JSON.")] = False,
) -> None:
    """Add precision variants to a bundle, each with its mAP measured beside that of fp32.

    Example: punctum quantize bundles/gtea data/gtea --split split_1 --out bundles/gtea-int8 --precision int8,fp16
    """
    from punctum.runtime import Bundle
    from punctum.runtime.bundle.writer import save_bundle
    from punctum.runtime.files.outputs import check_folder

    from .._names import check_new_folder

    check_folder(out, [bundle, dataset], whole=True)
    check_new_folder(out, replace=replace)
    add = variant_adder(precision, dataset, split, max_map_drop, quiet=as_json)
    result = add(Bundle.load(bundle, expect_sha256=expect_sha256))
    save_bundle(result, out, replace=replace)
    if as_json:
        records = {name: record.model_dump(mode="json") for name, record in result.manifest.precision.items()}
        echo_json({"bundle": result.id, "sha256": result.sha256, "precision": records})
    else:
        echo(f"wrote {result.id} to {out}")
        echo(f"sha256 {result.sha256}")
