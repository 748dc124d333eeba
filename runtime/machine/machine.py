"""The machine: cores that may really be used, Jetson or not, and a place for Numba's cache."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from ..text.display import counted
from .cores import quota_cores, usable_cores
from .findings import Facts
from .world import World

_JETPACK = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}  # L4T release -> JetPack


def examine_machine(world: World, facts: Facts, *, threads: int) -> None:
    """Processor, cores, limits; a note where more threads are asked for than there are cores to run them."""
    total = len(re.findall(r"^processor\s*:", world.text("/proc/cpuinfo"), re.M)) or os.cpu_count() or 1
    limit = quota_cores(world.text)
    usable = min(usable_cores(world.text, affinity=world.affinity if world.live else total), total)
    facts.say(
        "Machine",
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(world),
        cores=total,
        cores_by_affinity=world.affinity,
        cores_by_cgroup=limit,
        usable_cores=usable,
    )
    if threads > usable:
        facts.note(
            "Machine",
            f"{counted(threads, 'thread')} on {usable:g} usable cores: more threads only compete for them",
            f"--threads {max(int(usable), 1)}",
        )


def jetson(world: World) -> str:
    """ "JetPack 6.2 (L4T 36.4.3)", with the board's name where it is known; "" on any other machine."""
    release = re.match(r"#\s*R(\d+)[^,]*,\s*REVISION:\s*([\d.]+)", world.text("/etc/nv_tegra_release"))
    packages = world.text("/var/lib/dpkg/status")
    exact = re.search(r"^Package: nvidia-jetpack$(?:\n.+)*?\nVersion: ([\d.]+)", packages, re.M)
    board = world.text("/proc/device-tree/model")
    core = re.search(r"^Package: nvidia-l4t-core$(?:\n.+)*?\nVersion: (\d+)\.([\d.]+)", packages, re.M)
    release = release or core
    if release is None:
        return f"{board}, no L4T release found" if "Jetson" in board else ""
    major = _JETPACK.get(release[1], "?")
    name = exact[1].rstrip(".") if exact else major
    text = f"JetPack {name} (L4T {release[1]}.{release[2]})"
    return f"{text} on {board}" if board else text


def examine_jetson(world: World, facts: Facts) -> bool:
    """A note on what differs there. Returns whether this is a Jetson."""
    found = jetson(world)
    if not found:
        return False
    facts.say("Machine", jetson=found)
    facts.note(
        "Machine",
        f"{found}: no onnxruntime-gpu for Jetson comes from the package index",
        "--device tensorrt with JetPack's own TensorRT (`punctum build` on this machine), or --device cpu",
    )
    return True


def examine_cache(world: World, facts: Facts, *, package: Path) -> None:
    """Where Numba keeps compiled kernels. package: the folder of the kernels."""
    named = world.environ.get("NUMBA_CACHE_DIR", "")
    home = world.environ.get("XDG_CACHE_HOME") or (
        f"{world.environ['HOME']}/.cache" if world.environ.get("HOME") else ""
    )
    places = [Path(named)] if named else [package / "__pycache__", *([Path(home) / "numba"] if home else [])]
    usable = next((place for place in places if _writable(place)), None)
    compiled = sum(1 for place in places[:1] if place.is_dir() for _ in place.rglob("*.nbi"))
    facts.say("Numba cache", folder=str(usable) if usable else "none", compiled_kernels=compiled)
    if usable is None:
        facts.note(
            "Numba cache",
            f"cannot write {' or '.join(map(str, places))}: every start compiles all kernels again (about half a "
            "minute)",
            "set NUMBA_CACHE_DIR to a folder that this account may write",
        )


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself can be made."""
    while not folder.exists():
        if folder.parent == folder:
            return False
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _processor(world: World) -> str:
    for line in world.text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()
