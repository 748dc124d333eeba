"""ONNX Runtime as it lies on the disk: which build, which providers, which of their libraries do not load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .findings import Facts
from .libraries import DRIVER, Library, needs_of, remedy
from .telemetry import VARIABLE, wanted
from .world import World

_FILES = {"cuda": "libonnxruntime_providers_cuda.so", "ort-tensorrt": "libonnxruntime_providers_tensorrt.so"}
# Loaded while the provider runs, not linked: without it convolutions fail.
_LATER = {"cuda": ("libcudnn.so.9",), "ort-tensorrt": ()}


@dataclass(frozen=True, slots=True)
class Build:
    """The module that `import onnxruntime` finds. package: the wheel that wrote it last; cuda: version it was built
    for, "" for none; providers: kind of device -> the provider's library file."""

    folder: Path
    package: str
    version: str
    cuda: str
    providers: dict[str, Path]


def find_build(world: World) -> Build | None:
    """None where there is no ONNX Runtime, or only the leftovers of one."""
    for folder in world.site:
        capi = Path(folder) / "onnxruntime" / "capi"
        if not any(capi.glob("onnxruntime_pybind11_state*")):
            continue
        about = capi / "build_and_package_info.py"
        text = about.read_bytes().decode("utf-8", "replace") if about.is_file() else ""
        said = dict(re.findall(r"^(\w+)\s*=\s*['\"]([^'\"]*)['\"]", text, re.M))
        providers = {kind: capi / name for kind, name in _FILES.items() if (capi / name).is_file()}
        return Build(
            capi.parent,
            said.get("package_name", "onnxruntime"),
            said.get("__version__", "unknown"),
            said.get("cuda_version", ""),
            providers,
        )
    return None


def leftovers(world: World) -> Path | None:
    """A folder `onnxruntime` without the library itself, which Python imports as an empty package."""
    if find_build(world) is not None:
        return None
    return next((p for f in world.site if (p := Path(f) / "onnxruntime").is_dir()), None)


def missing(world: World, build: Build, kind: str) -> list[Library]:
    """Libraries that a provider links to, or loads as it runs, and that do not load here."""
    file = build.providers.get(kind)
    return [] if file is None else [x for x in needs_of(world, file, later=_LATER[kind]) if not x.loads]


def examine_onnxruntime(world: World, facts: Facts, *, jetson: bool) -> Build | None:
    """Facts and problems of the ONNX Runtime that would be imported."""
    build = find_build(world)
    if build is None:
        broken = leftovers(world)
        if broken is not None:
            facts.problem(
                "ONNX Runtime",
                f"{broken} is what an uninstall left behind: it imports, and holds no library",
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
        facts.say("ONNX Runtime", installed="no")
        return None
    facts.say(
        "ONNX Runtime",
        build=f"{build.package} {build.version}",
        cuda=f"built for CUDA {build.cuda}" if build.cuda else "no",
        telemetry=f"on: {VARIABLE} says so" if wanted(world.environ) else f"off ({VARIABLE}=1 before it is loaded)",
    )
    if wanted(world.environ):
        facts.note(
            "ONNX Runtime",
            f"{VARIABLE}={world.environ[VARIABLE].strip()}: ONNX Runtime may report its use to its maker",
            f"unset {VARIABLE}: punctum then switches telemetry off",
        )
    for kind, name in (("cuda", "CUDA"), ("ort-tensorrt", "TensorRT")):
        if kind not in build.providers:
            facts.add("ONNX Runtime", {f"{name} provider": "not in this wheel"})
            facts.problem(
                "ONNX Runtime",
                f"the wheel {build.package} {build.version} has no {name} provider",
                "use --device tensorrt or cpu on a Jetson"
                if jetson
                else f"pip uninstall -y {build.package}, then pip install 'onnxruntime-gpu[cuda,cudnn]'",
                devices=(kind,),
            )
            continue
        absent = missing(world, build, kind)
        facts.add(
            "ONNX Runtime",
            {f"{name} provider": f"misses {', '.join(x.name for x in absent)}" if absent else "its libraries load"},
        )
        by_source: dict[str, list[str]] = {}
        for library in absent:
            if library.name != DRIVER:  # which is a finding of its own
                by_source.setdefault(remedy(library.name, jetson=jetson), []).append(library.name)
        for source, names in by_source.items():
            facts.problem(
                "ONNX Runtime",
                f"the {name} provider of {build.package} {build.version} needs {', '.join(names)}, not found here",
                source,
                devices=(kind,),
            )
    return build
