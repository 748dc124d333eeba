"""What a bundle costs on this machine: compute time per second of media by stage, memory, and time per push.

Decoding is not part of it: it depends on the video and not on the bundle. Variants run the same media in turns, in a
new order every round, so that their ratios are meaningful on a busy machine. Absolute figures are medians of this
measurement.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..backends.options import Device, EngineOptions, EngineSpec
from ..backends.placement import engine_record, placement_counts
from ..errors import InputError, PunctumError
from ..live import LiveOptions
from ..localizer import Localizer
from ..session.engine import node_placement
from ..text.display import counted
from ..warmup import warm_up
from .memory import measure_memory
from .noise import noise_features
from .results import Row, row_of
from .timed import Timed

if TYPE_CHECKING:
    from ..backbone.backbone import VideoBackbone
    from ..bundle.reader import Bundle

F32 = npt.NDArray[np.float32]
STAGES = ("locator", "scorer", "post", "backbone", "all")
_TARGETS = {"cpu": "cpu", "cuda": "cuda", "ort-tensorrt": "tensorrt", "tensorrt": "tensorrt"}
_CLIPS = 8  # of the backbone in a round


@dataclass(slots=True)
class Variant:
    """One device and precision, with its measurements. Times in seconds.

    Attributes:
        name: Device and precision.
        localizer: The opened bundle.
        backbone: Its backbone, if it has one.
        load_s: Time to open both.
        warm_s: Time to warm up.
        memory: MiB of a fresh process before loading, after loading, and after a run; empty where it is unknown.
        rounds: For each round, stage -> seconds per second of media.
        pushes: Seconds of each push of a stream.
        events: Events of the last round.
    """

    name: str
    localizer: Localizer
    backbone: VideoBackbone | None
    load_s: float
    warm_s: float
    memory: dict[str, float]
    rounds: list[dict[str, float]] = field(default_factory=list)
    pushes: list[float] = field(default_factory=list)
    events: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """The result. skipped: variant -> why it was not measured."""

    bundle: str
    media_s: float
    threads: int
    max_delay_s: float
    variants: tuple[Variant, ...]
    skipped: dict[str, str]

    def rows(self) -> list[Row]:
        """The numbers of every variant; ratios are to the first variant, see `to_record`."""
        first, rows = self.variants[0], []
        for variant in self.variants:
            record, name = _record(variant, first), variant.name
            for stage, ratio in record["ratio"].items():
                values = [1e3 * turn[stage] for turn in variant.rounds]
                unit = "ms/s of media"
                rows.append(row_of(f"{name}: {stage}", values, unit, ratio=ratio, baseline=first.name))
            pushes = record["push_ms"]
            rows += [Row(f"{name}: push {q}", ms, "ms") for q, ms in pushes.items() if ms is not None]
            rows += [Row(f"{name}: loading", variant.load_s, "s"), Row(f"{name}: warm-up", variant.warm_s, "s")]
            memory = {key: mib for key, mib in variant.memory.items() if np.isfinite(mib)}
            rows += [Row(f"{name}: memory {key}", mib, "MiB") for key, mib in memory.items()]
        return rows

    def to_record(self) -> dict[str, Any]:
        """For JSON. Ratios are to the first variant: medians over rounds of the two times of the same round."""
        from ..report.facts import machine_facts

        first = self.variants[0]
        return {
            "schema": "punctum.bench/1",
            "bundle": self.bundle,
            "media_s": self.media_s,
            "rounds": len(first.rounds),
            "max_delay_s": self.max_delay_s,
            "variants": [_record(variant, first) for variant in self.variants],
            "left_out": self.skipped,
            "machine": machine_facts(device=first.localizer.backend.actual, threads=self.threads),
        }


def bench(
    path: str | Path,
    *,
    devices: Sequence[str] = ("cpu",),
    precisions: Sequence[str] = (),
    seconds: float = 30.0,
    rounds: int = 5,
    threads: int = 1,
    options: EngineOptions | None = None,
    features: F32 | None = None,
    max_delay_s: float = 1.0,
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
    expect_sha256: str | None = None,
) -> Bench:
    """Measure a bundle.

    Args:
        path: The bundle.
        devices: Devices to measure.
        precisions: Precisions that must run; empty: fp32, and the variants that are meant for a device.
        seconds: Seconds of media per round.
        rounds: Number of rounds.
        threads: CPU threads of every variant.
        options: Further options of every variant.
        features: float32 [T, D] to run instead of smooth noise with the mean and deviation of the training features,
            which costs as much as a busy recording.
        max_delay_s: Maximum reporting delay of the stream.
        watch: Wraps the rounds, for a progress bar.
        expect_sha256: The digest that the bundle must have, see `Bundle.load`.

    Raises:
        InputError: A requested device or precision does not run.
    """
    from ..bundle.reader import Bundle

    if not 1 <= seconds <= 3600:
        raise InputError("seconds", f"A round of {seconds:g} seconds", "1 to 3600", "set `seconds`")
    if not 1 <= rounds <= 1000:
        raise InputError("rounds", f"{counted(rounds, 'round')} requested", "1 to 1000", "set `rounds`")
    bundle = Bundle.load(path, expect_sha256=expect_sha256)
    skipped: dict[str, str] = {}
    variants: list[Variant] = []
    live = LiveOptions(max_delay_s=max_delay_s)
    base = EngineSpec(threads=threads, options=options or EngineOptions())
    for spec, required in _specs(bundle, base, devices, precisions, skipped):
        try:
            variants.append(_open(path, bundle, spec, live))
        except PunctumError as error:
            if required:
                raise
            skipped[_name(spec)] = str(error)
    plan = variants[0].localizer.plan
    if features is None:
        features = noise_features(bundle, max(round(seconds / plan.stride_s), 2))
    for k in watch(range(rounds)):
        order = list(variants)
        random.Random(k).shuffle(order)
        for variant in order:
            variant.rounds.append(_round(variant, features, live))
    return Bench(bundle.id, len(features) * plan.stride_s, threads, max_delay_s, tuple(variants), skipped)


def _name(spec: EngineSpec) -> str:
    return f"{spec.device} {spec.precision}"


def _specs(
    bundle: Bundle, base: EngineSpec, devices: Sequence[str], precisions: Sequence[str], skipped: dict[str, str]
) -> Iterator[tuple[EngineSpec, bool]]:
    """The variants to measure, and whether each must run."""
    for device in devices:
        kind = Device.parse(device).kind
        for precision in precisions or ("fp32",):
            yield replace(base, device=device, precision=precision), True
        for name, record in sorted(bundle.manifest.precision.items()):
            if precisions or name == "fp32":
                continue
            if kind != "auto" and _TARGETS[kind] not in record.targets:
                skipped[f"{device} {name}"] = f"meant for {', '.join(record.targets)}"
            else:
                yield replace(base, device=device, precision=name), False


def _open(path: str | Path, bundle: Bundle, spec: EngineSpec, live: LiveOptions) -> Variant:
    began = time.perf_counter()
    localizer = Localizer.open(bundle, spec)
    backbone = None
    if bundle.manifest.backbone is not None:
        from ..backbone.backbone import VideoBackbone

        backbone = VideoBackbone.open(bundle, spec)
    opened = time.perf_counter()
    if bundle.manifest.post.gate == "none":  # others cannot run as a stream
        warm_up(localizer, live)
    warmed = time.perf_counter()
    memory = measure_memory(str(path), bundle.sha256, spec)
    return Variant(_name(spec), localizer, backbone, opened - began, warmed - opened, memory)


def _round(variant: Variant, features: F32, live: LiveOptions) -> dict[str, float]:
    """Run the media as a whole, then as a stream. Returns stage -> seconds per second of media."""
    localizer, plan = variant.localizer, variant.localizer.plan
    media_s = len(features) * plan.stride_s
    timed = Timed(localizer.backend)
    measured = localizer.with_backend(timed)
    began = time.perf_counter()
    variant.events = len(measured.localize(features))
    total = time.perf_counter() - began
    spent = {"locator": timed.locate_s, "scorer": timed.score_s, "post": total - timed.locate_s - timed.score_s}
    if plan.post.gate == "none":
        session = localizer.session(live=live)
        for first in range(0, len(features), session.hop):
            began = time.perf_counter()
            session.push(features[first : first + session.hop])
            variant.pushes.append(time.perf_counter() - began)
        session.flush()
    if variant.backbone is not None:
        spec = variant.backbone.spec
        clip = np.zeros((1, *spec.clip_shape), np.float32)
        began = time.perf_counter()
        for _ in range(_CLIPS):
            variant.backbone.embed(clip)
        spent["backbone"] = (time.perf_counter() - began) / (_CLIPS * spec.stride_s) * media_s
    spent["all"] = sum(spent.values())
    return {stage: seconds / media_s for stage, seconds in spent.items()}


def _record(variant: Variant, first: Variant) -> dict[str, Any]:
    stages = [stage for stage in STAGES if stage in variant.rounds[0]]
    pushes = 1e3 * np.asarray(variant.pushes or [np.nan])
    times = {s: [1e3 * turn[s] for turn in variant.rounds] for s in stages}
    pairs = list(zip(variant.rounds, first.rounds, strict=True))
    ratios = {s: [own[s] / max(base[s], 1e-12) for own, base in pairs] for s in stages}
    return {
        "name": variant.name,
        **engine_record(variant.localizer.backend),
        "ms_per_media_s": {s: statistics.median(times[s]) for s in stages},
        "spread_ms_per_media_s": {s: [min(times[s]), max(times[s])] for s in stages},
        "ratio": {s: statistics.median(ratios[s]) for s in stages},
        "ratio_spread": {s: [min(ratios[s]), max(ratios[s])] for s in stages},
        "push_ms": {
            name: None if np.isnan(pushes).all() else float(np.percentile(pushes, q))
            for name, q in (("p50", 50), ("p99", 99), ("max", 100))
        },
        "events": variant.events,
        "load_s": variant.load_s,
        "warm_s": variant.warm_s,
        "memory_mib": variant.memory,
        "nodes": placement_counts(variant.localizer.backend),
        "placement": node_placement(variant.localizer.backend),
    }
