"""From a bundle's ONNX graphs to engines on disk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...bundle.graph_scan import check_graph
from ...bundle.precision import REFERENCE, Part
from ...datatypes import compact
from ...errors import InputError, PunctumError
from ...session.plan import Plan
from ..onnxruntime.runner import reason
from .key import EngineKey, Gpu, canonical
from .library import Library, Messages, failed, load_library, pick_capabilities
from .profiles import Profile, Sizes, plan_profiles, plan_sizes
from .store import EngineStore, Record

if TYPE_CHECKING:
    from ...bundle.reader import Bundle

PARTS: tuple[Part, ...] = ("locator", "center", "backbone")


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Task:
    """One engine to build. precision: of this part's graph; a part that a variant leaves out is the fp32 one."""

    part: Part
    precision: str
    graph: bytes
    capability: str


@dataclass(frozen=True, slots=True)
class Built:
    """One engine. kept: it was there and fits, so it was not built again. seconds: what building took."""

    record: Record
    seconds: float
    kept: bool
    warnings: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """For --json."""
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
class Request:
    """How to build. tf32: let fp32 products round to ten bits, which TensorRT does unless told otherwise; off here,
    so that fp32 means fp32. lengths, proposals: see `profiles.plan_sizes`. rebuild: also what is there and fits."""

    precisions: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    library: str = "auto"
    lengths: tuple[int, ...] = ()
    proposals: tuple[int, ...] = ()
    tf32: bool = False
    rebuild: bool = False
    parts: tuple[Part, ...] = field(default=PARTS)


def build_engines(
    bundle: Bundle,
    out: str | Path,
    request: Request = Request(),
    *,
    say: Callable[[Task], None] | None = None,
) -> list[Built]:
    """Engines of all graphs of a bundle, in a folder; `say` is told of each before it is built.

    Raises InputError for a precision that the bundle does not have, a library that is absent, a capability that it
    cannot build, an operator that it does not know; PunctumError where building fails. Engines that were finished by
    then stay.
    """
    tasks = [
        (part, name, bundle.graph(part, name))
        for part, name in _parts(bundle, request.precisions or buildable(bundle), request.parts)
    ]
    library, store = load_library(request.library), EngineStore(out)
    gpu = _gpu(library, request.capabilities)
    capabilities = pick_capabilities(library, request.capabilities, gpu.capability if gpu else None)
    sizes = plan_sizes(plan_of(bundle), lengths=request.lengths, proposals=request.proposals)
    built = []
    for capability in capabilities:
        for part, precision, graph in tasks:
            task = Task(part, precision, graph, capability)
            if say is not None:
                say(task)
            built.append(_build(task, bundle.id, library, gpu, sizes, store, request))
    return built


def buildable(bundle: Bundle) -> tuple[str, ...]:
    """fp32, and the variants that were made for TensorRT."""
    return tuple(
        name
        for name in bundle.manifest.precisions
        if name == REFERENCE or "tensorrt" in bundle.manifest.precision[name].targets
    )


def part_precision(bundle: Bundle, part: Part, precision: str) -> str:
    """The precision of one part under a variant of the bundle: fp32 for a part that the variant leaves out."""
    variant = bundle.manifest.precision.get(precision)
    return precision if variant is not None and part in variant.files else REFERENCE


def plan_of(bundle: Bundle) -> Plan:
    """What bounds the sizes of a bundle's runs."""
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


def _parts(bundle: Bundle, precisions: Sequence[str], wanted: Sequence[Part]) -> list[tuple[Part, str]]:
    for precision in precisions:
        bundle.check_precision(precision)
    held = [part for part in PARTS if part in wanted and getattr(bundle.manifest, part) is not None]
    if not held:
        raise InputError("bundle-part", f"{bundle.source} has none of {', '.join(wanted)}", ", ".join(PARTS), "")
    return list(dict.fromkeys((part, part_precision(bundle, part, name)) for name in precisions for part in held))


def _gpu(library: Library, capabilities: Sequence[str]) -> Gpu | None:
    """The device under the build; RTX needs none, and tensorrt has none for a capability by name."""
    from .cuda import Cuda, gpu_here

    if library.capabilities:
        return None if capabilities else gpu_here()
    if capabilities and gpu_here() is None:
        return None  # `pick_capabilities` says what is wrong with that
    return Cuda.open().gpu


