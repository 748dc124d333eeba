"""What lies in a folder of engines, and which of it would run here."""

from __future__ import annotations

import hashlib
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
    """One engine. state: "usable", "ignored" (damaged, stale, or for another machine), "unchecked" (whole, but no
    GPU here that could tell). reason: why it is not usable; empty where it is."""

    file: str
    state: str
    reason: str
    part: str = ""
    precision: str = ""
    compute_capability: str = ""
    library: str = ""
    bytes: int = 0


def check_engines(folder: str | Path, bundle: Bundle | None = None, *, gpu: Gpu | None = None) -> list[EngineState]:
    """State of every engine in a folder; an empty list for an empty or absent one.

    bundle: also say which were built from other graphs than its own. gpu: the device to judge by; by default the one
    here. Builds nothing and changes nothing. Raises InputError where `folder` is a file.
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
    told: dict[str, Any] = {
        "file": record.file,
        "part": key.part,
        "precision": key.precision,
        "compute_capability": key.capability,
        "library": f"{key.library} {key.version}",
        "bytes": record.size,
    }
    if entry.problem:
        return EngineState(state="ignored", reason=entry.problem, **told)
    library = next((found for found in libraries if found.name == key.library), None)
    wrong = key.misfits(library=(library.name, library.version) if library else None, gpu=gpu)
    if library is None:
        wrong.append(f"{key.library} is not installed here")
    elif not wrong and malformed(library, store.blob(record.file)):
        wrong.append(f"{key.library} says that the engine is malformed")
    if bundle is not None and key.graph not in _graphs(bundle, key.part):
        wrong.append(f"not built from the {key.part} of {bundle.id}")
    if wrong:
        return EngineState(state="ignored", reason="; ".join(wrong), **told)
    if gpu is None:
        return EngineState(state="unchecked", reason="no GPU here to run it on", **told)
    return EngineState(state="usable", reason="", **told)


def malformed(library: Library, engine: bytes) -> bool:
    """Whether the library's own look at an engine's header finds no engine (RTX only; it needs no GPU)."""
    kinds = getattr(library.api, "EngineInvalidityDiagnostics", None)
    if kinds is None or not engine:
        return not engine
    logger, _ = library.logger()
    runtime = library.api.Runtime(logger)
    _, diagnostics = runtime.get_engine_validity(engine)
    return bool(int(diagnostics) & int(getattr(kinds, MALFORMED)))


def _graphs(bundle: Bundle, part: str) -> set[str]:
    """Hashes of one part's graph in every precision of a bundle."""
    if getattr(bundle.manifest, part, None) is None:
        return set()
    return {
        hashlib.sha256(bundle.graph(part, name)).hexdigest()  # type: ignore[arg-type]
        for name in bundle.manifest.precisions
    }
