"""ONNX Runtime as installed: which build, which providers, and which of their libraries do not load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .findings import Facts
from .host import Host
from .libraries import DRIVER, Library, needs_of, remedy
from .telemetry import VARIABLE, telemetry_enabled

_FILES = {"cuda": "libonnxruntime_providers_cuda.so", "ort-tensorrt": "libonnxruntime_providers_tensorrt.so"}
# Loaded at run time instead of linked; without it convolutions fail.
_LATER = {"cuda": ("libcudnn.so.9",), "ort-tensorrt": ()}


@dataclass(frozen=True, slots=True)
class Build:
    """The module that `import onnxruntime` imports.

    Attributes:
        folder: Its folder.
        package: The package that wrote it last.
        version: Its version.
        cuda: The version of CUDA for which it was built; "" for none.
        providers: Kind of device -> library file of the provider.
    """

    folder: Path
    package: str
    version: str
    cuda: str
    providers: dict[str, Path]


def find_build(host: Host) -> Build | None:
    """The installed build; None where there is none, or only the remains of one."""
    for folder in host.site:
        capi = Path(folder) / "onnxruntime" / "capi"
        if not any(capi.glob("onnxruntime_pybind11_state*")):
            continue
        about = capi / "build_and_package_info.py"
        text = about.read_bytes().decode("utf-8", "replace") if about.is_file() else ""
        fields = dict(re.findall(r"^(\w+)\s*=\s*['\"]([^'\"]*)['\"]", text, re.M))
        providers = {kind: capi / name for kind, name in _FILES.items() if (capi / name).is_file()}
        return Build(
            capi.parent,
            fields.get("package_name", "onnxruntime"),
            fields.get("__version__", "unknown"),
            fields.get("cuda_version", ""),
            providers,
        )
    return None


def find_remains(host: Host) -> Path | None:
    """A folder `onnxruntime` without the library itself, which Python imports as an empty package."""
    if find_build(host) is not None:
        return None
    return next((p for f in host.site if (p := Path(f) / "onnxruntime").is_dir()), None)


def missing_libraries(host: Host, build: Build, kind: str) -> list[Library]:
    """Libraries that a provider links to, or loads at run time, and that do not load here."""
    file = build.providers.get(kind)
    return [] if file is None else [x for x in needs_of(host, file, later=_LATER[kind]) if not x.loads]


def examine_onnxruntime(host: Host, facts: Facts, *, jetson: bool) -> Build | None:
    """Facts about the ONNX Runtime that would be imported, and problems with it."""
    build = find_build(host)
    if build is None:
        broken = find_remains(host)
        if broken is not None:
            facts.problem(
                "ONNX Runtime",
                f"{broken} remains from an uninstall: it can be imported, but has no library",
                "pip install --force-reinstall onnxruntime (or onnxruntime-gpu)",
                devices=("cpu", "cuda", "ort-tensorrt"),
            )
        else:
            facts.problem(
                "ONNX Runtime",
                "onnxruntime is not installed",
                "pip install 'punctum[cpu]', or 'punctum[cuda]' for NVIDIA GPUs",
                devices=("cpu", "cuda", "ort-tensorrt"),
            )
        facts.record("ONNX Runtime", installed="no")
        return None
    facts.record(
        "ONNX Runtime",
        build=f"{build.package} {build.version}",
        cuda=f"built for CUDA {build.cuda}" if build.cuda else "no",
        telemetry=f"on: set by {VARIABLE}"
        if telemetry_enabled(host.environ)
        else f"off ({VARIABLE}=1 before it is loaded)",
    )
    if telemetry_enabled(host.environ):
        facts.note(
            "ONNX Runtime",
            f"{VARIABLE}={host.environ[VARIABLE].strip()}: ONNX Runtime may report usage data to its vendor",
            f"unset {VARIABLE}; punctum then switches telemetry off",
        )
    for kind, name in (("cuda", "CUDA"), ("ort-tensorrt", "TensorRT")):
        if kind not in build.providers:
            facts.add("ONNX Runtime", {f"{name} provider": "not in this package"})
            facts.problem(
                "ONNX Runtime",
                f"the package {build.package} {build.version} has no {name} provider",
                'on a Jetson use `device="tensorrt"` or `device="cpu"`'
                if jetson
                else f"pip uninstall -y {build.package}, then pip install 'onnxruntime-gpu[cuda,cudnn]'",
                devices=(kind,),
            )
            continue
        absent = missing_libraries(host, build, kind)
        facts.add(
            "ONNX Runtime",
            {f"{name} provider": f"lacks {', '.join(x.name for x in absent)}" if absent else "its libraries load"},
        )
        by_source: dict[str, list[str]] = {}
        for library in absent:
            if library.name != DRIVER:  # reported as a finding of its own
                by_source.setdefault(remedy(library.name, jetson=jetson), []).append(library.name)
        for source, names in by_source.items():
            facts.problem(
                "ONNX Runtime",
                f"the {name} provider of {build.package} {build.version} needs {', '.join(names)}, not loadable here",
                source,
                devices=(kind,),
            )
    return build
