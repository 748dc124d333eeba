"""Differences of a variant from fp32: on noise, over lengths and numbers of proposals, and on recorded inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from punctum.runtime import Bundle
from punctum.runtime.backends.onnxruntime.backend import OnnxBackend
from punctum.runtime.backends.onnxruntime.session import open_session
from punctum.runtime.bundle.precision import REFERENCE
from punctum.runtime.errors import PunctumError
from punctum.training.arrays import F32

from ..probes import COUNTS, LENGTHS, random_segments
from .calibration import Feed, Feeds

STACK = 3
"""Windows of a batch."""


def measure(bundle: Bundle, precision: str, feeds: Feeds, *, seed: int = 0) -> dict[str, float]:
    """Largest differences of a variant from fp32.

    Args:
        bundle: a bundle with the variant.
        precision: its name.
        feeds: recorded inputs.
        seed: of the noise.

    Returns:
        On noise, "locator" and "center" (outputs in 0..1), and "worst" of the two. On the recorded inputs,
        "locator_data", "center_data", and "backbone_data" in standard deviations of the features.

    Raises:
        PunctumError: an output is not finite.
    """
    reference, variant = (OnnxBackend.open(bundle.graphs(name)) for name in (REFERENCE, precision))
    differences = {"locator": 0.0}

    def compare(key: str, expected: Sequence[F32], outputs: Sequence[F32]) -> None:
        differences[key] = max(differences.get(key, 0.0), _difference(precision, expected, outputs))

    rng = np.random.default_rng(seed)
    spec = bundle.manifest.features
    mean, std = (spec.fingerprint.mean, spec.fingerprint.std) if spec.fingerprint else (0.0, 1.0)
    for length in LENGTHS:
        features = (mean + std * rng.normal(0, 1, (length, spec.dim))).astype(np.float32)
        tracks = reference.locate(features)
        compare("locator", tracks, variant.locate(features))
        stack = np.stack([features] * STACK)
        compare("locator", reference.locate_many(stack), variant.locate_many(stack))
        if bundle.manifest.center is None:
            continue
        joined = np.concatenate([tracks[0], tracks[1][:, None]], axis=1)
        for count in COUNTS:
            segments = random_segments(rng, length, count)
            arguments = (features, joined, segments, rng.integers(0, len(bundle.labels), count))
            compare("center", reference.score(*arguments), variant.score(*arguments))
    differences["worst"] = max(differences.values())
    for feed in feeds.locator:
        windows = feed["features"]
        compare("locator_data", reference.locate_many(windows), variant.locate_many(windows))
    for feed in feeds.center:
        arguments = (feed["features"], feed["tracks"], feed["segments"], feed["labels"])
        compare("center_data", reference.score(*arguments), variant.score(*arguments))
    if "backbone" in bundle.manifest.precision[precision].files:
        differences["backbone_data"] = _backbone_difference(bundle, precision, feeds.backbone)
    return differences


def _backbone_difference(bundle: Bundle, precision: str, feeds: Sequence[Feed]) -> float:
    rows = []
    for name in (REFERENCE, precision):
        session = open_session(bundle.graph("backbone", name), "the backbone", purpose="comparing graphs")
        rows.append(np.concatenate([session.run(None, feed)[0] for feed in feeds]))
    return _difference(precision, rows[:1], rows[1:]) / max(float(rows[0].std()), 1e-6)


def _difference(precision: str, expected: Sequence[F32], outputs: Sequence[F32]) -> float:
    worst = 0.0
    for a, b in zip(expected, outputs, strict=True):
        if a.shape != b.shape:
            raise PunctumError("parity-shape", f"{precision} returned {b.shape}", f"{a.shape}", "report this")
        if not np.isfinite(b).all():
            raise PunctumError(
                "precision-overflow",
                f"{precision} gives values that are not finite",
                "a network whose values stay within the range of the precision (65504 for fp16)",
                f"leave {precision} out, or train on normalized features",
            )
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)))
    return worst
