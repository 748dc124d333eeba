"""Add precision variants to a bundle: make the graphs, measure them, and refuse those that lose too much mAP."""

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
from .accuracy import AccuracyReference, measure_reference
from .calibration import Feeds, collect
from .half import emulate_half, to_half
from .integer import to_int8
from .parity import measure

_Kind = Literal["half", "cpu", "tensorrt"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A precision variant that punctum can make.

    Attributes:
        kind: how its graphs are made.
        targets: engines that it is made for.
        tolerance: of the backbone's fingerprint, in standard deviations of the features.
        about: description for messages.
    """

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
    """Split "fp16,int8" into names, each once. Raises InputError for a name that is not a variant."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or not names:
        raise InputError(
            "precision-unknown",
            f"{text!r} is not a list of precision variants",
            "; ".join(f"{name}: {variant.about}" for name, variant in VARIANTS.items()),
            "use a comma-separated list of these; fp32 is always present",
        )
    return names


def check_max_drop(value: float) -> float:
    """The bound of the loss of mAP, in points. Raises InputError unless it is a finite number of at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError("max-map-drop", f"`max_map_drop` is {value}", "points of mAP, 0 or more", "for example 0.5")
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
    """Add variants to a bundle in memory, replacing those of the same name.

    Args:
        bundle: the bundle.
        names: names from `VARIANTS`.
        data: training videos calibrate, test videos measure the accuracy; see `recordings.open_data`.
        split: split folder of the data set, for the record.
        max_map_drop: largest loss of mAP, in points.
        report: called with a line per variant.

    Returns:
        The bundle with the variants.

    Raises:
        InputError: the data do not fit the bundle.
        PunctumError: a variant loses more than `max_map_drop` points of mAP or gives values that are not finite.
    """
    need_onnx()
    check_max_drop(max_map_drop)
    feeds = collect(bundle, data, split=split)
    reference = measure_reference(bundle, data, split=split)
    records = dict(bundle.manifest.precision)
    content = _without(bundle, names)
    refused = []
    for name in names:
        record, graphs, accuracy = _measured(bundle, name, feeds, reference)
        if accuracy.drop > max_map_drop and len(record.files) > 1 and "backbone" in record.files:
            # Eight bits degrade a small network for images most; the other parts may still work with its fp32 form.
            report(f"{name}: loses {accuracy.drop:.2f} points of mAP with the backbone included; trying without it")
            record, graphs, accuracy = _measured(bundle, name, feeds, reference, excluded=("backbone",))
        figures = f"{100 * accuracy.reference_map:.2f} -> {100 * accuracy.map:.2f}"
        report(
            f"{name}: {', '.join(record.files)} in {sum(map(len, graphs.values())) / 1e6:.2f} MB, at most "
            f"{record.parity['worst']:.1e} from fp32, mAP {figures} ({reference.describe()})"
        )
        if accuracy.drop > max_map_drop:
            refused.append(f"{name} loses {accuracy.drop:.2f} points of mAP ({figures} {reference.describe()})")
        records[name] = record
        content |= graphs
    if refused:
        raise PunctumError(
            "precision-refused",
            "; ".join(refused),
            f"at most {max_map_drop:g} (`max_map_drop`)",
            "leave it out, or raise `max_map_drop`",
        )
    draft = bundle.manifest.model_copy(update={"precision": records})
    return seal_bundle(draft, content, bundle.source)


def _without(bundle: Bundle, names: Sequence[str]) -> dict[str, bytes]:
    """The files of a bundle without those that only the named variants use."""
    dropped = {file for name in names if (r := bundle.manifest.precision.get(name)) for file in r.files.values()}
    return {file: data for file, data in bundle.content.items() if file not in dropped}


def _measured(
    bundle: Bundle, name: str, feeds: Feeds, reference: AccuracyReference, *, excluded: Sequence[Part] = ()
) -> tuple[PrecisionRecord, dict[str, bytes], AccuracyRecord]:
    """The record of one variant, its files, and its accuracy. excluded: parts that stay fp32."""
    ort = import_onnxruntime("measuring a precision variant")
    variant = VARIANTS[name]
    graphs = {
        part: graph
        for part in _parts(bundle, feeds, excluded)
        if (graph := _convert(bundle, variant.kind, part, feeds))
    }
    if not graphs:
        raise InputError(
            "precision-nothing",
            f"No graph of {bundle.source} has a layer large enough for {name}",
            required="a layer with 512 weights or more",
            next_step="leave it out: it would gain nothing",
        )
    files: dict[Part, str] = {part: f"{part}.{name}.onnx" for part in graphs}
    measured = graphs
    if variant.kind == "half":  # ONNX Runtime on the CPU would compute in fp32, without the rounding
        measured = {part: emulate_half(bundle.graph(part), attention=part == "backbone") for part in graphs}
    draft = PrecisionRecord(files=files, targets=variant.targets)
    trial = _with_variant(bundle, name, draft, {files[part]: data for part, data in measured.items()})
    parity = measure(trial, name, feeds)  # first, since it detects overflow
    accuracy = reference.measure(trial, name)
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


def _parts(bundle: Bundle, feeds: Feeds, excluded: Sequence[Part]) -> list[Part]:
    """Parts whose inputs were recorded: a backbone needs videos, a center scorer proposals."""
    parts: list[Part] = ["locator", "center", "backbone"]
    present = [part for part in parts if getattr(bundle.manifest, part) is not None and part not in excluded]
    return [part for part in present if feeds.of(part)]


def _convert(bundle: Bundle, kind: _Kind, part: Part, feeds: Feeds) -> bytes | None:
    graph, name = bundle.graph(part), f"the {part} of {bundle.source}"
    if kind == "half":
        return to_half(graph, attention=part == "backbone", name=name)
    return to_int8(graph, feeds.of(part), style=kind, name=name)


def _with_variant(bundle: Bundle, name: str, record: PrecisionRecord, files: dict[str, bytes]) -> Bundle:
    """The bundle with one variant alone, for measuring it."""
    draft = bundle.manifest.model_copy(update={"precision": {name: record}})
    return seal_bundle(draft, {**_without(bundle, [*bundle.manifest.precision]), **files}, bundle.source)


def _fingerprint(trial: Bundle, name: str, tolerance: float) -> ClipFingerprint | None:
    spec = trial.manifest.backbone
    if spec is None or spec.fingerprint is None:
        return None
    unchecked = spec.model_copy(update={"fingerprint": None})
    backbone = VideoBackbone.from_graph(trial.graph("backbone", name), unchecked, name=trial.source)
    return make_fingerprint(backbone, seed=spec.fingerprint.seed, tolerance=tolerance)
