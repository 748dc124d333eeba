"""Add precision variants to a bundle: make the graphs, measure them, refuse those that lose too much."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from punctum.runtime import Bundle, Dataset
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.fingerprint import make_fingerprint
from punctum.runtime.backends.onnxruntime.session import import_onnxruntime
from punctum.runtime.bundle.backbone_spec import ClipFingerprint
from punctum.runtime.bundle.precision import AccuracyRecord, Part, PrecisionRecord, Target
from punctum.runtime.bundle.writer import seal_bundle
from punctum.runtime.errors import InputError, PunctumError

from . import MAX_MAP_DROP
from ._onnx import need_onnx
from .calibration import Feeds, collect
from .half import emulate_half, to_half
from .integer import to_int8
from .judge import Judge, open_judge
from .parity import measure

_Kind = Literal["half", "cpu", "tensorrt"]


@dataclass(frozen=True, slots=True)
class Variant:
    """targets: engines it is meant for. tolerance: of the backbone's fingerprint, as a part of the deviation."""

    kind: _Kind
    targets: tuple[Target, ...]
    tolerance: float
    about: str


VARIANTS = {
    "fp16": Variant("half", ("cuda", "tensorrt"), 0.01, "half precision for GPUs"),
    "int8": Variant("cpu", ("cpu",), 0.05, "8 bits for ONNX Runtime on the CPU"),
    "int8-trt": Variant("tensorrt", ("tensorrt",), 0.05, "8 bits for TensorRT"),
}


def parse_precisions(text: str) -> tuple[str, ...]:
    """ "fp16,int8" -> names, each once. Raises InputError for one that punctum cannot make."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or not names:
        raise InputError(
            "precision-unknown",
            f"--precision {text!r}",
            "; ".join(f"{name}: {variant.about}" for name, variant in VARIANTS.items()),
            "a comma-separated list of these; fp32 is always there",
        )
    return names


def check_max_drop(value: float) -> float:
    """Points of mAP that a variant may lose. Raises InputError for what is no number of at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError("max-map-drop", f"--max-map-drop {value}", "points of mAP, 0 or more", "for example 0.5")
    return value