def _build(
    task: Task, bundle_id: str, library: Library, gpu: Gpu | None, sizes: Sizes, store: EngineStore, request: Request
) -> Built:
    began = time.perf_counter()
    check_graph(task.graph, f"the {task.part} in {task.precision}")  # the parser would look for other files as well
    logger, messages = library.logger()
    builder = library.api.Builder(logger)
    network = builder.create_network(library.network_flags)
    parser = library.api.OnnxParser(network, logger)
    what = f"the {task.part} in {task.precision}"
    if not parser.parse(task.graph):
        raise _refused(library, parser, what, messages)
    inputs = [network.get_input(k) for k in range(network.num_inputs)]
    profiles = plan_profiles(task.part, {i.name: tuple(i.shape) for i in inputs}, sizes)
    key = _key(task, library, gpu, profiles, request)
    held = None if request.rebuild else store.get(key)
    if held is not None:
        return Built(held, 0.0, True)
    config = _configure(builder, library, task.capability, profiles, request, what, messages)
    timings = _timing_name(library, gpu)
    if library.keeps_timings:
        cache = config.create_timing_cache(store.blob(timings))
        config.set_timing_cache(cache, False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise failed(
            "engine-build",
            f"{library.name} {library.version} cannot build {what} for compute capability {task.capability}",
            messages,
            step="see what the library says; another precision may build",
        )
    if library.keeps_timings:
        _keep_timings(store, timings, config)
    seconds = time.perf_counter() - began
    facts = {
        "bundle": bundle_id,
        "seconds": round(seconds, 3),
        "layers": int(network.num_layers),
        "inputs": {i.name: [_type(i.dtype), *i.shape] for i in inputs},
    }
    return Built(store.put(key, bytes(plan), facts), seconds, False, tuple(messages.warnings))


def _configure(
    builder: Any,
    library: Library,
    capability: str,
    profiles: Sequence[Profile],
    request: Request,
    what: str,
    messages: Messages,
) -> Any:
    config = builder.create_builder_config()
    if not request.tf32:
        config.clear_flag(library.api.BuilderFlag.TF32)
    for profile in profiles:
        made = builder.create_optimization_profile()
        for name, (low, best, high) in profile.shapes.items():
            made.set_shape(name, low, best, high)
        if config.add_optimization_profile(made) < 0:
            raise failed("engine-build", f"{library.name} takes no profile for {what}", messages)
    if library.capabilities:
        config.num_compute_capabilities = 1
        config.set_compute_capability(library.capabilities[capability], 0)
    return config


def _key(task: Task, library: Library, gpu: Gpu | None, profiles: Sequence[Profile], request: Request) -> EngineKey:
    # RTX compiles for the device and driver when it runs, so its engines depend on neither.
    own = None if library.rtx else gpu
    return EngineKey(
        part=task.part,
        precision=task.precision,
        graph=hashlib.sha256(task.graph).hexdigest(),
        library=library.name,
        version=library.version,
        capability=task.capability,
        device=own.name if own else "",
        driver=own.driver if own else "",
        cuda=own.cuda if own else "",
        profiles=canonical([profile.as_data() for profile in profiles]),
        flags=canonical({"tf32": request.tf32}),
    )


def _refused(library: Library, parser: Any, what: str, messages: Messages) -> InputError:
    """Which operator of the graph the parser does not take."""
    faults = []
    for k in range(parser.num_errors):
        error = parser.get_error(k)
        node = getattr(error, "node_name", lambda: "")() or f"number {error.node()}"
        operator = getattr(error, "node_operator", lambda: "")()
        faults.append(f"node {node}{f' ({operator})' if operator else ''}: {reason(error.desc())}")
    return InputError(
        "engine-parse",
        f"{library.name} {library.version} does not take {what}: {'; '.join(faults[:3]) or messages.last()}",
        "a graph of operators that it knows",
        "export the bundle with this version of punctum, or use another precision",
    )


def _timing_name(library: Library, gpu: Gpu | None) -> str:
    """Timings hold for one library and one kind of device."""
    where = "".join(c if c.isalnum() else "-" for c in gpu.name.lower()) if gpu else "none"
    return f"timing-{library.name}-{library.version}-{where}.cache"


def _keep_timings(store: EngineStore, name: str, config: Any) -> None:
    """Add the timings of this build to those that are there now; another build may have written meanwhile."""

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
        return  # a build that succeeded does not fail for want of a faster next one


def _type(kind: Any) -> str:
    return str(getattr(kind, "name", kind)).lower()
