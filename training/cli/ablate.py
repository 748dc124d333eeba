"""`punctum ablate`: what each part of the method is worth on a data set, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from punctum.runtime.cli.terminal import echo, echo_json, say

from .common import FRESH_HELP, THREADS_HELP, unfit, warnings_as_lines


def ablate(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Data set folder of features, with clicks and gt.json.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the trainings, ablation.md and ablation.json.")],
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Number of seeds, from that of the recipe on.")] = 3,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="ROW,...",
            help="Rows besides the full method: no-center-score, no-aba, base, click-labels, no-point-update, "
            "published, published-no-aba, published-base, lacp, lacp-base. Default: all that differ.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split folder in the data set, e.g. split_1.")] = None,
    points: Annotated[str, typer.Option(help="Points file in the data set: one click per action.")] = "points.csv",
    train_list: Annotated[str, typer.Option(help="List of training videos.")] = "train.txt",
    config: Annotated[
        Path | None, typer.Option(help="Recipe of the full method (JSON), or config.json of a run.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every stage [from the recipes].")] = None,
    tiou: Annotated[
        str, typer.Option(help="tIoU thresholds: start:stop:step or a comma-separated list.")
    ] = "0.1:0.7:0.1",
    device: Annotated[str, typer.Option(help="cpu or cuda; there is no silent fallback.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help=THREADS_HELP)] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help=FRESH_HELP)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress; the table only.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the Markdown table.")] = False,
) -> None:
    """Train and evaluate the method with one part changed at a time, with several seeds, and write the table.

    Rows that differ in post-processing share a training, and rows with the same locator train it once. The cost is
    stated first. A second run with the same --out uses every training that is finished there.

    Example: punctum ablate data/gtea --split split_1 --seeds 3 --out ablations/gtea-1

    Example: punctum ablate data/shrec21 --seeds 1 --rows no-center-score,no-aba,base --out ablations/shrec21
    """
    import shlex

    from punctum.runtime.cli.eval import levels
    from punctum.runtime.datasets.dataset import Dataset
    from punctum.runtime.files.outputs import check_folder

    from .recipe_options import recipe_of
    from .train import check_torch

    check_torch("punctum ablate")
    thresholds = levels(tiou)
    names = None if rows is None else [name.strip() for name in rows.split(",")]
    out = check_folder(out, [dataset, *([] if config is None else [config])])
    listed = Dataset.open(dataset, split=split, points=points, train_list=train_list, need_features=False)
    if listed.only_videos:
        raise unfit(
            "punctum ablate",
            "a data set of videos",
            required="features",
            next_step=f"train on the videos (punctum train {dataset} --out RUN), and give their features: RUN/data",
        )
    from ..ablation.run import TABLE
    from ..ablation.run import ablate as run

    words = {"--split": split, "--rows": rows, "--config": config, "--epochs": epochs}
    given = [part for name, value in words.items() if value is not None for part in (name, str(value))]
    given += [
        part
        for name, value, usual in (
            ("--points", points, "points.csv"),
            ("--train-list", train_list, "train.txt"),
            ("--tiou", tiou, "0.1:0.7:0.1"),
        )
        if value != usual
        for part in (name, value)
    ]
    with warnings_as_lines():
        result = run(
            Dataset.open(dataset, split=split, points=points, train_list=train_list),
            recipe_of(config, calibrate=False),
            out,
            seeds=seeds,
            rows=names,
            epochs=epochs,
            thresholds=thresholds,
            split=split,
            command=shlex.join(["punctum", "ablate", str(dataset), "--out", str(out), "--seeds", str(seeds), *given]),
            device=device,
            threads=threads,
            fresh=fresh,
            quiet=quiet,
            say=(lambda line: None) if quiet else say,
        )
    if json_output:
        echo_json(result)
    else:
        for line in (out / TABLE).read_text(encoding="utf-8").rstrip().split("\n"):
            echo(line)
