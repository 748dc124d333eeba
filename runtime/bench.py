"""What a bundle costs on this machine: time a second of media by stage, variants against each other, memory, delay.

Variants run the same media in turns, in a new order every round, so that their ratios mean something on a busy
machine; absolute figures are medians of what was measured here and now.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .backends.options import Device, EngineOptions
from .backends.placement import engine_record, placement_counts
from .errors import InputError, PunctumError
from .live import LiveOptions
from .localizer import Localizer
from .session.engine import locate_windows, node_placement
from .text.display import counted
from .warmup import warm_up

if TYPE_CHECKING:
    from .backbone.backbone import VideoBackbone
    from .bundle.reader import Bundle
    from .session.engine import I64, Backend

F32 = npt.NDArray[np.float32]
STAGES = ("locator", "scorer", "post", "backbone", "all")
_TARGETS = {"cpu": "cpu", "cuda": "cuda", "ort-tensorrt": "tensorrt", "tensorrt": "tensorrt"}
_CLIPS = 8  # of the backbone in a round


@dataclass(slots=True)
class Variant:
    """One device and precision, and what was measured of it. Times in seconds; `rounds`: per round, stage -> seconds a
    second of media. memory: MiB of a process of its own, before and after loading, and its peak."""

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
    """The result. left_out: variant -> why it was not measured."""

    bundle: str
    media_s: float
    threads: int
    max_delay_s: float
    variants: tuple[Variant, ...]
    left_out: dict[str, str]

    def to_record(self) -> dict[str, Any]:
        """For JSON. Ratios are to the first variant: medians over rounds of the two times of the same round."""
        from .report._facts import machine_facts

        first = self.variants[0]
        return {
            "schema": "punctum.bench/1",
            "bundle": self.bundle,
            "media_s": self.media_s,
            "rounds": len(first.rounds),
            "max_delay_s": self.max_delay_s,
            "variants": [_record(variant, first) for variant in self.variants],
            "left_out": self.left_out,
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
    """Measure a bundle. precisions: those that must run; empty: all variants of the bundle meant for a device.

    features: float32 [T, D] in place of made-up ones, which are smooth noise of the training features' mean and
    deviation: they cost what a busy recording costs. seconds: of media a round. max_delay_s: of the live part.
    Raises InputError for a device or a precision that was asked for and does not run.
    """
    from .bundle.reader import Bundle

    if not 1 <= seconds <= 3600:
        raise InputError("seconds", f"{seconds:g} seconds", "1 to 3600", "set --seconds")
    if not 1 <= rounds <= 1000:
        raise InputError("rounds", counted(rounds, "round"), "1 to 1000", "set --rounds")
    bundle = Bundle.load(path, expect_sha256=expect_sha256)
    left_out: dict[str, str] = {}
    variants: list[Variant] = []
    live = LiveOptions(max_delay_s=max_delay_s)
    for device, precision, asked in _wanted(bundle, devices, precisions, left_out):
        try:
            variants.append(_open(path, bundle, device, precision, threads, options, live))
        except PunctumError as error:
            if asked:
                raise
            left_out[f"{device} {precision}"] = str(error)
    plan = variants[0].localizer.plan
    if features is None:
        features = made_up(bundle, max(round(seconds / plan.stride_s), 2))
    for k in watch(range(rounds)):
        order = list(variants)
        random.Random(k).shuffle(order)
        for variant in order:
            variant.rounds.append(_round(variant, features, live))
    return Bench(bundle.id, len(features) * plan.stride_s, threads, max_delay_s, tuple(variants), left_out)


def made_up(bundle: Bundle, rows: int) -> F32:
    """Smooth noise float32 [rows, D] like the bundle's features, the same every time."""
    spec = bundle.manifest.features
    noise = np.random.default_rng(0).standard_normal((rows + 4, spec.dim))
    smooth = sum(noise[k : k + rows] for k in range(5)) / np.sqrt(5.0)
    mean, std = (0.0, 1.0) if spec.fingerprint is None else (spec.fingerprint.mean, spec.fingerprint.std)
    return np.asarray(mean + std * smooth, np.float32)


