"""Look at a machine: what is there, and what is missing for a device."""

from __future__ import annotations

from pathlib import Path

from .findings import Facts, Finding
from .gpu import examine_driver, examine_tensorrt
from .machine import examine_cache, examine_jetson, examine_machine
from .onnxruntime import examine_onnxruntime
from .wheels import examine_wheels
from .world import World


def look(world: World, facts: Facts, *, threads: int = 1) -> bool:
    """Everything that can be seen without opening an engine. Returns whether TensorRT for RTX is the only TensorRT."""
    packages = examine_wheels(world, facts)
    examine_machine(world, facts, threads=threads)
    jetson = examine_jetson(world, facts)
    build = examine_onnxruntime(world, facts, jetson=jetson)
    examine_driver(world, facts, build, jetson=jetson)
    rtx_only = examine_tensorrt(world, facts, packages, build)
    if world.live:
        from punctum import kernels

        examine_cache(world, facts, package=Path(kernels.__path__[0]))
    return rtx_only


def what_stops(device: str, world: World | None = None) -> list[Finding]:
    """Problems of this machine that keep a kind of device ("cuda", ...) from running, and beside them those that may
    be the cause, as wheels that overwrite each other; [] where none stops it."""
    facts = Facts()
    look(world or World.here(), facts)
    stops = facts.stopping(device)
    return stops + [f for f in facts.findings if stops and f.level == "problem" and not f.devices]
