"""Build engines from the ONNX graphs of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...bundle.graphs import PartGraph
from ...bundle.precision import REFERENCE, Part
from ...errors import InputError
from ...session.plan import Plan
from .builder import BuildResult, BuildTask, EngineBuilder
from .key import Gpu
from .library import Library, load_library, pick_capabilities
from .profiles import plan_sizes
from .store import EngineStore

if TYPE_CHECKING:
    from ...bundle.reader import Bundle

PARTS: tuple[Part, ...] = ("locator", "center", "backbone")


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build, and how.

    Attributes:
        precisions: Variants; empty: fp32 and those that were made for TensorRT.
        capabilities: Compute capabilities, as "8.9"; empty: that of the GPU here.
        library: "tensorrt", "tensorrt_rtx", or "auto": the first that is installed.
        lengths: Upper bounds of window lengths, see `profiles.plan_sizes`.
        proposals: Upper bounds of proposals in one run, see `profiles.plan_sizes`.
        tf32: Let fp32 products round to ten bits, which is TensorRT's default. Off here, so that fp32 means fp32.
        rebuild: Also build engines that exist and fit.
        parts: Parts of the bundle to build.
    """

    precisions: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    library: str = "auto"
    lengths: tuple[int, ...] = ()
    proposals: tuple[int, ...] = ()
    tf32: bool = False
    rebuild: bool = False
    parts: tuple[Part, ...] = PARTS


def build_engines(
    bundle: Bundle,
    out: str | Path,
    request: BuildRequest = BuildRequest(),
    *,
    on_start: Callable[[BuildTask], None] | None = None,
) -> list[BuildResult]:
    """Build engines of the graphs of a bundle into a folder.

    Args:
        bundle: The bundle.
        out: The folder, which may hold other engines.
        request: What to build, and how.
        on_start: Called before each engine is built.

    Raises:
        InputError: A precision that the bundle does not have, a library that is not installed, a capability for which
            it cannot build, or an operator that it does not know.
        PunctumError: Building fails. Engines that were finished before remain.
    """
    graphs = _graphs(bundle, request.precisions or buildable(bundle), request.parts)
    library, store = load_library(request.library), EngineStore(out)
    gpu = _gpu(library, request.capabilities)
    capabilities = pick_capabilities(library, request.capabilities, gpu.capability if gpu else None)
    sizes = plan_sizes(plan_of(bundle), lengths=request.lengths, proposals=request.proposals)
    builder = EngineBuilder(library, gpu, sizes, store, bundle.id, tf32=request.tf32, rebuild=request.rebuild)
    results = []
    for capability in capabilities:
        for graph in graphs:
            task = BuildTask(graph, capability)
            if on_start is not None:
                on_start(task)
            results.append(builder.build(task))
    return results


def buildable(bundle: Bundle) -> tuple[str, ...]:
    """fp32, and the variants that were made for TensorRT."""
    return tuple(
        name
        for name in bundle.manifest.precisions
        if name == REFERENCE or "tensorrt" in bundle.manifest.precision[name].targets
    )


def plan_of(bundle: Bundle) -> Plan:
    """The plan of a bundle, which bounds the sizes of its runs."""
    manifest = bundle.manifest
    return Plan(
        bundle.labels,
        manifest.features.dim,
        manifest.features.stride_s,
        manifest.locator.left,
        manifest.locator.right,
        manifest.post,
        bundle.id,
    )


def _graphs(bundle: Bundle, precisions: Sequence[str], parts: Sequence[Part]) -> list[PartGraph]:
    """Every graph to build, once: variants share the graphs of parts that they do not contain."""
    graphs = {(g.part, g.precision): g for name in precisions for g in bundle.graphs(name) if g.part in parts}
    if not graphs:
        raise InputError("bundle-part", f"{bundle.source} has none of {', '.join(parts)}", ", ".join(PARTS))
    return list(graphs.values())


def _gpu(library: Library, capabilities: Sequence[str]) -> Gpu | None:
    """The GPU to build on. RTX needs none, and tensorrt cannot build for a capability without its GPU."""
    from .cuda import Cuda, gpu_here

    if library.capabilities:
        return None if capabilities else gpu_here()
    if capabilities and gpu_here() is None:
        return None  # `pick_capabilities` raises the error for this
    return Cuda.open().gpu
