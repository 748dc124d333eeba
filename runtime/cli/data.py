"""`punctum data`: check a data set, begin one, join several, or generate one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..text.display import counted
from ._parameters import in_options
from .make_videos import make_videos
from .merge import merge
from .terminal import cell, console, echo, echo_json, say

if TYPE_CHECKING:
    from ..datasets.findings import CheckResult, Finding

# Rows printed for one file: a wrong fps puts every point of a file outside its video.
_SHOWN = 40

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.command("make-videos")(make_videos)
app.command("merge")(merge)


@app.command("check")
def check(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder.")],
    split: Annotated[str | None, typer.Option(help="Split folder, for example split_1.")] = None,
    points: Annotated[str, typer.Option(help="Points file.")] = "points.csv",
    train_list: Annotated[str, typer.Option(help="List of training videos.")] = "train.txt",
    test_list: Annotated[str, typer.Option(help="List of test videos.")] = "test.txt",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Report the problems of a data set by file and line. Exit code 2 if there are errors.

    Example: punctum data check data/gtea --split split_1
    """
    from ..datasets.check import check_dataset

    report = check_dataset(dataset, split=split, points=points, train_list=train_list, test_list=test_list)
    if as_json:
        echo_json(report.to_record())
    else:
        _print(report, dataset)
    return 2 if report.errors else 0


@app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of videos and clicks.")],
    points: Annotated[str, typer.Option(help="Points file.")] = "points.csv",
) -> None:
    """Write dataset.json and train.txt for a folder of videos and clicks, to be edited.

    punctum train takes such a folder without them: all labeled videos are used.

    Example: punctum data init my-videos
    """
    from ..datasets.init import init_dataset
    from ..labeling.lock import not_labeled

    with not_labeled(folder):  # its classes could not be changed any more
        for path in init_dataset(folder, points=points):
            echo(f"wrote {path}")
    say(f"Next: edit them, then punctum data check {folder}")


def _print(report: CheckResult, folder: Path) -> None:
    """One table a file, then what the data set holds, then the verdict. Text from files is never read as markup."""
    from rich.table import Table

    shown_on = console()
    by_file: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_file.setdefault(finding.file, []).append(finding)
    for file, findings in by_file.items():
        name = file.removeprefix(f"{folder}/")
        table = Table(title=cell(name), title_justify="left", expand=False)
        table.add_column("")
        table.add_column("line", justify="right")
        table.add_column("what is wrong", overflow="fold")
        table.add_column("what to do", overflow="fold")
        for f in findings[:_SHOWN]:
            style = "red" if f.severity == "error" else "yellow"
            texts = (in_options(f"{f.message} [{f.code}]"), in_options(f.fix))
            table.add_row(cell(f.severity, style), str(f.line or ""), *map(cell, texts))
        shown_on.print(table)
        if len(findings) > _SHOWN:
            shown_on.print(cell(f"... and {len(findings) - _SHOWN} more in {name}; --json lists all"))
    for key, value in report.summary.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        shown_on.print(cell(f"{key}: {shown}"))
    errors, warnings = len(report.errors), len(report.warnings)
    shown_on.print(
        f"{counted(errors, 'error')}, {counted(warnings, 'warning')}" if report.findings else "nothing wrong found"
    )


@app.command("make-demo")
def make_demo(
    out: Annotated[Path, typer.Option("--out", help="Folder to create.")],
    count: Annotated[int, typer.Option(help="Number of sequences.")] = 40,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 1,
) -> None:
    """Generate a data set of synthetic sensor sequences with simulated clicks.

    Example: punctum data make-demo --out demo-data --count 40 --seed 1
    """
    from ..files.outputs import check_folder
    from ..synthetic.sensors import write_demo_dataset

    check_folder(out, [])
    write_demo_dataset(out, videos=count, seed=seed)
    echo(f"wrote {counted(count, 'sequence')} to {out}")
