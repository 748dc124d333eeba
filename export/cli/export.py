"""`punctum export`: a run to a bundle, or a bundle to a model repository for NVIDIA Triton."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from punctum.runtime.cli.terminal import echo, say

from ..precision import MAX_MAP_DROP
from .precision_options import MAX_MAP_DROP_HELP, variant_adder

if TYPE_CHECKING:
    from punctum.runtime import Bundle
    from punctum.training.models.checkpoint import Run

_TRITON = ("run", "triton", "precision", "device", "instances", "name", "replace", "expect_sha256")
_TRITON_ONLY = ("device", "instances", "expect_sha256")
_VARIANTS_ONLY = ("dataset", "split", "max_map_drop")


def export(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of `punctum train`; with --triton a bundle.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Bundle folder to write.")] = None,
    name: Annotated[str, typer.Option(help="Bundle name [that of the data set].")] = "",
    version: Annotated[str, typer.Option(help="Bundle version.")] = "1.0.0",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing bundle, or with --triton an earlier repository.")
    ] = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone to include, so that the bundle takes video: a backbone folder, an ONNX file, or "
            "package.module:factory."
        ),
    ] = None,
    backbone_spec: Annotated[
        Path | None, typer.Option(help="Input of the backbone (JSON), for an ONNX file or a torch module.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Precision variants to add: fp16, int8, int8-trt, separated by commas (needs --dataset); with "
            "--triton the variant to serve."
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(help="Data set of the run: training videos calibrate, test videos measure the accuracy."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split folder of --dataset, e.g. split_1.")] = None,
    max_map_drop: Annotated[float, typer.Option(help=MAX_MAP_DROP_HELP)] = MAX_MAP_DROP,
    triton: Annotated[
        Path | None, typer.Option(help="Write a model repository for NVIDIA Triton from a bundle to this folder.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="With --triton: device on which the server runs the graphs, cpu or cuda.")
    ] = "cpu",
    instances: Annotated[int, typer.Option(help="With --triton: instances per model.")] = 1,
    expect_sha256: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="With --triton: refuse the bundle unless this is its SHA-256."),
    ] = None,
) -> None:
    """Turn a training run into a verified bundle, or a bundle into a model repository for a server.

    Example: punctum export runs/gtea-1 --out bundles/gtea

    With video: punctum export runs/falls --out bundles/falls --backbone torchvision.models.video:r3d_18
    --backbone-spec r3d.json

    With variants: punctum export runs/gtea-1 --out bundles/gtea --precision fp16,int8 --dataset data/gtea
    --split split_1

    For Triton: punctum export bundles/gtea --triton models/ --precision int8 --instances 4
    """
    from punctum.runtime.cli.options import refuse
    from punctum.runtime.errors import InputError, MissingDependencyError
    from punctum.runtime.files.outputs import check_folder

    from .._names import check_new_folder

    if triton is not None:
        others = [name for name in context.params if name not in _TRITON]
        refuse(context, others, "with --triton", "leave --triton out")
        triton = check_folder(triton, [run], option="`triton`", whole=True)
        _export_triton(run, triton, precision, device, instances, name, replace, expect_sha256)
        return
    refuse(context, _TRITON_ONLY, "without --triton", "add --triton")
    if out is None:
        raise InputError(
            "output-missing",
            "--out is missing",
            required="a new bundle folder",
            next_step="punctum export RUN --out BUNDLE",
        )
    if precision is None:
        refuse(context, _VARIANTS_ONLY, "without --precision", "add --precision", code="precision-missing")
    inputs = (run, backbone, backbone_spec, dataset)
    check_folder(out, [path for path in inputs if path is not None], whole=True)
    check_new_folder(out, replace=replace)
    for library in ("torch", "onnx", "onnxscript"):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(library, "export", "exporting") from None
    from punctum.runtime.bundle.manifest import MANIFEST
    from punctum.runtime.files.atomic import sha256_file
    from punctum.training import load_run

    from ..bundle import export_bundle
    from ..graphs.backbone import load_exported
    from ..graphs.images import APPLIED

    if backbone is None and backbone_spec is not None:
        raise InputError(
            "backbone-spec",
            "--backbone-spec without --backbone has no effect",
            required="both",
            next_step="add --backbone",
        )
    loaded = load_run(run)
    finish: Callable[[Bundle], Bundle] = lambda bundle: bundle  # noqa: E731
    if precision is not None:
        finish = variant_adder(precision, dataset, split, max_map_drop)
    video = None if backbone is None else load_exported(backbone, backbone_spec)
    if video is not None and video.image is not None:
        echo(f"{video.name} takes single images: features {APPLIED[video.image]}")
    bundle_id, worst = export_bundle(
        loaded, out, name=name, version=version, replace=replace, backbone=video, finish=finish
    )
    if why := _uncalibrated(loaded):
        say(f"warning: {why}: the scores of the bundle only rank events, and it has no default minimum score")
    echo(f"exported {bundle_id} to {out} (largest difference from the model {worst:.1e})")
    echo(f"sha256 {sha256_file(out / MANIFEST)}")


def _uncalibrated(run: Run) -> str:
    """Why a run has no calibration; empty if it has one."""
    if run.calibration is not None:
        return ""
    if not run.complete:
        return f"{run.path} was interrupted (continue it with punctum train --resume)"
    if not run.config.folds:
        return f"{run.path} was trained without calibration"
    return f"{run.path} is not calibrated, for lack of clicks in at least two videos"


def _export_triton(
    bundle: Path,
    out: Path,
    precision: str | None,
    device: str,
    instances: int,
    name: str,
    replace: bool,
    expect_sha256: str | None,
) -> None:
    from punctum.runtime import Bundle
    from punctum.runtime.bundle.manifest import MANIFEST
    from punctum.runtime.errors import InputError

    from ..triton import write_triton

    if bundle.is_dir() and not (bundle / MANIFEST).is_file():
        raise InputError(
            "bundle-missing",
            f"{bundle} is not a bundle",
            required="a bundle folder or zip",
            next_step="export the run to a bundle first",
        )
    models = write_triton(
        Bundle.load(bundle, expect_sha256=expect_sha256),
        out,
        precision=precision or "fp32",
        device=device,
        instances=instances,
        name=name or None,
        replace=replace,
    )
    echo(f"wrote {', '.join(models)} to {out}")
