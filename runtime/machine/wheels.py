"""Installed distributions: which are there, and which overwrite each other's files."""

from __future__ import annotations

import re
from importlib import metadata

from .findings import Facts
from .world import World

# Distributions of one group write the same module; whichever was installed last wins, and removing one breaks both.
_SAME_MODULE = {
    "onnxruntime": re.compile(
        r"onnxruntime(-(gpu|directml|openvino|rocm|migraphx|qnn|cann|vitisai|training|silicon))?"
    ).fullmatch,
    "onnxruntime (nightly)": re.compile(r"ort-nightly(-.+)?|onnxruntime-(easy|genai-cuda)").fullmatch,
    "tensorrt": re.compile(r"tensorrt-cu\d+-bindings").fullmatch,
    "tensorrt_rtx": re.compile(r"tensorrt-rtx-cu\d+-bindings").fullmatch,
    "nvidia.cudnn": re.compile(r"nvidia-cudnn-cu\d+").fullmatch,
}
_SHOWN = ("numpy", "numba", "llvmlite", "pydantic", "typer", "rich", "av", "onnx", "torch", "tritonclient")


def installed(world: World) -> dict[str, str]:
    """Name (normalized) -> version of what Python would import; of two versions the first on the path."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions(path=list(world.site)):
        try:
            name, version = distribution.metadata["Name"], distribution.version
        except (KeyError, TypeError, OSError):
            continue  # the leftovers of a broken uninstall have no metadata
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version or "unknown")
    return found


def examine_wheels(world: World, facts: Facts) -> dict[str, str]:
    """Versions into the section "Packages"; a problem for every set of distributions that exclude each other."""
    found = installed(world)
    facts.add("Packages", {"Python": world.python})
    shown = {name: found[name] for name in sorted(found) if name in _SHOWN or _is_engine(name)}
    facts.add("Packages", {"punctum": found.get("punctum", "not installed as a package"), **shown})
    for module, matches in _SAME_MODULE.items():
        names = [name for name in sorted(found) if matches(name)]
        if len(names) > 1:
            facts.problem(
                "Packages",
                f"{' and '.join(names)} are installed together; both write the module {module}, so what runs is "
                "whichever came last",
                f"pip uninstall -y {' '.join(names)}, then install the one you need",
            )
    return found


def _is_engine(name: str) -> bool:
    return name.startswith(("onnxruntime", "ort-nightly", "tensorrt", "nvidia-"))
