"""The examination: collect facts about the machine and the bundle, then try the devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..backends.auto import ORDER
from ..backends.options import CPU, Device, EngineSpec
from ..errors import InputError, PunctumError
from ..machine.examine import examine_host
from ..machine.findings import KINDS, Facts
from ..machine.host import Host
from .bundle import examine_bundle, trial_bundle
from .report import DeviceStatus, DoctorReport
from .video import examine_video

if TYPE_CHECKING:
    from ..bundle.reader import Bundle


def examine(
    bundle: str | Path | None = None,
    spec: EngineSpec = CPU,
    *,
    host: Host | None = None,
    expect_sha256: str | None = None,
) -> DoctorReport:
    """Examine a machine. On this machine, also open and run an engine on each device without a known obstacle.

    Args:
        bundle: A bundle to check, with which the devices are tried; default: a small bundle that ships with punctum.
        spec: The device to report on, and the precision, threads and options with which every device is tried.
        host: The machine; default: this one.
        expect_sha256: The digest that the bundle must have, see `Bundle.load`.

    Returns:
        The report. A bundle that is damaged or has another digest is a finding in it, not an error.

    Raises:
        InputError: `expect_sha256` without a bundle.
    """
    if bundle is None and expect_sha256 is not None:
        raise InputError("option-unfit", "`expect_sha256` needs a bundle", next_step="name the bundle")
    wanted, host, facts = spec.place, host or Host.here(), Facts()
    if examine_host(host, facts, threads=spec.threads) and host.local:
        _examine_rtx(facts)
    loaded = None
    if bundle is not None:
        loaded = examine_bundle(bundle, facts, precision=spec.precision, host=host, sha256=expect_sha256)
    examine_video(host, facts)
    statuses = {kind: _expected(Device(kind), facts) for kind in KINDS}
    if wanted.index:
        statuses[wanted.kind] = _expected(wanted, facts)
    if host.local and (bundle is None or loaded is not None):
        for kind in KINDS:
            if statuses[kind].runs:
                place = wanted if kind == wanted.kind else Device(kind)
                statuses[kind] = _try(loaded, replace(spec, device=str(place)))
    return DoctorReport(
        spec.device,
        _selected(statuses) if wanted.kind == "auto" else statuses[wanted.kind],
        tuple(statuses.values()),
        facts.sections,
        tuple(facts.findings),
    )


def _examine_rtx(facts: Facts) -> None:
    """Whether TensorRT for RTX, the only TensorRT here, runs on the GPU."""
    from ..backends.tensorrt.cuda import gpu_here
    from ..backends.tensorrt.library import check_runs_on, load_library

    gpu = gpu_here()
    if gpu is None:
        return
    try:
        check_runs_on(load_library("tensorrt_rtx"), gpu.capability)
    except InputError as error:
        facts.problem("TensorRT", error.given, error.next_step, devices=("tensorrt",))


def _expected(device: Device, facts: Facts) -> DeviceStatus:
    """The status of a device before it is tried."""
    blocking = facts.blocking(device.kind)
    reason = blocking[0].text if blocking else "no known obstacle"
    return DeviceStatus(str(device), not blocking, False, reason)


def _try(bundle: Bundle | None, spec: EngineSpec) -> DeviceStatus:
    """Open an engine and run it. Any error is the result. Without a bundle, the one for trials runs in fp32."""
    from ..backends.failures import failure_text
    from ..backends.open import open_engine
    from ..backends.placement import placement_counts
    from ..session.engine import Shape

    device = str(spec.place)
    if spec.place.kind == "tensorrt" and bundle is None:
        return DeviceStatus(device, True, False, "the libraries are installed; name a bundle to try its engines")
    name = "the bundle" if bundle is not None else "a small bundle"
    try:
        engine = open_engine(bundle or trial_bundle(), spec if bundle is not None else replace(spec, precision="fp32"))
        engine.warm([Shape(64), Shape(64, proposals=4)])
    except PunctumError as error:
        return DeviceStatus(device, False, True, str(error))
    except Exception as error:  # noqa: BLE001 - an engine may raise anything
        return DeviceStatus(device, False, True, f"the engine failed: {failure_text(error)}")
    nodes = ", ".join(f"{count} nodes on {provider}" for provider, count in placement_counts(engine).items())
    return DeviceStatus(device, True, True, f"ran {name}{f', {nodes}' if nodes else ''}")


def _selected(statuses: dict[str, DeviceStatus]) -> DeviceStatus:
    """The status of the device that "auto" would use."""
    order = [statuses[kind] for kind in ORDER]
    return next((status for status in order if status.runs), order[-1])
