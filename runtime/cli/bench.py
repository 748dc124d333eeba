"""`punctum bench`: time and memory of a bundle on this machine, for each variant."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..text.display import counted
from ._engine import EngineChoice, Engines, ExpectSha256, GpuMemory, LatencyFirst, Threads, announce
from .options import refuse
from .progress import track
from .terminal import cell, console, echo_json


def bench(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help='Bundle folder or zip, or "default".')],
    device: Annotated[
        list[str] | None, typer.Option("--device", help="cpu (default), cuda, ... May be repeated to compare devices.")
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            help="Measure this variant only. May be repeated. Default: all that are meant for the device.",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Seconds of media per round.")] = 30.0,
    rounds: Annotated[int, typer.Option(help="Number of rounds for each variant.")] = 5,
    input: Annotated[Path | None, typer.Option(help="A .npy file of features. Default: synthetic features.")] = None,
    max_delay: Annotated[float, typer.Option(help="Maximum reporting delay in seconds of the live part.")] = 1.0,
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    latency_first: LatencyFirst = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure time per stage, memory, loading, warm-up and the duration of a push, for each variant of a bundle.

    Variants are measured in turns, so that their ratios are reliable on a machine with other load.

    Example: punctum bench bundle/ --device cpu --device cuda --seconds 60
    """
    from ..bench import bench as measure
    from ..features.features import load_features

    if input is not None:
        refuse(context, ["seconds"], "with --input", "leave --input out")
    devices = tuple(device or ["cpu"])
    choice = EngineChoice(
        devices[0], "fp32", threads, engines, gpu_memory, latency_first, devices, expect_sha256
    ).checked()
    rows = None
    if input is not None:
        spec = choice.load(bundle).manifest.features
        rows = load_features(input, stride_s=spec.stride_s, dim=spec.dim).data
    found = measure(
        bundle,
        devices=list(devices),
        precisions=precision or [],
        seconds=seconds,
        rounds=rounds,
        threads=threads,
        options=choice.options(),
        features=rows,
        expect_sha256=expect_sha256,
        max_delay_s=max_delay,
        watch=_watch,
    )
    for variant in found.variants:
        announce(variant.localizer.backend)
    record = found.to_record()
    if as_json:
        echo_json(record)
    else:
        _print(record)


def _watch(rounds: Iterable[int]) -> Iterable[int]:
    return track(list(rounds), "measuring")


def _print(record: dict[str, Any]) -> None:
    from rich.table import Table

    title = f"{record['bundle']}: {record['media_s']:.0f} s of media, {counted(record['rounds'], 'round')}"
    table = Table(title=cell(title))
    variants = record["variants"]
    table.add_column("")
    for variant in variants:
        table.add_column(cell(variant["name"]), justify="right")
    for stage in variants[0]["ms_per_media_s"]:
        cells = (f"{v['ms_per_media_s'][stage]:.2f} (x{v['ratio'][stage]:.2f})" for v in variants)
        table.add_row(f"{stage}, ms a second of media", *cells)
    for name in ("p50", "p99", "max"):
        pushes = (v["push_ms"][name] for v in variants)
        table.add_row(f"live push, {name}, ms", *("-" if p is None else f"{p:.2f}" for p in pushes))
    table.add_row("loading, s", *(f"{v['load_s']:.2f}" for v in variants))
    table.add_row("warm-up, s", *(f"{v['warm_s']:.2f}" for v in variants))
    for key, name in (("loaded", "memory when loaded, MiB"), ("after_a_run", "memory after a run, MiB")):
        table.add_row(name, *(f"{v['memory_mib'][key]:.0f}" if key in v["memory_mib"] else "-" for v in variants))
    table.add_row("events found", *(str(v["events"]) for v in variants))
    table.add_row("runs on", *(v["actual"] for v in variants))
    table.add_row("nodes", *(", ".join(f"{n} {p}" for p, n in v["nodes"].items()) or "-" for v in variants))
    shown = console()
    shown.print(table)
    for name, why in record["left_out"].items():
        shown.print(cell(f"not measured: {name}: {why}"))
