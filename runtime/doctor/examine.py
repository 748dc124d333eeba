"""The examination: look at everything, then try the devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..backends.options import Device, EngineOptions
from ..errors import InputError, PunctumError
from ..machine.examine import look
from ..machine.findings import KINDS, Facts, Report, Verdict
from ..machine.world import World
from .bundle import examine_bundle, trial_bundle
from .video import examine_video

if TYPE_CHECKING:
    from ..bundle.reader import Bundle


def examine(
    bundle: str | Path | None = None,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    threads: int = 1,
    options: EngineOptions | None = None,
    world: World | None = None,
    expect_sha256: str | None = None,
) -> Report:
    """Look at a machine, and where it is this one also open and run an engine on each device that nothing speaks
    against. bundle: checked, and used for the trial; without it the trial takes a small one that ships with punctum.

    expect_sha256: of the bundle, as `Bundle.load` takes it. Raises InputError for a device that does not exist. A
    bundle that is damaged, or has another digest, is a finding, not an error.
    """
    if bundle is None and expect_sha256 is not None:
        raise InputError("option-unfit", "--expect-sha256 without a bundle", "the bundle whose digest it is", "name it")
    wanted = Device.parse(device)
    world = world or World.here()
    facts = Facts()
    if look(world, facts, threads=threads) and world.live:
        _examine_rtx(facts)
    loaded = (
        None
        if bundle is None
        else examine_bundle(bundle, facts, precision=precision, world=world, sha256=expect_sha256)
    )
    examine_video(world, facts)
    verdicts = {kind: _judge(kind, Device(kind), facts) for kind in KINDS}
    if wanted.index:
        verdicts[wanted.kind] = _judge(wanted.kind, wanted, facts)
    if world.live and (bundle is None or loaded is not None):
        target = loaded or trial_bundle()
        for kind in KINDS:
            if verdicts[kind].runs:
                place = wanted if kind == wanted.kind else Device(kind)
                given = precision if bundle is not None else "fp32"
                verdicts[kind] = _try(target, place, given, threads, options, own=bundle is not None)
    return Report(
        device,
        _best(verdicts) if wanted.kind == "auto" else verdicts[wanted.kind],
        tuple(verdicts.values()),
        facts.sections,
        tuple(facts.findings),
    )


def _examine_rtx(facts: Facts) -> None:
    """Whether TensorRT for RTX, being the only one here, runs on the GPU."""
    from ..backends.tensorrt.cuda import gpu_here
    from ..backends.tensorrt.library import check_runs_on, load_library

    gpu = gpu_here()
    if gpu is None:
        return
    try:
        check_runs_on(load_library("tensorrt_rtx"), gpu.capability)
    except InputError as error:
        facts.problem("TensorRT", error.given, error.next_step, devices=("tensorrt",))


def _judge(kind: str, device: Device, facts: Facts) -> Verdict:
    stops = facts.stopping(kind)
    return Verdict(str(device), not stops, False, stops[0].text if stops else "nothing speaks against it")


def _try(
    bundle: Bundle, device: Device, precision: str, threads: int, options: EngineOptions | None, *, own: bool
) -> Verdict:
    """Open an engine and run it. An error is the answer, whatever it is: that is the point of trying."""
    from ..backends.onnxruntime.runner import reason
    from ..backends.open import open_backend
    from ..backends.placement import placement_counts
    from ..session.engine import Shape

    name = str(device)
    if device.kind == "tensorrt" and not own:
        return Verdict(name, True, False, "the libraries are there; name a bundle to try the engines built from it")
    try:
        engine = open_backend(
            bundle,
            device=name,
            precision=precision,
            threads=threads,
            options=options,  # type: ignore[arg-type]
        )
        engine.warm([Shape(64), Shape(64, proposals=4)])
    except PunctumError as error:
        return Verdict(name, False, True, str(error))
    except Exception as error:  # noqa: BLE001 - an engine may raise anything
        return Verdict(name, False, True, f"the engine failed: {reason(error)}")
    what = "the bundle" if own else "a small bundle"
    nodes = ", ".join(f"{count} nodes on {provider}" for provider, count in placement_counts(engine).items())
    return Verdict(name, True, True, f"{what} ran on it{f': {nodes}' if nodes else ''}")


def _best(verdicts: dict[str, Verdict]) -> Verdict:
    order = [verdicts[kind] for kind in ("tensorrt", "cuda", "cpu")]
    return next((verdict for verdict in order if verdict.runs), order[-1])
