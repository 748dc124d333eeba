"""`punctum export` and `punctum quantize`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from punctum.runtime.cli.terminal import echo, echo_json

from .limits import MAX_MAP_DROP

if TYPE_CHECKING:
    from punctum.runtime import Bundle


def export(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Run folder made by `punctum train`; with --triton a bundle.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New bundle folder.")] = None,
    name: Annotated[str, typer.Option(help="Bundle name; the data set's by default.")] = "",
    version: Annotated[str, typer.Option(help="Bundle version.")] = "1.0.0",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing bundle, or with --triton an earlier repository.")
    ] = False,
    backbone: Annotated[
        str | None,
        typer.Option(help="So that the bundle takes video: backbone folder, ONNX file, or package.module:factory."),
    ] = None,
    backbone_spec: Annotated[
        Path | None, typer.Option(help="What the backbone expects (JSON), for an ONNX file or a torch module.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Variants to add: fp16, int8, int8-trt, separated by commas (needs --dataset); with --triton the one "
            "to serve."
        ),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Data set of the run: its training videos calibrate, its test videos judge.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of --dataset, for example split_1.")] = None,
    max_map_drop: Annotated[
        float, typer.Option(help="Points of mAP that a variant may lose; one that loses more is refused.")
    ] = MAX_MAP_DROP,
    triton: Annotated[
        Path | None, typer.Option(help="New folder for a model repository of NVIDIA Triton, made of a bundle.")
    ] = None,
    device: Annotated[str, typer.Option(help="With --triton: cpu or cuda, where the server runs the graphs.")] = "cpu",
    instances: Annotated[int, typer.Option(help="With --triton: instances of each model.")] = 1,
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

    if triton is not None:
        _only(
            context, ("run", "triton", "precision", "device", "instances", "name", "replace", "expect_sha256"), "with"
        )
        triton = check_folder(triton, [run], option="`triton`", whole=True)
        _export_triton(run, triton, precision, device, instances, name, replace, expect_sha256)
        return
    _only(context, tuple(p for p in context.params if p not in ("device", "instances", "expect_sha256")), "without")
    if out is None:
        raise InputError("output-missing", "no --out", "a new bundle folder", "punctum export RUN --out BUNDLE")

    if precision is None:
        alone = ["dataset", "split", "max_map_drop"]
        refuse(context, alone, "without --precision", "add --precision", code="precision-missing")
    given = (run, backbone, backbone_spec, dataset)
    check_folder(out, [path for path in given if path is not None], whole=True)
    for library in ("torch", "onnx", "onnxscript"):
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(library, "export", "exporting") from None
    from punctum.runtime.bundle.manifest import MANIFEST
    from punctum.runtime.files.atomic import sha256_file
    from punctum.training import load_run

    from .bundle import export_bundle
    from .graphs.backbone import load_exported
    from .graphs.images import APPLIED

    if backbone is None and backbone_spec is not None:
        raise InputError("backbone-spec", "--backbone-spec without --backbone", "both", "give --backbone")
    loaded = load_run(run)
    finish = _adder(precision, dataset, split, max_map_drop)
    video = None if backbone is None else load_exported(backbone, backbone_spec)
    if video is not None and video.image is not None:
        echo(f"{video.name} takes single images: features {APPLIED[video.image]}")
    bundle_id, worst = export_bundle(
        loaded, out, name=name, version=version, replace=replace, backbone=video, finish=finish
    )
    echo(f"exported {bundle_id} to {out} (largest difference from the model {worst:.1e})")
    echo(f"sha256 {sha256_file(out / MANIFEST)}")


def _only(context: typer.Context, allowed: tuple[str, ...], how: str) -> None:
    """Raises InputError for an option that says nothing here."""
    from punctum.runtime.errors import InputError

    for name in context.params:
        given = getattr(context.get_parameter_source(name), "name", "DEFAULT") != "DEFAULT"
        if given and name not in allowed:
            option = "--" + name.replace("_", "-")
            raise InputError(
                "option-unfit", f"{option} {how} --triton", f"{option} leads nowhere there", "leave it out"
            )


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

    from .triton import write_triton

    if bundle.is_dir() and not (bundle / MANIFEST).is_file():
        raise InputError(
            "bundle-missing", f"{bundle} is not a bundle", "a bundle folder or zip", "export the run to a bundle first"
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


def quantize(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder or zip. Its run is not needed.")],
    dataset: Annotated[Path, typer.Argument(help="Its data set: training videos calibrate, test videos judge.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New bundle folder.")],
    precision: Annotated[str, typer.Option(help="fp16, int8, int8-trt, separated by commas.")] = "int8",
    split: Annotated[str | None, typer.Option(help="Split folder, for example split_1.")] = None,
    max_map_drop: Annotated[
        float, typer.Option(help="Points of mAP that a variant may lose; one that loses more is refused.")
    ] = MAX_MAP_DROP,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing bundle.")] = False,
    expect_sha256: Annotated[
        str | None,
        typer.Option(
            metavar="DIGEST", help="Refuse the bundle unless this is its SHA-256, as punctum doctor BUNDLE prints it."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the new records as JSON.")] = False,
) -> None:
    """Add precision variants to a bundle, each judged by its mAP beside that of fp32.

    Example: punctum quantize bundles/gtea data/gtea --split split_1 --out bundles/gtea-int8 --precision int8,fp16
    """
    from punctum.runtime import Bundle
    from punctum.runtime.bundle.writer import save_bundle
    from punctum.runtime.errors import InputError
    from punctum.runtime.files.outputs import check_folder

    check_folder(out, [bundle, dataset], whole=True)
    if out.exists() and not replace and (not out.is_dir() or any(out.iterdir())):
        raise InputError("output-exists", f"{out} exists already", "a new folder", "choose another --out or --replace")
    add = _adder(precision, dataset, split, max_map_drop, quiet=as_json)
    made = add(Bundle.load(bundle, expect_sha256=expect_sha256))
    save_bundle(made, out, replace=replace)
    if as_json:
        records = {name: record.model_dump(mode="json") for name, record in made.manifest.precision.items()}
        echo_json({"bundle": made.id, "sha256": made.sha256, "precision": records})
    else:
        echo(f"wrote {made.id} to {out}")
        echo(f"sha256 {made.sha256}")


def _adder(
    precision: str | None, dataset: Path | None, split: str | None, max_map_drop: float, *, quiet: bool = False
) -> Callable[[Bundle], Bundle]:
    """What adds the variants that were asked for; bad options are refused before any work."""
    from punctum.runtime.errors import InputError

    if precision is None:
        for option, value in (("--dataset", dataset), ("--split", split)):
            if value is not None:
                raise InputError("precision-missing", f"{option} without --precision", "both", "give --precision")
        return lambda bundle: bundle
    from .precision.recordings import open_data
    from .precision.variants import add_variants, check_max_drop, parse_precisions

    names = parse_precisions(precision)
    check_max_drop(max_map_drop)
    if dataset is None:
        raise InputError(
            "dataset-needed",
            f"--precision {precision} without a data set (a run does not record where its own lies)",
            "the data set of the run: training videos calibrate int8, test videos judge every variant",
            "give --dataset",
        )

    def add(bundle: Bundle) -> Bundle:
        data = open_data(bundle, dataset, split)
        tell = (lambda line: None) if quiet else echo
        return add_variants(bundle, names, data, split=split, max_map_drop=max_map_drop, tell=tell)

    return add
