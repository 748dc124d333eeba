"""Memory of a fresh process that runs one variant."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

from ..backends.options import EngineSpec
from ..localizer import Localizer
from .noise import noise_features


def measure_memory(path: str, sha256: str, spec: EngineSpec) -> dict[str, float]:
    """Memory of a fresh process that loads and runs the variant; {} where it cannot be measured."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report_memory, args=(sender, path, sha256, spec), daemon=True)
    try:
        process.start()
        sender.close()
        memory: dict[str, float] = receiver.recv() if receiver.poll(120) else {}
    except (EOFError, OSError):
        memory = {}
    finally:
        process.join(timeout=5)
        if process.is_alive():
            process.kill()
    return memory


def _report_memory(pipe: Any, path: str, sha256: str, spec: EngineSpec) -> None:
    from ..bundle.reader import Bundle

    bundle = Bundle.load(path, expect_sha256=sha256)
    before = _resident()
    localizer = Localizer.open(bundle, spec)
    loaded = _resident()
    localizer.localize(noise_features(bundle, 512))
    pipe.send({"before": before, "loaded": loaded, "after_a_run": _resident()})


def _resident() -> float:
    """MiB of memory in use by this process; NaN where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return float("nan")
    return pages * 4096 / 2**20