def add_variants(
    bundle: Bundle,
    names: Sequence[str],
    data: Dataset,
    *,
    split: str | None = None,
    max_map_drop: float = MAX_MAP_DROP,
    report: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """A bundle in memory with these variants beside those it has; one of the same name is replaced.

    data: training videos calibrate, test videos judge; see `recordings.open_data`. tell: gets a line a variant.
    Raises InputError for data that does not fit, and PunctumError, naming variants and figures, where one loses more
    than `max_map_drop` points of mAP or gives numbers that are not finite.
    """
    need_onnx()
    check_max_drop(max_map_drop)
    feeds = collect(bundle, data, split=split)
    judge = open_judge(bundle, data, split=split)
    records = dict(bundle.manifest.precision)
    content = _without(bundle, names)
    refused = []
    for name in names:
        record, graphs, accuracy = _measured(bundle, name, feeds, judge)
        if accuracy.drop > max_map_drop and len(record.files) > 1 and "backbone" in record.files:
            # A small network for images is what eight bits hurt most, and in fp32 it may still carry the rest.
            report(f"{name}: with its backbone it loses {accuracy.drop:.2f} points of mAP; tried without")
            record, graphs, accuracy = _measured(bundle, name, feeds, judge, leave=("backbone",))
        figures = f"{100 * accuracy.reference_map:.2f} -> {100 * accuracy.map:.2f}"
        report(
            f"{name}: {', '.join(record.files)} in {sum(map(len, graphs.values())) / 1e6:.2f} MB, at most "
            f"{record.parity['worst']:.1e} from fp32, mAP {figures} ({_judged_by(judge)})"
        )
        if accuracy.drop > max_map_drop:
            refused.append(f"{name} loses {accuracy.drop:.2f} points of mAP ({figures} {_judged_by(judge)})")
        records[name] = record
        content |= graphs
    if refused:
        raise PunctumError(
            "precision-refused",
            "; ".join(refused),
            f"at most {max_map_drop:g} (--max-map-drop)",
            "leave it out of --precision, or raise --max-map-drop",
        )
    draft = bundle.manifest.model_copy(update={"precision": records})
    return seal_bundle(draft, content, bundle.source)


def _without(bundle: Bundle, names: Sequence[str]) -> dict[str, bytes]:
    """The files of a bundle but for those that only the named variants use."""
    dropped = {file for name in names if (r := bundle.manifest.precision.get(name)) for file in r.files.values()}
    return {file: data for file, data in bundle.content.items() if file not in dropped}


def _judged_by(judge: Judge) -> str:
    where = " ".join(part for part in (judge.data.name, judge.split, judge.subset) if part)
    return where if judge.least_score is None else f"{where}, agreement with fp32"


def _measured(
    bundle: Bundle, name: str, feeds: Feeds, judge: Judge, *, leave: Sequence[Part] = ()
) -> tuple[PrecisionRecord, dict[str, bytes], AccuracyRecord]:
    """The record of one variant, its files, and what it costs. leave: parts that stay fp32."""
    ort = import_onnxruntime("measuring a precision variant")
    variant = VARIANTS[name]
    graphs = {part: made for part in _parts(bundle, feeds, leave) if (made := _make(bundle, variant.kind, part, feeds))}
    if not graphs:
        raise InputError(
            "precision-nothing",
            f"no graph of {bundle.source} has a product large enough for {name}",
            "networks with 512 weights or more in a layer",
            "leave it out: there is nothing to gain",
        )
    files: dict[Part, str] = {part: f"{part}.{name}.onnx" for part in graphs}
    run = graphs
    if variant.kind == "half":  # the engine on this machine would leave the roundings out
        run = {part: emulate_half(bundle.graph(part), attention=part == "backbone") for part in graphs}
    draft = PrecisionRecord(files=files, targets=variant.targets)
    trial = _with(bundle, name, draft, {files[part]: data for part, data in run.items()})
    parity = measure(trial, name, feeds)  # first: it says what overflows
    accuracy = judge.judge(trial, name)
    record = PrecisionRecord(
        files=files,
        targets=variant.targets,
        parity=parity,
        accuracy=accuracy,
        calibration=None if variant.kind == "half" else feeds.record,
        fingerprint=_fingerprint(trial, name, variant.tolerance) if "backbone" in files else None,
        engine=f"onnxruntime {ort.__version__}" + (", fp16 by rounding" if variant.kind == "half" else ""),
    )
    return record, {files[part]: data for part, data in graphs.items()}, accuracy


def _parts(bundle: Bundle, feeds: Feeds, leave: Sequence[Part]) -> list[Part]:
    """Parts whose inputs were seen; a backbone needs videos, and a scorer proposals."""
    parts: list[Part] = ["locator", "center", "backbone"]
    held = [part for part in parts if getattr(bundle.manifest, part) is not None and part not in leave]
    return [part for part in held if feeds.of(part)]


def _make(bundle: Bundle, kind: _Kind, part: Part, feeds: Feeds) -> bytes | None:
    graph, name = bundle.graph(part), f"the {part} of {bundle.source}"
    if kind == "half":
        return to_half(graph, attention=part == "backbone", name=name)
    return to_int8(graph, feeds.of(part), style=kind, name=name)


def _with(bundle: Bundle, name: str, record: PrecisionRecord, files: dict[str, bytes]) -> Bundle:
    """The bundle with one variant, to try it."""
    draft = bundle.manifest.model_copy(update={"precision": {name: record}})
    return seal_bundle(draft, {**_without(bundle, [*bundle.manifest.precision]), **files}, bundle.source)


def _fingerprint(trial: Bundle, name: str, tolerance: float) -> ClipFingerprint | None:
    spec = trial.manifest.backbone
    if spec is None or spec.fingerprint is None:
        return None
    plain = spec.model_copy(update={"fingerprint": None})
    made = VideoBackbone.from_graph(trial.graph("backbone", name), plain, name=trial.source)
    return make_fingerprint(made, seed=spec.fingerprint.seed, tolerance=tolerance)
