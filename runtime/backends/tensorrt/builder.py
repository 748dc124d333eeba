"""Build one engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...bundle.graph_scan import check_graph
from ...bundle.graphs import PartGraph
from ...errors import InputError, PunctumError
from ..failures import failure_text
from .key import EngineKey, Gpu, canonical
from .library import Library, Messages, library_error
from .profiles import Profile, Sizes, plan_profiles
from .store import EngineStore, Record


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
class EngineBuilder:
    """Builds engines with one library into one folder.

    Attributes:
        library: The library that builds.
        gpu: The GPU to build on; None for a library that needs none.
        sizes: Sizes that the graphs have to take.
        store: The folder of engines.
        bundle_id: The id of the bundle, for the engine's record.
        tf32: Let fp32 products round to ten bits.
        rebuild: Also build engines that exist and fit.
    """

    library: Library
    gpu: Gpu | None
    sizes: Sizes
    store: EngineStore
    bundle_id: str
    tf32: bool = False
    rebuild: bool = False

    def build(self, task: BuildTask) -> BuildResult:
        """Build one engine, or return the one that exists and fits.

        Raises:
            InputError: The library does not support an operator of the graph.
            PunctumError: Building fails.
        """
        began, library = time.perf_counter(), self.library
        check_graph(task.graph.data, task.name)  # the parser would also read files beside the graph
        logger, messages = library.logger()
        builder = library.api.Builder(logger)
        network = builder.create_network(library.network_flags)
        parser = library.api.OnnxParser(network, logger)
        if not parser.parse(task.graph.data):
            raise _parse_error(library, parser, task.name, messages)
        inputs = [network.get_input(k) for k in range(network.num_inputs)]
        profiles = plan_profiles(task.graph.part, {i.name: tuple(i.shape) for i in inputs}, self.sizes)
        key = self._key(task, profiles)
        existing = None if self.rebuild else self.store.get(key)
        if existing is not None:
            return BuildResult(existing, 0.0, True)
        config = self._configure(builder, task, profiles, messages)
        if library.keeps_timings:
            config.set_timing_cache(config.create_timing_cache(self.store.blob(self._timings)), False)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise library_error(
                "engine-build",
                f"{library.name} {library.version} cannot build {task.name} for compute capability {task.capability}",
                messages,
                next_step="check the library's message; another precision may build",
            )
        if library.keeps_timings:
            _save_timings(self.store, self._timings, config)
        seconds = time.perf_counter() - began
        facts = {
            "bundle": self.bundle_id,
            "seconds": round(seconds, 3),
            "layers": int(network.num_layers),
            "inputs": {i.name: [_type(i.dtype), *i.shape] for i in inputs},
        }
        return BuildResult(self.store.put(key, bytes(plan), facts), seconds, False, tuple(messages.warnings))

    @property
    def _timings(self) -> str:
        """The file of kernel timings, which are valid for one library and one kind of GPU."""
        gpu = "".join(c if c.isalnum() else "-" for c in self.gpu.name.lower()) if self.gpu else "none"
        return f"timing-{self.library.name}-{self.library.version}-{gpu}.cache"

    def _configure(self, builder: Any, task: BuildTask, profiles: Sequence[Profile], messages: Messages) -> Any:
        library = self.library
        config = builder.create_builder_config()
        if not self.tf32:
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

    def _key(self, task: BuildTask, profiles: Sequence[Profile]) -> EngineKey:
        # RTX compiles for the device and driver at run time, so its engines depend on neither.
        gpu = None if self.library.rtx else self.gpu
        return EngineKey(
            part=task.graph.part,
            precision=task.graph.precision,
            graph=task.graph.sha256,
            library=self.library.name,
            version=self.library.version,
            capability=task.capability,
            device=gpu.name if gpu else "",
            driver=gpu.driver if gpu else "",
            cuda=gpu.cuda if gpu else "",
            profiles=canonical([profile.as_data() for profile in profiles]),
            flags=canonical({"tf32": self.tf32}),
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
