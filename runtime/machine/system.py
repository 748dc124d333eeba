"""The system: cores that this process may use, Jetson or not."""

from __future__ import annotations

import os
import platform
import re

from ..text.display import counted
from .cores import quota_cores, usable_cores
from .findings import Facts
from .host import Host

_JETPACK = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}  # L4T release -> JetPack


def examine_system(host: Host, facts: Facts, *, threads: int) -> None:
    """Processor, cores and their limits; a note where more threads are planned than there are cores."""
    total = len(re.findall(r"^processor\s*:", host.text("/proc/cpuinfo"), re.M)) or os.cpu_count() or 1
    limit = quota_cores(host.text)
    usable = min(usable_cores(host.text, affinity=host.affinity if host.local else total), total)
    facts.record(
        "Machine",
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(host),
        cores=total,
        cores_by_affinity=host.affinity,
        cores_by_cgroup=limit,
        usable_cores=usable,
    )
    if threads > usable:
        facts.note(
            "Machine",
            f"{counted(threads, 'thread')} on {usable:g} usable cores: more threads than cores only compete for them",
            f"use `threads={max(int(usable), 1)}`",
        )


def jetson(host: Host) -> str:
    """ "JetPack 6.2 (L4T 36.4.3)", with the board's name where it is known; "" on any other machine."""
    release = re.match(r"#\s*R(\d+)[^,]*,\s*REVISION:\s*([\d.]+)", host.text("/etc/nv_tegra_release"))
    packages = host.text("/var/lib/dpkg/status")
    exact = re.search(r"^Package: nvidia-jetpack$(?:\n.+)*?\nVersion: ([\d.]+)", packages, re.M)
    board = host.text("/proc/device-tree/model")
    core = re.search(r"^Package: nvidia-l4t-core$(?:\n.+)*?\nVersion: (\d+)\.([\d.]+)", packages, re.M)
    release = release or core
    if release is None:
        return f"{board}, no L4T release found" if "Jetson" in board else ""
    major = _JETPACK.get(release[1], "?")
    name = exact[1].rstrip(".") if exact else major
    text = f"JetPack {name} (L4T {release[1]}.{release[2]})"
    return f"{text} on {board}" if board else text


def examine_jetson(host: Host, facts: Facts) -> bool:
    """Add a note on what differs on a Jetson. Returns whether this is one."""
    system = jetson(host)
    if not system:
        return False
    facts.record("Machine", jetson=system)
    facts.note(
        "Machine",
        f"{system}: the package index has no onnxruntime-gpu for Jetson",
        'use `device="tensorrt"` with JetPack\'s TensorRT (run `punctum build` on this machine), or `device="cpu"`',
    )
    return True


def _processor(host: Host) -> str:
    for line in host.text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()
