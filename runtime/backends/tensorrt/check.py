"""Which engines a folder contains, and which of them would run here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .key import Gpu
from .library import Library, installed_libraries
from .store import EngineStore, Entry

if TYPE_CHECKING:
    from ...bundle.reader import Bundle

MALFORMED = "MALFORMED_ENGINE"


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine in a folder.

    Attributes:
        file: Its file, or that of its record.
        state: "usable"; "ignored": damaged, stale, or for another machine; "unchecked": intact, but there is no GPU
            here to check it against.
        reason: Why it is not usable; empty for a usable engine.
        part: Part of the bundle.
        precision: Precision of the graph.
        compute_capability: The capability for which it was built.
        library: Library and version that built it.
        bytes: Size of the engine.
    """

    file: str
    state: str
    reason: str
    part: str = ""
    precision: str = ""
    compute_capability: str = ""
    library: str = ""
    bytes: int = 0


def check_engines(folder: str | Path, bundle: Bundle | None = None, *, gpu: Gpu | None = None) -> list[EngineState]:
    """State of every engine in a folder; an empty list for an empty or absent folder. Changes nothing.

    Args:
        folder: The folder of engines.
        bundle: Report engines that were built from other graphs than those of this bundle as ignored.
        gpu: The GPU to check against; default: the one here.

    Raises:
        InputError: `folder` is a file.
    """
    from .cuda import gpu_here

    store, libraries, gpu = EngineStore(folder), installed_libraries(), gpu or gpu_here()
    return [_state(entry, store, libraries, gpu, bundle) for entry in store.entries()]


def _state(
    entry: Entry, store: EngineStore, libraries: list[Library], gpu: Gpu | None, bundle: Bundle | None
) -> EngineState:
    if entry.record is None:
        return EngineState(entry.path.name, "ignored", entry.problem)
    record, key = entry.record, entry.record.key
    fields: dict[str, Any] = {
        "file": record.file,
        "part": key.part,
        "precision": key.precision,
        "compute_capability": key.capability,
        "library": f"{key.library} {key.version}",
        "bytes": record.size,
    }
    if entry.problem:
        return EngineState(state="ignored", reason=entry.problem, **fields)
    library = next((installed for installed in libraries if installed.name == key.library), None)
    wrong = key.mismatches(library=(library.name, library.version) if library else None, gpu=gpu)
    if library is None:
        wrong.append(f"{key.library} is not installed here")
    elif not wrong and malformed(library, store.blob(record.file)):
        wrong.append(f"{key.library} reports that the engine is malformed")
    if bundle is not None and key.graph not in _graph_hashes(bundle, key.part):
        wrong.append(f"not built from the {key.part} of {bundle.id}")
    if wrong:
        return EngineState(state="ignored", reason="; ".join(wrong), **fields)
    if gpu is None:
        return EngineState(state="unchecked", reason="there is no GPU here to check it against", **fields)
    return EngineState(state="usable", reason="", **fields)


def malformed(library: Library, engine: bytes) -> bool:
    """Whether the library's own check of the header rejects an engine (RTX only; it needs no GPU)."""
    kinds = getattr(library.api, "EngineInvalidityDiagnostics", None)
    if kinds is None or not engine:
        return not engine
    logger, _ = library.logger()
    runtime = library.api.Runtime(logger)
    _, diagnostics = runtime.get_engine_validity(engine)
    return bool(int(diagnostics) & int(getattr(kinds, MALFORMED)))


def _graph_hashes(bundle: Bundle, part: str) -> set[str]:
    """SHA-256 of one part's graph in every precision of a bundle."""
    return {graph.sha256 for name in bundle.manifest.precisions for graph in bundle.graphs(name) if graph.part == part}
