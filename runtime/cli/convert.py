"""`punctum convert`: events, ground truth and clicks for annotation tools, players and evaluators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ._parameters import in_options
from .options import Panel, check_score, one_of
from .terminal import say

if TYPE_CHECKING:
    from ..convert._options import Annotations, Clicks, Names, SameVideo

_FORMS = "events, parquet, activitynet, activitynet-truth, csv, webvtt, srt, elan, elan-text, labelstudio, cvat, "
_FORMS += "boris, via, soccernet, thumos, frames"
# convert.BACKGROUND, which --help need not import.
_BACKGROUND = ("background", "SIL", "action_start", "action_end")
_READ: Panel = {"rich_help_panel": "Reading the input"}
_WRITE: Panel = {"rich_help_panel": "Writing the output"}


def convert(
    input: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A file, a folder of files with one video each, results of punctum score, or - (standard input).",
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", help="A file, a folder for formats with one video per file, or - (standard output)."
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FORM", help=f"Format of the input: {_FORMS}. Default: detected from name and content."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORM",
            help="Format of the output. Default: from its name: gt.json is activitynet-truth, else by the ending.",
        ),
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(
            help="Frame rate for formats that count frames (cvat, labelstudio, frames, boris, points in frames, "
            "time codes): a number, a fraction (30000/1001), or a JSON file of rates (dataset.json, fps.json, "
            "ActivityNet JSON with fps)."
        ),
    ] = None,
    only: Annotated[str | None, typer.Option(help="Convert this kind only: actions or clicks.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Convert this class only. May be repeated.")
    ] = None,
    min_score: Annotated[float | None, typer.Option(help="Convert annotations with at least this confidence.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace OUTPUT if it exists.")] = False,
    video: Annotated[
        str | None, typer.Option(help="Name of the video, for files that hold one video.", **_READ)
    ] = None,
    clicks: Annotated[
        str,
        typer.Option(
            help="What counts as a click: marked (annotations that the format marks as clicks), all (every annotation, "
            "at its middle) or none (every annotation is an action).",
            **_READ,
        ),
    ] = "marked",
    names: Annotated[
        str,
        typer.Option(
            help="ELAN: take the class from the value of an annotation (value) or from its tier (tier).", **_READ
        ),
    ] = "value",
    annotations: Annotated[
        str,
        typer.Option(
            help="Label Studio: which annotation of a task counts if there are several: last or all.", **_READ
        ),
    ] = "last",
    same_video: Annotated[
        str,
        typer.Option(
            help="What to do with several videos of one name (from several folders, files or tasks): refuse, apart "
            "(add the folder or origin to the name) or merge (they are one video).",
            **_READ,
        ),
    ] = "refuse",
    label_column: Annotated[
        str | None,
        typer.Option(help="Tables and VIA: column or attribute with the class. Default: found by its name.", **_READ),
    ] = None,
    background: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Frame-wise text: label that means no action. May be repeated. Default: {', '.join(_BACKGROUND)}.",
            **_READ,
        ),
    ] = None,
    media: Annotated[
        str | None,
        typer.Option(
            help="Path under which ELAN, Label Studio, BORIS or VIA finds a video, with {video} for its name. Default: "
            "{video}.mp4.",
            **_WRITE,
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="CVAT: size of the video, such as 1280x720.", **_WRITE)] = None,
) -> None:
    """Convert events, ground truth and clicks between formats. What the output cannot represent is reported.

    Example: punctum convert events.jsonl clip.vtt

    For correction in ELAN: punctum convert events.jsonl to-correct/ --to elan

    From ELAN, or a table of start and end times, to ground truth: punctum convert to-correct/ gt.json

    From annotations with start and end to clicks for training: punctum convert sheet.csv points.csv --clicks all
    """
    from ..convert import BACKGROUND, ReadOptions, WriteOptions, read_rates
    from ..convert import convert as run
    from ..files.outputs import to_standard_output

    code = "convert-option"
    read_clicks: Clicks = one_of("--clicks", clicks, ("marked", "all", "none"), code=code)
    read_names: Names = one_of("--names", names, ("value", "tier"), code=code)
    read_annotations: Annotations = one_of("--annotations", annotations, ("last", "all"), code=code)
    read_videos: SameVideo = one_of("--same-video", same_video, ("refuse", "apart", "merge"), code=code)
    if min_score is not None:
        check_score(min_score)
    rates = read_rates(fps)
    reading = ReadOptions(
        rates,
        video,
        read_clicks,
        read_names,
        read_annotations,
        read_videos,
        label_column,
        tuple(background) if background else BACKGROUND,
    )
    report = run(
        input,
        output,
        source_form=source,
        target_form=target,
        reading=reading,
        writing=WriteOptions(rates, media, _size(size)),
        only=only,
        labels=label or (),
        min_score=min_score,
        replace_target=replace,
    )
    if report.text is not None:
        to_standard_output(report.text)
    for line in report.lines():
        say(in_options(line))


def _size(text: str | None) -> tuple[int, int] | None:
    from ..errors import InputError

    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) < 1 << 16 and 0 < int(height) < 1 << 16):
        raise InputError(
            "convert-option", f"--size {text!r} is not a size", "width x height, such as 1280x720", "correct it"
        )
    return int(width), int(height)
