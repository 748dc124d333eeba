"""The examination: look at everything, then try the devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..backends._options import Device, EngineOptions
from ..errors import InputError, PunctumError
from ._bundle import examine_bundle, trial_bundle
from ._findings import KINDS, Facts, Finding, Report, Verdict
from ._gpu import examine_driver, examine_tensorrt
from ._machine import examine_cache, examine_jetson, examine_machine
from ._onnxruntime import examine_onnxruntime
from ._wheels import examine_wheels
from ._world import World

if TYPE_CHECKING:
    from ..bundle import Bundle


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
    look(world, facts, threads=threads)
    loaded = (
        None
        if bundle is None
        else examine_bundle(bundle, facts, precision=precision, world=world, sha256=expect_sha256)
    )
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


def look(world: World, facts: Facts, *, threads: int = 1) -> None:
    """Everything that can be seen without opening an engine."""
    packages = examine_wheels(world, facts)
    examine_machine(world, facts, threads=threads)
    jetson = examine_jetson(world, facts)
    build = examine_onnxruntime(world, facts, jetson=jetson)
    examine_driver(world, facts, build, jetson=jetson)
    examine_tensorrt(world, facts, packages, build)
    if world.live:
        from punctum import kernels

        examine_cache(world, facts, package=Path(kernels.__path__[0]))


def what_stops(device: str, world: World | None = None) -> list[Finding]:
    """Problems of this machine that keep a kind of device ("cuda", ...) from running, and beside them those that may
    be the cause, as wheels that overwrite each other; [] where none stops it."""
    facts = Facts()
    look(world or World.here(), facts)
    stops = facts.stopping(device)
    return stops + [f for f in facts.findings if stops and f.level == "problem" and not f.devices]


def _judge(kind: str, device: Device, facts: Facts) -> Verdict:
    stops = facts.stopping(kind)
    return Verdict(str(device), not stops, False, stops[0].text if stops else "nothing speaks against it")


def _try(
    bundle: Bundle, device: Device, precision: str, threads: int, options: EngineOptions | None, *, own: bool
) -> Verdict:
    """Open an engine and run it. An error is the answer, whatever it is: that is the point of trying."""
    from ..backends import open_backend
    from ..backends._placement import placement_counts
    from ..backends._protocol import Shape
    from ..backends._runner import reason

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
