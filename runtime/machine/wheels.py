"""Installed packages: which they are, and which of them overwrite each other's files."""

from __future__ import annotations

import re
from importlib import metadata

from .findings import Facts
from .host import Host

# Packages of one group write the same module. The one installed last wins, and removing one breaks both.
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


def installed(host: Host) -> dict[str, str]:
    """Normalized name -> version of what Python would import; of two versions the first on the path."""
    versions: dict[str, str] = {}
    for distribution in metadata.distributions(path=list(host.site)):
        try:
            name, version = distribution.metadata["Name"], distribution.version
        except (KeyError, TypeError, OSError):
            continue  # the remains of an uninstall have no metadata
        if name:
            versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version or "unknown")
    return versions


def examine_wheels(host: Host, facts: Facts) -> dict[str, str]:
    """Versions of the relevant packages; a problem for every set of packages that exclude each other.

    Returns:
        Name -> version of all installed packages.
    """
    versions = installed(host)
    facts.add("Packages", {"Python": host.python})
    shown = {name: versions[name] for name in sorted(versions) if name in _SHOWN or _is_engine(name)}
    facts.add("Packages", {"punctum": versions.get("punctum", "not installed as a package"), **shown})
    for module, matches in _SAME_MODULE.items():
        names = [name for name in sorted(versions) if matches(name)]
        if len(names) > 1:
            facts.problem(
                "Packages",
                f"{' and '.join(names)} are installed together. Both write the module {module}, so the one installed "
                "last runs",
                f"pip uninstall -y {' '.join(names)}, then install the one you need",
            )
    return versions


def _is_engine(name: str) -> bool:
    return name.startswith(("onnxruntime", "ort-nightly", "tensorrt", "nvidia-"))
