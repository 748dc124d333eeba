"""Build engines from the ONNX graphs of a bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...bundle.graph_scan import check_graph
from ...bundle.graphs import PartGraph
from ...bundle.precision import REFERENCE, Part
from ...errors import InputError, PunctumError
from ...session.plan import Plan
from ..failures import failure_text
from .key import EngineKey, Gpu, canonical
from .library import Library, Messages, library_error, load_library, pick_capabilities
from .profiles import Profile, Sizes, plan_profiles, plan_sizes
from .store import EngineStore, Record

if TYPE_CHECKING:
    from ...bundle.reader import Bundle

PARTS: tuple[Part, ...] = ("locator", "center", "backbone")


@dataclass(frozen=True, slots=True)
class BuildTask:
    """One engine to build: a graph for a compute capability, as "8.9"."""

    graph: PartGraph
    capability: str

    @property
    def name(self) -> str:
        return f"the {self.graph.part} in {self.graph.precision}"


@dataclass(frozen=True, slots=True)
class BuildResult:
    """One engine in the folder.

    Attributes:
        record: Its record.
        seconds: How long building took; 0 for one that was kept.
        kept: It existed and fits, so it was not built again.
        warnings: What the library warned about.
    """

    record: Record
    seconds: float
    kept: bool
    warnings: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """The engine as data for JSON."""
        key = self.record.key
        return {
            "part": key.part,
            "precision": key.precision,
            "compute_capability": key.capability,
            "library": f"{key.library} {key.version}",
            "file": self.record.file,
            "bytes": self.record.size,
            "seconds": round(self.seconds, 3),
            "kept": self.kept,
            "key": key.digest(),
            "warnings": list(self.warnings),
        }


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
    built = []
    for capability in capabilities:
        for graph in graphs:
            task = BuildTask(graph, capability)
            if on_start is not None:
                on_start(task)
            built.append(_build(task, bundle.id, library, gpu, sizes, store, request))
    return built


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


def _build(
    task: BuildTask,
    bundle_id: str,
    library: Library,
    gpu: Gpu | None,
    sizes: Sizes,
    store: EngineStore,
    request: BuildRequest,
) -> BuildResult:
    began = time.perf_counter()
    check_graph(task.graph.data, task.name)  # the parser would also read files beside the graph
    logger, messages = library.logger()
    builder = library.api.Builder(logger)
    network = builder.create_network(library.network_flags)
    parser = library.api.OnnxParser(network, logger)
    if not parser.parse(task.graph.data):
        raise _parse_error(library, parser, task.name, messages)
    inputs = [network.get_input(k) for k in range(network.num_inputs)]
    profiles = plan_profiles(task.graph.part, {i.name: tuple(i.shape) for i in inputs}, sizes)
    key = _key(task, library, gpu, profiles, request)
    existing = None if request.rebuild else store.get(key)
    if existing is not None:
        return BuildResult(existing, 0.0, True)
    config = _configure(builder, library, task, profiles, request, messages)
    timings = _timing_name(library, gpu)
    if library.keeps_timings:
        cache = config.create_timing_cache(store.blob(timings))
        config.set_timing_cache(cache, False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise library_error(
            "engine-build",
            f"{library.name} {library.version} cannot build {task.name} for compute capability {task.capability}",
            messages,
            next_step="check the library's message; another precision may build",
        )
    if library.keeps_timings:
        _save_timings(store, timings, config)
    seconds = time.perf_counter() - began
    facts = {
        "bundle": bundle_id,
        "seconds": round(seconds, 3),
        "layers": int(network.num_layers),
        "inputs": {i.name: [_type(i.dtype), *i.shape] for i in inputs},
    }
    return BuildResult(store.put(key, bytes(plan), facts), seconds, False, tuple(messages.warnings))


def _configure(
    builder: Any,
    library: Library,
    task: BuildTask,
    profiles: Sequence[Profile],
    request: BuildRequest,
    messages: Messages,
) -> Any:
    config = builder.create_builder_config()
    if not request.tf32:
        config.clear_flag(library.api.BuilderFlag.TF32)
    for profile in profiles:
        optimization = builder.create_optimization_profile()
        for name, (low, typical, high) in profile.shapes.items():
            optimization.set_shape(name, low, typical, high)
        if config.add_optimization_profile(optimization) < 0:
            raise library_error("engine-build", f"{library.name} accepts no profile for {task.name}", messages)
    if library.capabilities:
        config.num_compute_capabilities = 1
        config.set_compute_capability(library.capabilities[task.capability], 0)
    return config


def _key(
    task: BuildTask, library: Library, gpu: Gpu | None, profiles: Sequence[Profile], request: BuildRequest
) -> EngineKey:
    # RTX compiles for the device and driver at run time, so its engines depend on neither.
    own = None if library.rtx else gpu
    return EngineKey(
        part=task.graph.part,
        precision=task.graph.precision,
        graph=task.graph.sha256,
        library=library.name,
        version=library.version,
        capability=task.capability,
        device=own.name if own else "",
        driver=own.driver if own else "",
        cuda=own.cuda if own else "",
        profiles=canonical([profile.as_data() for profile in profiles]),
        flags=canonical({"tf32": request.tf32}),
    )


def _parse_error(library: Library, parser: Any, name: str, messages: Messages) -> InputError:
    """The error for a graph with operators that the parser does not support."""
    faults = []
    for k in range(parser.num_errors):
        error = parser.get_error(k)
        node = getattr(error, "node_name", lambda: "")() or f"number {error.node()}"
        operator = getattr(error, "node_operator", lambda: "")()
        faults.append(f"node {node}{f' ({operator})' if operator else ''}: {failure_text(error.desc())}")
    return InputError(
        "engine-parse",
        f"{library.name} {library.version} does not support {name}: {'; '.join(faults[:3]) or messages.last()}",
        required="a graph of operators that the library supports",
        next_step="export the bundle with this version of punctum, or use another precision",
    )


def _timing_name(library: Library, gpu: Gpu | None) -> str:
    """Timings are valid for one library and one kind of device."""
    where = "".join(c if c.isalnum() else "-" for c in gpu.name.lower()) if gpu else "none"
    return f"timing-{library.name}-{library.version}-{where}.cache"


def _save_timings(store: EngineStore, name: str, config: Any) -> None:
    """Add the timings of this build to those in the folder, which another build may have changed meanwhile."""

    def merge(present: bytes) -> bytes:
        cache = config.get_timing_cache()
        if cache is None:
            return b""
        if present:
            cache.combine(config.create_timing_cache(present), False)
        return bytes(cache.serialize())

    try:
        store.merge_blob(name, merge)
    except (PunctumError, RuntimeError, TypeError):
        return  # the build has succeeded; only the next one is slower


def _type(kind: Any) -> str:
    return str(getattr(kind, "name", kind)).lower()
