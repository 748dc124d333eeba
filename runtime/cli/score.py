"""`punctum score`: archives, on this machine or on a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, LatencyFirst, Precision, Threads
from ._operating_point import FalseAlarms, MinScore, TargetPrecision, TargetRecall, announce_scores, choose
from ._parameters import in_options
from ._video import Decoder, Fps
from .options import Panel, refuse
from .terminal import echo, echo_json, say

_WHERE: Panel = {"rich_help_panel": "Where it runs"}


def score(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help='Bundle folder or zip, or "default".')],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Videos or features (.npy): files, folders, quoted globs, list files (.txt, one path per line), data "
            "set folders, and addresses that fsspec reads (s3://, gs://, https://, zip://*.npy::archive.zip).",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Results folder. An existing run is resumed.")],
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="Additional format: jsonl (events.jsonl) or activitynet (activitynet.json). May be repeated."
        ),
    ] = None,
    min_score: MinScore = None,
    target_precision: TargetPrecision = None,
    target_recall: TargetRecall = None,
    false_alarms_per_hour: FalseAlarms = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="Keep this class only. May be repeated.")] = None,
    kind: Annotated[
        str,
        typer.Option(
            help="What to use in folders: auto (features, or videos if there are none), features, video or all."
        ),
    ] = "auto",
    split: Annotated[str | None, typer.Option(help="Split of a data set folder.")] = None,
    root: Annotated[str | None, typer.Option(help="Name items by their path below this folder.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Retry items that failed before.")] = False,
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Read every file to detect changes, instead of comparing size and time.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Discard results of another bundle or other settings in the folder.")
    ] = False,
    engine: Annotated[str, typer.Option(help="Where to run: local (processes) or ray.", **_WHERE)] = "local",
    workers: Annotated[
        int, typer.Option(help="Number of processes, or of Ray actors. 0: one per usable core.", **_WHERE)
    ] = 0,
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto or HOST:PORT. Default: a new one on this machine.", **_WHERE)
    ] = None,
    gpus_per_worker: Annotated[float, typer.Option(help="GPUs of each Ray actor; may be a fraction.", **_WHERE)] = 0.0,
    group_items: Annotated[
        int,
        typer.Option(
            help="Items that share engine runs and a commit. 0: depends on the size of the archive.", **_WHERE
        ),
    ] = 0,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    latency_first: LatencyFirst = False,
    fps: Fps = None,
    decoder: Decoder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Find the actions in an archive of recordings. Run the same command again to resume an interrupted run.

    Example: punctum score bundle/ recordings/ --out results/ --workers 8

    Results are Parquet files: results/items.parquet and results/events/. Failed items are listed, with exit code 1.
    """
    from ..archive import ArchiveOptions, score_archive
    from ..files.outputs import check_folder

    if engine != "ray":
        refuse(context, ["address", "gpus_per_worker"], "without --engine ray", "add --engine ray", code="needs-ray")
    if not any("://" in given or Path(given).is_dir() for given in inputs):
        refuse(context, ["kind", "split"], "without a folder among the inputs", "name a folder")
    out = check_folder(out, [*inputs, bundle])
    choice = EngineChoice(
        device, precision, threads, engines, gpu_memory, latency_first, expect_sha256=expect_sha256
    ).checked()
    options = ArchiveOptions(
        device=device,
        precision=precision,
        min_score=min_score,
        target_precision=target_precision,
        target_recall=target_recall,
        false_alarms_per_hour=false_alarms_per_hour,
        labels=tuple(label or ()),
        threads=threads,
        engine_options=choice.options(),
        engine=engine,  # type: ignore[arg-type]  # checked by ArchiveOptions
        address=address,
        workers=workers,
        gpus=gpus_per_worker,
        formats=("parquet", *(format or ())),
        kind=kind,
        split=split,
        root=root,
        group_items=group_items,
        retry_failed=retry_failed,
        replace=replace,
        rehash=rehash,
        fps=fps,
        decoder=decoder,
    )
    loaded = choice.load(bundle)
    if not as_json:
        announce_scores(loaded, bundle)
        least = choose(options.operating_point, loaded)
    summary = score_archive(loaded, inputs, out, options)
    if as_json:
        echo_json(summary.to_dict())
    else:
        say(least.text)
        for line in summary.lines():
            echo(in_options(line))
    if summary.lost:
        say(f"warning: {summary.loss()}")
    if summary.errors:
        raise typer.Exit(1)
