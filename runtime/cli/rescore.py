"""`punctum rescore`: the proposals of another locator, ranked and adapted by a bundle (or by their own scores)."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, LatencyFirst, Precision, Threads
from .options import Panel, one_of, refuse
from .progress import track
from .terminal import echo, echo_json

_ENGINE = ("device", "precision", "threads", "engines", "gpu_memory", "latency_first", "expect_sha256")
_RULES: Panel = {"rich_help_panel": "Rules (default: those of the bundle)"}


def rescore(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="ActivityNet JSON to write, or -.")],
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="BUNDLE", help="Bundle. Leave it out to use the scores of the file alone."),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Argument(metavar="DATASET", help="Data set folder; with BUNDLE, of features or videos.")
    ] = None,
    proposals: Annotated[
        Path | None,
        typer.Argument(
            metavar="PROPOSALS", help="ActivityNet JSON: results.VIDEO: list of label, segment in seconds, and score."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split folder, for example split_1.")] = None,
    subset: Annotated[str, typer.Option(help="Videos to rescore: test or train.")] = "test",
    skip_unfit: Annotated[
        bool,
        typer.Option(
            "--skip-unfit",
            help="Leave out, and count, proposals of unknown videos and classes and those outside of their recording, "
            "instead of refusing the file.",
        ),
    ] = False,
    fusion: Annotated[
        str | None,
        typer.Option(
            metavar="TERM=EXPONENT,...",
            help="Confidence as a product of class_probability, attention, center (scorer), contrast (locator) and "
            "base (score in the file), for example center=1,base=0.5. Terms left out have no part in it.",
            **_RULES,
        ),
    ] = None,
    no_adapt: Annotated[bool, typer.Option("--no-adapt", help="No boundary adaptation (ABA).", **_RULES)] = False,
    adapt_iou: Annotated[
        float | None, typer.Option(help="Overlap from which proposals are neighbors in ABA.", **_RULES)
    ] = None,
    suppression: Annotated[str | None, typer.Option(help="soft, hard or none.", **_RULES)] = None,
    sigma: Annotated[float | None, typer.Option(help="Width of soft suppression.", **_RULES)] = None,
    nms_iou: Annotated[
        float | None, typer.Option(help="Overlap from which hard suppression drops a proposal.", **_RULES)
    ] = None,
    min_score: Annotated[float | None, typer.Option(help="Lowest confidence in the output.", **_RULES)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    latency_first: LatencyFirst = False,
) -> None:
    """Rank the proposals of any locator by aligned confidence, adapt their boundaries and suppress duplicates.

    The file that it writes can be evaluated with `punctum eval DATASET --detections FILE`. Scores are raw: the
    calibration of a bundle holds for its own proposals only.

    Example: punctum rescore bundle/ data/gtea proposals.json --split split_1 --out rescored.json

    With the scores of the base locator: punctum rescore bundle/ data/gtea proposals.json --split split_1
    --fusion center=1,base=1 --out rescored.json

    Without features and bundle (ABA and suppression): punctum rescore data/thumos14 proposals.json --out adapted.json
    """
    from ..datasets.dataset import Dataset
    from ..datasets.of_bundle import check_classes, with_classes
    from ..datasets.proposals import read_proposals
    from ..datasets.recordings import open_recordings
    from ..errors import InputError
    from ..files.outputs import ACTIVITYNET, Output
    from ._rescore import Scorer, Tally, features_if_any, fit, of_the_file, parse_fusion, rules, settle_own, videos_of

    if bundle is None or dataset is None:
        raise InputError(
            "arguments",
            "Too few arguments",
            "BUNDLE DATASET PROPOSALS, or DATASET PROPOSALS",
            "see punctum rescore --help",
        )
    own = proposals is None
    folder, file = (bundle, dataset) if proposals is None else (dataset, proposals)
    if own:
        refuse(context, _ENGINE, "without BUNDLE", "name a bundle")
    if subset not in ("test", "train"):
        raise InputError("subset", f"--subset {subset!r} is not a subset", "test or train", "set --subset")
    if as_json and str(out) == "-":
        raise InputError("arguments", "--out - with --json", "one of them on standard output", "name a file")
    if suppression is not None:
        suppression = one_of("--suppression", suppression, ("soft", "hard", "none"), code="setting-invalid")
    if no_adapt:
        refuse(context, ("adapt_iou",), "with --no-adapt", "leave --no-adapt out")
    target = Output(out, ACTIVITYNET, inputs=(folder, file) if own else (bundle, folder, file))
    engine = EngineChoice(
        device, precision, threads, engines, gpu_memory, latency_first, expect_sha256=expect_sha256
    ).checked()
    wanted = None if fusion is None else parse_fusion(fusion)
    given_rules: dict[str, Any] = {
        "fusion": wanted,
        "adapt": False if no_adapt else None,
        "adapt_iou": adapt_iou,
        "suppression": suppression,
        "sigma": sigma,
        "nms_iou": nms_iou,
        "min_score": min_score,
    }
    data = Dataset.open(folder, split=split, need_features=False) if own else open_recordings(folder, split=split)
    loaded = None if own else engine.load(bundle)
    post = rules(context, loaded, {name: value for name, value in given_rules.items() if value is not None})
    if loaded is not None:
        data = with_classes(data, loaded.labels)
        check_classes(data, loaded.labels)
    names, labels = videos_of(data, subset), data.labels if loaded is None else tuple(loaded.labels)
    listed = sorted({*data.train, *data.test, *names})
    found = read_proposals(file, labels, wanted=names, listed=listed, skip_unfit=skip_unfit)
    scorer = None if loaded is None else Scorer(engine, loaded, data, check_attention=wanted is not None)
    read = partial(features_if_any, data) if scorer is None else scorer.read
    tally = Tally(found, len(names))
    results: dict[str, list[dict[str, Any]]] = {video: [] for video in names}
    for video in names if scorer is None else track(names, "rescoring"):
        given = found.videos.get(video)
        if given is None or not len(given):
            continue
        features = read(video)
        fitted = fit(given, features, file, video, skip_unfit=skip_unfit)
        with of_the_file(file, video):
            if scorer is None or features is None:
                made = settle_own(fitted.proposals, post)
            else:
                made = scorer.rescore(features, fitted.proposals, post)
        tally.add(given, fitted, made, uses_base=post.fusion.base > 0)
        results[video] = [
            {"label": labels[label], "score": score, "segment": segment}
            for segment, label, score in zip(
                made.segments.tolist(), made.label.tolist(), made.score.tolist(), strict=True
            )
        ]
    facts = {
        "bundle": None if loaded is None else loaded.id,
        "rules": post.model_dump(
            mode="json", include={"fusion", "adapt", "adapt_iou", "suppression", "sigma", "nms_iou", "min_score"}
        ),
    }
    document = {"version": "punctum", "results": results, "external_data": facts}
    target.write(json.dumps(document, indent=1) + "\n")
    record = {"dataset": data.name, "split": split, "subset": subset, **facts, **tally.record()}
    if as_json:
        echo_json(record)
    elif not target.is_stdout:
        for line in tally.lines():
            echo(line)
        echo(f"wrote {out}")
