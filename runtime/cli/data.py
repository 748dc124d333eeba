"""`punctum data`: check a data set, or make one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.command("check")
def check(
    dataset: Annotated[Path, typer.Argument(help="Data set folder.")],
    split: Annotated[str | None, typer.Option(help="Split folder, for example split_1.")] = None,
    points: Annotated[str, typer.Option(help="Points file.")] = "points.csv",
    train_list: Annotated[str, typer.Option(help="List of training videos.")] = "train.txt",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Say, per file and line, what is wrong with a data set. Exit code 2 if there are errors.

    Example: punctum data check data/gtea --split split_1
    """
    from rich.console import Console
    from rich.table import Table

    from ..check import check_dataset

    report = check_dataset(dataset, split=split, points=points, train_list=train_list)
    if as_json:
        typer.echo(json.dumps(report.to_record()))
        return 2 if report.errors else 0
    console = Console(soft_wrap=True)
    if report.findings:
        table = Table(title=f"{len(report.errors)} errors, {len(report.findings) - len(report.errors)} warnings")
        for column in ("severity", "file", "line", "what", "do"):
            table.add_column(column)
        for f in report.findings:
            table.add_row(f.severity, f.file, str(f.line or ""), f.message, f.fix)
        console.print(table)
    for key, value in report.summary.items():
        console.print(f"{key}: {value}")
    console.print("nothing wrong found" if not report.findings else f"{len(report.errors)} errors")
    return 2 if report.errors else 0


@app.command("make-demo")
def make_demo(
    out: Annotated[Path, typer.Option("--out", help="New folder.")],
    count: Annotated[int, typer.Option(help="Sequences to make.")] = 40,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 1,
) -> None:
    """Write a data set of procedural sensor sequences with simulated clicks.

    Example: punctum data make-demo --out demo-data --count 40 --seed 1
    """
    from ..demo import write_demo_dataset

    write_demo_dataset(out, videos=count, seed=seed)
    typer.echo(f"wrote {count} sequences to {out}")
