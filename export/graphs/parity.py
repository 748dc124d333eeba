"""Do the exported graphs reproduce the modules? Compared over lengths and numbers of proposals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from punctum.runtime import PunctumError
from punctum.runtime.backends.onnxruntime.session import import_onnxruntime
from punctum.training.arrays import F32
from punctum.training.models.checkpoint import Run
from punctum.training.models.torch_backend import TorchBackend

from ..probes import COUNTS, LENGTHS, random_segments

TOLERANCE = 2e-5
"""Largest absolute difference of outputs, which lie in 0..1."""


def check_parity(run: Run, locator: bytes, center: bytes | None) -> dict[str, Any]:
    """Compare both graphs in ONNX Runtime with the modules in torch.

    Args:
        run: the run with the modules.
        locator: the locator's graph.
        center: the center scorer's graph, or None.

    Returns:
        The differences by graph and size, for parity.json.

    Raises:
        PunctumError: a difference exceeds `TOLERANCE`, or a shape differs.
    """
    ort = import_onnxruntime("checking the exported graphs")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    sessions: list[Any] = [
        None if graph is None else ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for graph in (locator, center)
    ]
    torch.set_num_threads(max(1, min(2, torch.get_num_threads())))
    backend = TorchBackend(run.locator, run.center)
    rng = np.random.default_rng(0)
    spec = run.feature_spec
    mean, deviation = (spec.fingerprint.mean, spec.fingerprint.std) if spec.fingerprint else (0.0, 1.0)
    report: dict[str, Any] = {
        "locator": {},
        "center": {},
        "tolerance": TOLERANCE,
        "onnxruntime": ort.__version__,
        "torch": torch.__version__,
    }
    for length in LENGTHS:
        features = (mean + deviation * rng.normal(0, 1, (length, spec.dim))).astype(np.float32)
        expected = backend.locate(features)
        single = [part[0] for part in sessions[0].run(None, {"features": features[None]})]
        report["locator"][f"T={length}"] = _difference(expected, single)
        stack = np.stack([features[::-1], features, features * np.float32(0.5)])
        batch = sessions[0].run(None, {"features": stack})
        report["locator"][f"B=3,T={length}"] = _difference(backend.locate_many(stack), batch)
        if sessions[1] is None:
            continue
        tracks = np.concatenate([expected[0], expected[1][:, None]], 1)
        for count in COUNTS:
            segments = random_segments(rng, length, count)
            labels = rng.integers(0, len(run.labels), count)
            feeds = {"features": features, "tracks": tracks, "segments": segments, "labels": labels}
            names = [i.name for i in sessions[1].get_inputs()]
            outputs = sessions[1].run(["class_probability", "attention", "center"], {n: feeds[n] for n in names})
            report["center"][f"T={length},M={count}"] = _difference(
                backend.score(features, tracks, segments, labels), outputs
            )
    worst = max([*report["locator"].values(), *report["center"].values()])
    report["worst"] = worst
    if worst > TOLERANCE:
        raise PunctumError(
            "parity",
            f"The exported graphs differ from the model by {worst:.2e}",
            required=f"at most {TOLERANCE:.0e}",
            next_step="report this",
        )
    return report


def _difference(expected: Sequence[F32], outputs: Sequence[F32]) -> float:
    """Largest absolute difference of two sets of outputs. Raises PunctumError if a shape differs."""
    for a, b in zip(expected, outputs, strict=True):
        if a.shape != b.shape:
            raise PunctumError(
                "parity-shape", f"A graph returned {b.shape}", f"{a.shape}", "report this: the graph has a fixed length"
            )
    return max((float(np.abs(a - b).max()) for a, b in zip(expected, outputs, strict=True) if a.size), default=0.0)
