"""Compose a backbone: read the parts, write one graph, and compare it with the separate networks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.fingerprint import check_clips_apart, make_fingerprint
from punctum.runtime.bundle.backbone_part import BackbonePart
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.bundle.limits import BACKBONE_PARTS, DIMENSION
from punctum.runtime.errors import InputError, PunctumError

from ..graphs.backbone import GRAPH_FILE, ExportedBackbone
from .assemble import assemble
from .canvas import choose_clip, frame_places, match_rates
from .components import fit_parts
from .network import run_network
from .options import PartOptions
from .part import Part
from .resample import apply, resampling
from .source import read_part

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
TOLERANCE = 1e-3
"""Largest difference between graph and separate networks, relative to the largest feature of the part, or to 1."""
_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Composed:
    """A composed backbone.

    Attributes:
        backbone: Ready to be written.
        parity: Largest difference from the separate network, by part.
    """

    backbone: ExportedBackbone
    parity: dict[str, float]


def compose_backbone(
    options: Sequence[PartOptions],
    *,
    videos: Sequence[Path] = (),
    size: tuple[int, int] | None = None,
    timed: bool = False,
    watch: Callable[[Sequence[Path]], Iterable[Path]] | None = None,
    name: str = "the composed backbone",
) -> Composed:
    """Compose a backbone.

    Args:
        options: The parts, in the order of their columns.
        videos: Footage to fit principal components on.
        size: Height and width of the frames; None: chosen by the parts.
        timed: Measure the cost of each part.
        watch: Wraps the list of videos, for a progress bar.
        name: Of the backbone, for messages.

    Raises:
        InputError: A part cannot be read or does not fit the others.
        PunctumError: The graph differs from the separate networks.
    """
    _check_count(options)
    parts = match_rates(_named(read_part(each) for each in options))
    choose_clip(parts, size)  # before the footage is read
    parts = fit_parts(parts, videos, watch=watch, size=size)
    spec = choose_clip(parts, size)
    if sum(part.dim for part in parts) > DIMENSION:
        raise InputError(
            "part-count",
            f"The parts have {sum(part.dim for part in parts):,} columns",
            f"at most {DIMENSION:,}",
            "set components, or leave a part out",
        )
    costs = [_cost(part, spec) if timed else None for part in parts]
    spec = spec.model_copy(update={"file": GRAPH_FILE, "parts": _records(parts, costs)})
    graph = assemble(parts, spec)
    backbone = VideoBackbone.from_graph(graph, spec, name=name)
    parity = compare(parts, backbone)
    check_clips_apart(backbone)
    sealed = spec.model_copy(update={"fingerprint": make_fingerprint(backbone)})
    return Composed(ExportedBackbone(name, sealed, graph, backbone.dim, backbone.digest, None), parity)


def compare(parts: Sequence[Part], backbone: VideoBackbone) -> dict[str, float]:
    """Largest difference of each part's columns from its network run alone, on random clips.

    Raises:
        PunctumError: A difference exceeds `TOLERANCE`.
    """
    rng = np.random.default_rng(0)
    shape = backbone.spec.clip_shape
    coarse = rng.random((2, *shape[:2], -(-shape[2] // 8), -(-shape[3] // 8)), np.float32)
    clips = np.kron(coarse, np.ones((8, 8), np.float32))[..., : shape[2], : shape[3]]
    clips = np.clip(clips + 0.1 * rng.random(clips.shape, np.float32), 0, 1).astype(np.float32)
    together = backbone.embed(clips)
    report, at = {}, 0
    for part in parts:
        expected = separate_features(part, backbone.spec, clips)
        difference = float(np.abs(together[:, at : at + part.dim] - expected).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if not difference <= allowed:
            raise PunctumError(
                "part-parity",
                f"Part {part.name} differs by {difference:.2e} from its network run alone",
                required=f"at most {allowed:.0e}",
                next_step="export the network with another operator set, or report this",
            )
        report[part.name] = difference
        at += part.dim
    return report


def separate_features(part: Part, clip: BackboneSpec, clips: F32) -> F64:
    """Features of one part, by its own network and NumPy: clips of the composed backbone -> [N, part.dim]."""
    network, spec = part.network, part.spec
    made = resampling(spec, clip)
    sets = []
    for places in frame_places(part, clip):
        frames = clips[:, places]
        pictures = apply(made, frames.reshape(-1, *frames.shape[2:])).astype(np.float32)
        if network.takes_images:
            images = pictures.transpose(0, 2, 3, 1) if network.layout == "NHWC" else pictures
            rows = run_network(network, np.ascontiguousarray(images), part.name)
            sets.append(rows.reshape(len(clips), len(places), -1).astype(np.float64).mean(axis=1))
            continue
        groups = pictures.reshape(len(clips), len(places), *pictures.shape[1:])
        if network.layout == "NCTHW":
            groups = groups.transpose(0, 2, 1, 3, 4)
        sets.append(run_network(network, np.ascontiguousarray(groups), part.name).astype(np.float64))
    features: F64 = sets[0]
    if part.give != "features":
        change = sets[0] - sets[1]
        features = change if part.give == "change" else np.concatenate([sets[0], change], axis=1)
    if part.components is not None:
        features = (features - part.components.mean) @ part.components.matrix.astype(np.float64)
    return features


def _check_count(options: Sequence[PartOptions]) -> None:
    if not 1 <= len(options) <= BACKBONE_PARTS:
        raise InputError(
            "part-count", f"There are {len(options)} parts", f"1 to {BACKBONE_PARTS}", "give `part` for each"
        )


def _named(parts: Iterable[Part]) -> list[Part]:
    """The parts, with a number added to a name that another part has."""
    named: list[Part] = []
    for part in parts:
        taken = {other.name.casefold() for other in named}
        count, name = 1, part.name
        while name.casefold() in taken:
            count += 1
            name = f"{part.name}-{count}"
        named.append(replace(part, name=name))
    return named


def _records(parts: Sequence[Part], costs: Sequence[float | None]) -> tuple[BackbonePart, ...]:
    records, at = [], 0
    for part, cost in zip(parts, costs, strict=True):
        records.append(
            BackbonePart(
                name=part.name,
                columns=(at, at + part.dim),
                source_sha256=part.source_sha256,
                license=part.license,
                publisher=part.publisher,
                settings=part.settings,
                ms_per_frame=None if cost is None else round(cost, 3),
            )
        )
        at += part.dim
    return tuple(records)


def _cost(part: Part, spec: BackboneSpec) -> float:
    """Processor milliseconds per frame of the video, of the graph with this part only, in one thread."""
    backbone = VideoBackbone.from_graph(assemble([part], spec), spec, name=part.name)
    clip = np.random.default_rng(0).random((1, *spec.clip_shape), np.float32)
    backbone.embed(clip)
    seconds = []
    for _ in range(_ROUNDS):
        began = time.thread_time()
        backbone.embed(clip)
        seconds.append(time.thread_time() - began)
    return 1000 * statistics.median(seconds) / spec.snippet_frames
