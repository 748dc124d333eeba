"""`punctum eval`: judge a bundle, or a file of detections, on a data set."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer


def levels(text: str) -> list[float]:
    """ "0.1:0.7:0.1" (start:stop:step, stop included) or a comma-separated list."""
    from ..errors import InputError

    try:
        if ":" in text:
            start, stop, step = (float(part) for part in text.split(":"))
            if step <= 0:
                raise ValueError("step")
            return [round(start + k * step, 6) for k in range(int((stop - start) / step + 1.5))]
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            "tiou", f"--tiou {text!r}", "start:stop:step or a list", "for example 0.1:0.7:0.1 or 0.5,0.75"
        ) from None


def evaluate(
    bundle: Annotated[Path | None, typer.Argument(help="Bundle; leave out with --detections.")] = None,
    dataset: Annotated[Path | None, typer.Argument(help="Data set folder.")] = None,
    split: Annotated[str | None, typer.Option(help="Split folder, for example split_1.")] = None,
    subset: Annotated[str, typer.Option(help="test or train.")] = "test",
    tiou: Annotated[str, typer.Option(help="start:stop:step or a list.")] = "0.1:0.7:0.1",
    detections: Annotated[
        Path | None, typer.Option(help="Judge this ActivityNet JSON or JSON Lines file instead.")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="AP of every class.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Write the alignment figure (SVG) here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    threads: Annotated[int, typer.Option(help="Threads of the inference engine.")] = 1,
) -> None:
    """Mean average precision (ActivityNet protocol), recall and alignment on a data set.

    Example: punctum eval bundle/ data/gtea --split split_1 --json
    """
    from ..alignment import alignment, plot_alignment
    from ..bundle import Bundle
    from ..dataset import Dataset
    from ..errors import InputError
    from ..evaluation import Detections, read_detections, recall
    from ..evaluation import evaluate as judge
    from ..localizer import Localizer

    if detections is not None and dataset is None:
        bundle, dataset = None, bundle
    if dataset is None or (bundle is None and detections is None):
        raise InputError(
            "arguments", "too few arguments", "BUNDLE DATASET, or DATASET with --detections", "see punctum eval --help"
        )
    if subset not in ("test", "train"):
        raise InputError("subset", f"--subset {subset!r}", "test or train", "set --subset")
    wanted = levels(tiou)
    data = Dataset.open(dataset, split=split)
    truth = data.truth(subset)
    record: dict[str, Any] = {"dataset": data.name, "split": split, "subset": subset}
    if bundle is not None:
        loaded = Bundle.load(bundle)
        localizer = Localizer(loaded, threads=threads)
        unknown = sorted(set(localizer.labels) - set(data.labels))
        if unknown:
            raise InputError(
                "label-unknown",
                f"the bundle knows {', '.join(unknown)}",
                ", ".join(data.labels),
                "use the bundle's own data set",
            )
        began = time.perf_counter()
        events = {video: localizer.localize(data.features(video), stream=video) for video in truth.videos}
        seconds = time.perf_counter() - began
        media = sum(len(data.features(video).data) for video in truth.videos) * data.stride_s
        found = Detections.from_events(events, truth)
        record |= {"bundle": loaded.id, "seconds": seconds, "real_time_factor": seconds / media if media else 0.0}
    else:
        found = read_detections(detections or Path(), truth)
    result = judge(truth, found, wanted)
    aligned = alignment(truth, found)
    record |= result.to_record(per_class=per_class)
    record["recall"] = recall(truth, found, wanted)
    record["alignment"] = None if aligned.correlation != aligned.correlation else aligned.correlation
    if figure is not None:
        plot_alignment({"confidence": aligned}, figure)
    if as_json:
        typer.echo(json.dumps(record))
    else:
        _print(record)


def _print(record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{record['dataset']} {record['split'] or ''} {record['subset']}".strip())
    columns = list(record["map"])
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row("mAP", *(f"{record['map'][name]:.3f}" for name in columns))
    table.add_row("recall", *(f"{record['recall'][name]:.3f}" for name in columns))
    for label, row in record.get("per_class", {}).items():
        table.add_row(label, *(f"{row[name]:.3f}" for name in columns))
    console = Console()
    console.print(table)
    counts = record["counts"]
    console.print(f"{counts['detections']} detections, {counts['truth']} actions, {counts['classes']} classes")
    if record["alignment"] is not None:
        console.print(f"alignment (rank correlation of confidence and best IoU): {record['alignment']:.3f}")
    if record["classes_without_truth"]:
        console.print(f"no truth for: {', '.join(record['classes_without_truth'])}")
