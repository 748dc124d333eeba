"""Does the graph say what the module says? Over lengths and proposal counts, recorded in the bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from punctum.runtime import PunctumError
from punctum.runtime.backends.onnxruntime.session import import_onnxruntime
from punctum.training.models.checkpoint import Run
from punctum.training.models.torch_backend import TorchBackend

LENGTHS = (1, 2, 97, 1000)
COUNTS = (0, 1, 3000)
TOLERANCE = 2e-5


def _difference(expected: tuple[Any, ...], got: list[Any]) -> float:
    for a, b in zip(expected, got, strict=True):
        if a.shape != b.shape:
            raise PunctumError(
                "parity-shape", f"a graph returned {b.shape}", f"{a.shape}", "report this: the graph froze a length"
            )
    return max((float(np.abs(a - b).max()) for a, b in zip(expected, got, strict=True) if a.size), default=0.0)


def check_parity(run: Run, locator: bytes, center: bytes | None) -> dict[str, Any]:
    """Compare both graphs in ONNX Runtime with torch. Raises PunctumError beyond TOLERANCE (absolute, on 0..1)."""
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
    deviation = spec.fingerprint.std if spec.fingerprint else 1.0
    report: dict[str, Any] = {
        "locator": {},
        "center": {},
        "tolerance": TOLERANCE,
        "onnxruntime": ort.__version__,
        "torch": torch.__version__,
    }
    for length in LENGTHS:
        features = (rng.normal(0, 1, (length, spec.dim)) * deviation).astype(np.float32)
        expected = backend.locate(features)
        single = [part[0] for part in sessions[0].run(None, {"features": features[None]})]
        report["locator"][f"T={length}"] = _difference(expected, single)
        stack = np.stack([features[::-1], features, features * np.float32(0.5)])
        both = sessions[0].run(None, {"features": stack})
        report["locator"][f"B=3,T={length}"] = _difference(backend.locate_many(stack), both)
        if sessions[1] is None:
            continue
        tracks = np.concatenate([expected[0], expected[1][:, None]], 1)
        for count in COUNTS:
            segments = np.sort(rng.uniform(-0.5, length - 0.5, (count, 2)), axis=1).astype(np.float32)
            segments[:, 1] = np.maximum(segments[:, 1], segments[:, 0] + 0.05)
            labels = rng.integers(0, len(run.labels), count)
            given = {"features": features, "tracks": tracks, "segments": segments, "labels": labels}
            names = [i.name for i in sessions[1].get_inputs()]
            got = sessions[1].run(["class_probability", "attention", "center"], {n: given[n] for n in names})
            report["center"][f"T={length},M={count}"] = _difference(
                backend.score(features, tracks, segments, labels), got
            )
    worst = max([*report["locator"].values(), *report["center"].values()])
    report["worst"] = worst
    if worst > TOLERANCE:
        raise PunctumError(
            "parity",
            f"the exported graphs differ from the model by {worst:.2e}",
            f"at most {TOLERANCE:.0e}",
            "report this",
        )
    return report
