"""Examine a machine: what is installed, and what is missing for a device. Nothing is opened on a device."""

from __future__ import annotations

from .findings import Facts, Finding
from .gpu import examine_driver, examine_tensorrt
from .host import Host
from .kernels import examine_kernels
from .onnxruntime import examine_onnxruntime
from .system import examine_jetson, examine_system
from .wheels import examine_wheels


def examine_host(host: Host, facts: Facts, *, threads: int = 1) -> bool:
    """Collect everything that can be observed without opening an engine.

    Args:
        host: The machine.
        facts: Receives facts and findings.
        threads: CPU threads that are planned for an engine.

    Returns:
        Whether TensorRT for RTX is the only TensorRT that is installed.
    """
    packages = examine_wheels(host, facts)
    examine_system(host, facts, threads=threads)
    jetson = examine_jetson(host, facts)
    build = examine_onnxruntime(host, facts, jetson=jetson)
    examine_driver(host, facts, build, jetson=jetson)
    rtx_only = examine_tensorrt(host, facts, packages, build)
    if host.local:
        examine_kernels(host, facts)
    return rtx_only


def blocking_findings(device: str, host: Host | None = None) -> list[Finding]:
    """Why a kind of device ("cuda" and so on) does not run on a machine; [] where no obstacle is known.

    Problems that block no device by themselves but may be the cause, such as wheels that overwrite each other, follow
    those that do.
    """
    facts = Facts()
    examine_host(host or Host.here(), facts)
    blocking = facts.blocking(device)
    return blocking + [f for f in facts.findings if blocking and f.level == "problem" and not f.devices]
