"""How far the outputs of a variant are from fp32: over lengths and proposal counts on noise, and on real inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.runtime import Bundle
from punctum.runtime.backends.onnxruntime.backend import OnnxBackend
from punctum.runtime.backends.onnxruntime.session import open_session
from punctum.runtime.bundle.precision import REFERENCE
from punctum.runtime.errors import PunctumError

from .calibration import Feed, Feeds

LENGTHS = (1, 2, 97, 1000)  # those of export.parity, which needs torch and this does not
COUNTS = (0, 1, 3000)
STACK = 3


def measure(bundle: Bundle, precision: str, feeds: Feeds, *, seed: int = 0) -> dict[str, float]:
    """Largest differences from fp32: "locator" and "center" (outputs in 0..1) on noise, "worst" of the two; and
    "locator_data", "center_data" and "backbone_data" (as a part of the features' deviation) on the recorded inputs.

    Raises PunctumError where an output is not finite.
    """
    reference, variant = (OnnxBackend.open(bundle.graphs(name)) for name in (REFERENCE, precision))
    found = {"locator": 0.0}
    rng = np.random.default_rng(seed)
    spec = bundle.manifest.features
    mean, std = (spec.fingerprint.mean, spec.fingerprint.std) if spec.fingerprint else (0.0, 1.0)
    for length in LENGTHS:
        features = (mean + std * rng.normal(0, 1, (length, spec.dim))).astype(np.float32)
        tracks = reference.locate(features)
        found["locator"] = max(found["locator"], _difference(precision, tracks, variant.locate(features)))
        stack = np.stack([features] * STACK)
        gap = _difference(precision, reference.locate_many(stack), variant.locate_many(stack))
        found["locator"] = max(found["locator"], gap)
        if bundle.manifest.center is None:
            continue
        both = np.concatenate([tracks[0], tracks[1][:, None]], axis=1)
        for count in COUNTS:
            segments = np.sort(rng.uniform(-0.5, length - 0.5, (count, 2)), axis=1).astype(np.float32)
            segments[:, 1] = np.maximum(segments[:, 1], segments[:, 0] + 0.05)
            given = (features, both, segments, rng.integers(0, len(bundle.labels), count))
            gap = _difference(precision, reference.score(*given), variant.score(*given))
            found["center"] = max(found.get("center", 0.0), gap)
    found["worst"] = max(found.values())
    for feed in feeds.locator:
        gap = _difference(precision, reference.locate_many(feed["features"]), variant.locate_many(feed["features"]))
        found["locator_data"] = max(found.get("locator_data", 0.0), gap)
    for feed in feeds.center:
        given = (feed["features"], feed["tracks"], feed["segments"], feed["labels"])
        gap = _difference(precision, reference.score(*given), variant.score(*given))
        found["center_data"] = max(found.get("center_data", 0.0), gap)
    if "backbone" in bundle.manifest.precision[precision].files:
        found["backbone_data"] = _backbone(bundle, precision, feeds.backbone)
    return found


def _backbone(bundle: Bundle, precision: str, feeds: Sequence[Feed]) -> float:
    rows = []
    for name in (REFERENCE, precision):
        session = open_session(bundle.graph("backbone", name), "the backbone", purpose="comparing graphs")
        rows.append(np.concatenate([session.run(None, feed)[0] for feed in feeds]))
    return _difference(precision, rows[:1], rows[1:]) / max(float(rows[0].std()), 1e-6)


def _difference(precision: str, expected: Sequence[npt.NDArray[Any]], got: Sequence[npt.NDArray[Any]]) -> float:
    worst = 0.0
    for a, b in zip(expected, got, strict=True):
        if a.shape != b.shape:
            raise PunctumError("parity-shape", f"{precision} returned {b.shape}", f"{a.shape}", "report this")
        if not np.isfinite(b).all():
            raise PunctumError(
                "precision-overflow",
                f"{precision} gives numbers that are not finite",
                "a network whose values stay within the range of this precision (65504 for fp16)",
                f"leave {precision} out, or train with features that are normalised",
            )
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)))
    return worst
