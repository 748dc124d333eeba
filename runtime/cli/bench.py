"""`punctum bench`: time and memory of a bundle on this machine, for each variant."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ..text.display import counted
from ._engine import EngineChoice, Engines, ExpectSha256, GpuMemory, LatencyFirst, Threads, announce
from .options import refuse
from .progress import track
from .terminal import cell, console, echo_json

if TYPE_CHECKING:
    from ..bench import Bench, Comparison


def bench(
    context: typer.Context,
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="BUNDLE", help='Bundle folder or zip, or "default". None to compare two files.'),
    ] = None,
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
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare",
            metavar="FILE",
            help="An earlier result (JSON) to compare with. Given twice and without a bundle: compare two results.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, for --compare.")] = False,
) -> None:
    """Measure time per stage, memory, loading, warm-up and the duration of a push, for each variant of a bundle.

    Variants are measured in turns, so that their ratios are reliable on a machine with other load. Decoding of videos
    is not measured: see punctum run VIDEO --stats.

    Example: punctum bench bundle/ --device cpu --device cuda --seconds 60
    """
    from ..bench import bench as measure
    from ..bench import compare_results, read_result
    from ..features.features import load_features

    files = _files(context, bundle, compare or [])
    earlier = [read_result(file) for file in files]
    if bundle is None:
        _show_comparison(compare_results(*earlier), as_json, files)
        return
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
    announce(*(variant.localizer.backend for variant in found.variants))
    result = _result(found)
    if as_json:
        compared = {"comparison": compare_results(earlier[0], result).to_record()} if earlier else {}
        echo_json(result | compared)
        return
    _print(found.to_record())
    if earlier:
        _show_comparison(compare_results(earlier[0], result), as_json, [*files, None])


def _files(context: typer.Context, bundle: Path | None, files: list[Path]) -> list[Path]:
    """The results to compare with. Raises InputError unless there is one with a bundle, or two without."""
    if bundle is None:
        if len(files) != 2:
            given = f"No bundle is given, and {counted(len(files), 'file')} to compare"
            next_step = "name the bundle to measure, or give --compare twice to compare two results"
            raise InputError("bench-compare", given, required="a bundle, or two files", next_step=next_step)
        others = [str(p.name) for p in context.command.params if p.name not in ("bundle", "compare", "as_json")]
        refuse(context, others, "when two files are compared", "name a bundle to measure")
    elif len(files) > 1:
        given = f"A bundle is given, and {counted(len(files), 'file')} to compare"
        raise InputError("bench-compare", given, "one file", "leave the bundle or the second --compare out")
    return files


def _result(found: Bench) -> dict[str, Any]:
    import shlex
    import sys

    from ..bench import result_of
    from ._revision import revision

    return result_of(
        "bench",
        found.rows(),
        command=shlex.join(["punctum", *sys.argv[1:]]),
        revision=revision(),
        details=found.to_record(),
        skipped=found.skipped,
    )


def _show_comparison(found: Comparison, as_json: bool, names: list[Path] | list[Path | None]) -> None:
    if as_json:
        echo_json(found.to_record())
        return
    from rich.table import Table

    before, after = ("this run" if name is None else str(name) for name in names)
    table = Table(title=cell(f"{before}, then {after}"))
    ratios = any(ratio not in (None, 1.0) for row in found.rows for ratio in (row.before_ratio, row.after_ratio))
    for heading in ("", "before", "after", "change", *(("ratio before", "ratio after") if ratios else ())):
        table.add_column(heading, justify="right" if heading else "left")
    for row in found.rows:
        unit = f", {row.unit.removesuffix(' of media')}" if row.unit else ""  # per second of media, as the caption says
        change = "-" if row.change is None else f"{'~' * row.undecided}x{row.change:.3g}"
        cells = [_spread(row.before, row.before_spread), _spread(row.after, row.after_spread), change]
        if ratios:
            cells += ["-" if ratio is None else f"{ratio:.3g}" for ratio in (row.before_ratio, row.after_ratio)]
        table.add_row(cell(f"{row.name}{unit}"), *cells)
    shown = console()
    shown.print(table)
    if any(row.unit.endswith("/s of media") for row in found.rows):
        shown.print("ms/s: milliseconds of work per second of media, without decoding")
    if any(row.before_spread or row.after_spread for row in found.rows):
        shown.print("Below a value: the lowest and highest of its rounds")
    if any(row.undecided for row in found.rows):
        shown.print("~: undecided, because these overlap; more --rounds may tell")
    for which, left in (("first", found.only_before), ("second", found.only_after)):
        if left:
            shown.print(cell(f"only in the {which} result: {', '.join(left)}"))
    if found.machines:
        shown.print(cell("The machines differ, so absolute times are not comparable; ratios within a run are:"))
    for line in found.machines:
        shown.print(cell(f"  {line}"))
    if found.versions:
        shown.print(cell("The versions differ:"))
    for line in found.versions:
        shown.print(cell(f"  {line}"))
    for line in found.notes:
        shown.print(cell(f"Note: {line}"))


def _spread(value: float, spread: tuple[float, float] | None) -> str:
    """A value, and below it the lowest and highest of its repetitions."""
    return f"{value:.4g}" if spread is None else f"{value:.4g}\n{spread[0]:.3g}-{spread[1]:.3g}"


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
        if record["rounds"] > 1:
            table.add_row("  lowest to highest", *(_range(v, stage, variants[0]) for v in variants))
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
    shown.print("not measured: decoding of videos; punctum run VIDEO --stats shows its time")
    for name, why in record["left_out"].items():
        shown.print(cell(f"not measured: {name}: {why}"))


def _range(variant: dict[str, Any], stage: str, first: dict[str, Any]) -> str:
    """The lowest and highest time of the rounds; of the ratio, too, where it is to another variant."""
    low, high = variant["spread_ms_per_media_s"][stage]
    least, most = variant["ratio_spread"][stage]
    return f"{low:.2f} to {high:.2f}" + ("" if variant is first else f" (x{least:.2f} to x{most:.2f})")
