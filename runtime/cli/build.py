"""`punctum build`: TensorRT engines of a bundle, for the GPU of this machine or for a compute capability."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ._engine import ExpectSha256
from .options import refuse
from .terminal import echo, echo_json, say

if TYPE_CHECKING:
    from ..backends.tensorrt.builder import BuildResult, BuildTask


def build(
    context: typer.Context,
    bundle: Annotated[str | None, typer.Argument(metavar="BUNDLE", help='Bundle folder or zip, or "default".')] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the engines. Default: in the user's cache.")
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="Variants to build, such as fp32,fp16. Default: all that are meant for TensorRT."),
    ] = None,
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            help="Compute capabilities to build for, such as 8.6,8.9. Default: that of the GPU of this machine."
        ),
    ] = None,
    library: Annotated[
        str, typer.Option(help="tensorrt, tensorrt_rtx, or auto (the first that is installed).")
    ] = "auto",
    lengths: Annotated[
        list[str] | None, typer.Option(help="Upper bounds of window lengths, in snippets, such as 128,2048.")
    ] = None,
    proposals: Annotated[
        list[str] | None, typer.Option(help="Upper bounds of the number of proposals per run, such as 500,4096.")
    ] = None,
    tf32: Annotated[bool, typer.Option("--tf32", help="Allow TF32 for fp32 products: faster, 10 bits of mantissa.")] = (
        False
    ),
    expect_sha256: ExpectSha256 = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build engines again even if they exist and fit.")] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check", help="Build nothing; list the engines in this folder, and whether they fit this machine."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build TensorRT engines of a bundle, so that --device tensorrt finds them.

    Example: punctum build bundles/gtea --out engines --precision fp32,fp16

    Without a GPU, for two compute capabilities: punctum build default --out engines --library tensorrt_rtx
    --compute-capability 8.6,8.9

    List engines: punctum build bundles/gtea --check engines
    """
    if check is not None:
        others = [name for name in context.params if name not in ("bundle", "check", "as_json", "expect_sha256")]
        refuse(context, others, "with --check", "leave --check out")
        _check(check, bundle, as_json, expect_sha256)
        return
    if bundle is None:
        raise InputError(
            "bundle-missing", "No bundle was given", required="BUNDLE", next_step="punctum build BUNDLE --out ENGINES"
        )
    from ..backends.tensorrt.build import BuildRequest, build_engines
    from ..backends.tensorrt.store import default_folder
    from ..bundle.reader import Bundle
    from ..files.outputs import check_folder

    request = BuildRequest(
        precisions=_words(precision),
        capabilities=_words(compute_capability),
        library=library,
        lengths=_numbers("--lengths", lengths),
        proposals=_numbers("--proposals", proposals),
        tf32=tf32,
        rebuild=rebuild,
    )
    if out is not None:
        out = check_folder(out, [bundle])
    loaded = Bundle.load(bundle, expect_sha256=expect_sha256)
    folder = out if out is not None else default_folder(loaded.id)
    built = build_engines(loaded, folder, request, on_start=_announce if sys.stderr.isatty() else None)
    if as_json:
        echo_json({"bundle": loaded.id, "folder": str(folder), "engines": [b.as_data() for b in built]})
        return
    for line in (_line(one) for one in built):
        echo(line)
    made = sum(not one.kept for one in built)
    key = built[0].record.key
    echo(f"{made} built with {key.library} {key.version}, {len(built) - made} kept, in {folder}")


def _check(folder: Path, bundle: str | None, as_json: bool, expect_sha256: str | None) -> None:
    from dataclasses import asdict

    from ..backends.tensorrt.check import check_engines
    from ..bundle.reader import Bundle

    if not folder.is_dir():
        raise InputError("engines-folder", f"{folder} is not a folder", "a folder of engines", "check the path")
    if bundle is None and expect_sha256 is not None:
        raise InputError(
            "option-unfit",
            "--expect-sha256 has no effect without a bundle",
            required="BUNDLE",
            next_step="name the bundle",
        )
    loaded = None if bundle is None else Bundle.load(bundle, expect_sha256=expect_sha256)
    states = check_engines(folder, loaded)
    if as_json:
        echo_json({"folder": str(folder), "engines": [asdict(state) for state in states]})
        return
    for state in states:
        about = f"{state.part} {state.precision} {state.compute_capability} {state.library}".strip()
        reason = f": {state.reason}" if state.reason else ""
        echo(f"{state.state:9} {state.file}{f' ({about})' if about else ''}{reason}")
    if not states:
        echo(f"no engines in {folder}")


def _announce(task: BuildTask) -> None:
    say(f"building {task.name} for {task.capability} ...")


def _line(built: BuildResult) -> str:
    key = built.record.key
    took = "kept" if built.kept else f"{built.seconds:.1f} s"
    size = f"{built.record.size / 1e6:.1f} MB"
    return f"{key.part:9} {key.precision:9} {key.capability:5} {took:>8} {size:>9}  {built.record.file}"


def _words(values: list[str] | None) -> tuple[str, ...]:
    """Words of a comma-separated option that may be repeated, without duplicates, in order."""
    return tuple(dict.fromkeys(word.strip() for value in values or [] for word in value.split(",") if word.strip()))


def _numbers(option: str, values: list[str] | None) -> tuple[int, ...]:
    words = _words(values)
    wrong = [word for word in words if not (word.isascii() and word.isdecimal())]
    if wrong:
        raise InputError(
            "number",
            f"{option} {wrong[0]} is not a whole number",
            "whole numbers, such as 128,2048",
            f"correct {option}",
        )
    return tuple(int(word) for word in words)
