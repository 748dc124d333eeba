"""`punctum doctor`: whether this machine can run a bundle on a device, and what to do if it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..text.display import printable
from ._engine import Device, EngineChoice, Engines, ExpectSha256, GpuMemory, Precision, Threads
from ._parameters import in_options
from .options import refuse
from .terminal import cell, console, echo_json

if TYPE_CHECKING:
    from rich.console import Console

    from ..doctor import DoctorReport


def doctor(
    context: typer.Context,
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="Also check this bundle, and try the device with it.")
    ] = None,
    device: Device = "cpu",
    precision: Precision = "fp32",
    threads: Threads = 1,
    expect_sha256: ExpectSha256 = None,
    engines: Engines = None,
    gpu_memory: GpuMemory = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check Python, packages, video, ONNX Runtime, CUDA, TensorRT, cores and caches, and try every device.

    Exit code 0: the requested device works, and so does video if PyAV is installed. Exit code 1: the last lines say
    what does not work and why.

    Example: punctum doctor bundle/ --device cuda
    """
    from ..doctor import examine

    if bundle is None:
        refuse(context, ["precision", "engines"], "without BUNDLE", "name a bundle")
    # Not checked against the device: every one that can run is tried with the options.
    choice = EngineChoice(device, precision, threads, engines, gpu_memory)
    found = examine(
        bundle,
        choice.spec(),
        expect_sha256=expect_sha256,
    )
    if as_json:
        echo_json(found.to_record())
    else:
        show(found)
    if not found.status.runs or found.broken:
        raise typer.Exit(1)


def show(report: DoctorReport, out: Console | None = None) -> None:
    """Print sections, problems and devices. Color is never the only sign."""
    from rich.text import Text

    out = out or console(soft_wrap=True)

    def line(mark: str, text: str, style: str = "") -> None:
        out.print(Text.assemble((f"{mark:<8}", style), printable(text)))

    for name, facts in report.sections.items():
        out.print(cell(name, "bold"))
        width = max(len(key) for key in facts)
        for key, value in facts.items():
            out.print(cell(f"  {key:<{width}}  {_shown(value)}"))
    out.print()
    wanted = report.requested.partition(":")[0]
    # What keeps another device from running is no problem of who does not want it: that device has one line below.
    own = [f for f in report.findings if not f.devices or wanted == "auto" or f.blocks(wanted)]
    for finding in own:
        line(finding.level, f"{finding.area}: {finding.text}", "red" if finding.level == "problem" else "yellow")
        if finding.fix:
            line("", f"fix: {in_options(finding.fix)}")
    if own:
        out.print()
    for status in sorted(report.devices, key=lambda status: not status.runs):
        state = "runs" if status.runs and status.tried else "may run" if status.runs else "no"
        line(state, f"{status.device}: {status.reason}", "green" if status.runs else "")
    if len(own) < len(report.findings):
        line("", "what another device needs: add --device and its name, or --device auto for all")
    out.print()
    status = report.status
    device = f"{status.device} ({report.requested})" if report.requested == "auto" else report.requested
    if status.runs:
        line("ok", f"device {device} {'runs here' if status.tried else 'should run here; it was not tried'}", "green")
    else:
        line("no", f"device {device} does not run here: {status.reason}", "red")
    for finding in report.broken:
        line("no", f"{finding.area.lower()} does not work here: {finding.text}", "red")


def _shown(value: object) -> str:
    if value is None:
        return "no limit"
    return f"{value:g}" if isinstance(value, float) else str(value)