class Timed:
    """An engine with a watch: seconds spent in each graph."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self.locate_s, self.score_s = backend, 0.0, 0.0
        self.requested, self.actual = backend.requested, backend.actual

    def locate(self, features: F32) -> tuple[F32, F32]:
        began = time.perf_counter()
        found = self._backend.locate(features)
        self.locate_s += time.perf_counter() - began
        return found

    def locate_many(self, windows: F32) -> tuple[F32, F32]:
        began = time.perf_counter()
        found = locate_windows(self._backend, windows)
        self.locate_s += time.perf_counter() - began
        return found

    def score(self, features: F32, tracks: F32, segments: F32, labels: I64) -> tuple[F32, F32, F32]:
        began = time.perf_counter()
        found = self._backend.score(features, tracks, segments, labels)
        self.score_s += time.perf_counter() - began
        return found


def _wanted(
    bundle: Bundle, devices: Sequence[str], precisions: Sequence[str], left_out: dict[str, str]
) -> Iterable[tuple[str, str, bool]]:
    """(device, precision, whether it must run)."""
    for device in devices:
        kind = Device.parse(device).kind
        if precisions:
            yield from ((device, precision, True) for precision in precisions)
            continue
        yield device, "fp32", True
        for name in bundle.manifest.precisions:
            record = bundle.manifest.precision.get(name)
            if name == "fp32" or record is None:
                continue
            if kind != "auto" and _TARGETS[kind] not in record.targets:
                left_out[f"{device} {name}"] = f"meant for {', '.join(record.targets)}"
            else:
                yield device, name, False


def _open(
    path: str | Path,
    bundle: Bundle,
    device: str,
    precision: str,
    threads: int,
    options: EngineOptions | None,
    live: LiveOptions,
) -> Variant:
    given: dict[str, Any] = {"device": device, "precision": precision, "threads": threads, "options": options}
    began = time.perf_counter()
    localizer = Localizer(bundle, **given)
    backbone = None
    if bundle.manifest.backbone is not None:
        from .backbone.backbone import VideoBackbone

        backbone = VideoBackbone.open(bundle, **given)
    opened = time.perf_counter()
    if bundle.manifest.post.gate == "none":  # others cannot run as a stream
        warm_up(localizer, live)
    warmed = time.perf_counter()
    memory = _memory_apart(str(path), bundle.sha256, given)
    return Variant(f"{device} {precision}", localizer, backbone, opened - began, warmed - opened, memory)


def _round(variant: Variant, features: F32, live: LiveOptions) -> dict[str, float]:
    """One turn of one variant: the media as a whole, then as a stream. Returns seconds a second of media by stage."""
    localizer = variant.localizer
    media_s = len(features) * localizer.plan.stride_s
    timed = Timed(localizer.backend)
    measured = localizer.with_backend(timed)
    began = time.perf_counter()
    variant.events = len(measured.localize(features))
    total = time.perf_counter() - began
    spent = {"locator": timed.locate_s, "scorer": timed.score_s, "post": total - timed.locate_s - timed.score_s}
    if localizer.plan.post.gate == "none":
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
    middle = {s: statistics.median(turn[s] for turn in variant.rounds) for s in stages}
    pairs = list(zip(variant.rounds, first.rounds, strict=True))
    return {
        "name": variant.name,
        **engine_record(variant.localizer.backend),
        "ms_per_media_s": {s: 1e3 * middle[s] for s in stages},
        "ratio": {s: statistics.median(own[s] / max(base[s], 1e-12) for own, base in pairs) for s in stages},
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


def _memory_apart(path: str, sha256: str, given: dict[str, Any]) -> dict[str, float]:
    """Memory of a fresh process that loads the variant and runs it; {} where that cannot be known."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_weigh, args=(there, path, sha256, given), daemon=True)
    try:
        process.start()
        there.close()
        found: dict[str, float] = here.recv() if here.poll(120) else {}
    except (EOFError, OSError):
        found = {}
    finally:
        process.join(timeout=5)
        if process.is_alive():
            process.kill()
    return found


def _weigh(pipe: Any, path: str, sha256: str, given: dict[str, Any]) -> None:
    from .bundle.reader import Bundle

    bundle = Bundle.load(path, expect_sha256=sha256)
    before = _resident()
    localizer = Localizer(bundle, **given)
    loaded = _resident()
    localizer.localize(made_up(bundle, 512))
    pipe.send({"before": before, "loaded": loaded, "after_a_run": _resident()})


def _resident() -> float:
    """MiB of memory in use by this process; NaN where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return float("nan")
    return pages * 4096 / 2**20
