"""Trial runs of the graphs of a bundle: shapes and range of the outputs, receptive field, batches, parity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from punctum.runtime import InputError, Localizer, PunctumError
from punctum.runtime.session.engine import Backend, batch_locator

from ._interface import run_graph, shape_error
from ._reach import BLOCK, CUT, ROUNDING, check_reach, choose, columns, measure, rounding
from ._samples import Probe, of_sample, scaled, unit
from .graphs.input_scale import input_scale

if TYPE_CHECKING:
    from torch import nn

F32 = npt.NDArray[np.float32]
PARITY = 1e-4  # between a module and its graph; outputs are in 0..1
LENGTHS = (97, BLOCK, 2, 1)
COUNTS = (0, 1, 7)  # proposals that a scorer is tried with


def check_graphs(localizer: Localizer, locator: bytes, sample: F32 | None) -> list[Probe]:
    """Run both graphs, and raise InputError where they break the rules that a session relies on.

    Args:
        localizer: Both graphs, opened.
        locator: The locator's graph.
        sample: Features of the training, or None for random ones.

    Returns:
        What the features were drawn from.
    """
    backend, plan = localizer.backend, localizer.plan
    rng = np.random.default_rng(0)
    first = unit(plan.dim) if sample is None else of_sample(sample)
    for length in LENGTHS:
        _locate(backend, first.draw(length, rng))
    if sample is None:
        probes = [first, *choose(backend.locate, scaled(plan.dim))]
        stated = input_scale(locator, plan.dim)
        if stated is not None:
            probes.append(Probe(*stated))
            _locate(backend, probes[-1].draw(LENGTHS[0], rng))
    else:
        probes = [first]
    _check_batches(backend, probes, rng)
    reach = measure(backend.locate, probes, plan.left, plan.right)
    check_reach(reach, plan.left, plan.right, sampled=sample is not None)
    features = first.draw(plan.left + plan.right + 3 * BLOCK, rng)
    class_track, actionness = _locate(backend, features)
    tracks = np.concatenate([class_track, actionness[:, None]], axis=1)
    for count in COUNTS:
        segments = np.stack([np.arange(count) * 2.0, np.arange(count) * 2.0 + 3.0], axis=1).astype(np.float32)
        labels = np.arange(count, dtype=np.int64) % len(plan.labels)
        size = f"{count} proposals in a window of {len(features)} snippets"
        terms = run_graph(lambda s=segments, k=labels: backend.score(features, tracks, s, k), "scorer", size)
        _check_range(terms, "scorer", count, [(count, len(plan.labels)), (count,), (count,)])
    return probes


def check_parity(module: nn.Module, localizer: Localizer, probes: Sequence[Probe]) -> None:
    """Raises PunctumError where the graph does not compute what the module does."""
    import torch

    locate = localizer.backend.locate
    for probe in probes:
        rng = np.random.default_rng(0)
        for length in (1, 2, 97):
            features = probe.draw(length, rng)
            with torch.no_grad():
                expected = [output[0].numpy() for output in module(torch.from_numpy(features[None]))]
            found = locate(features)
            noise = rounding(locate, features, columns(found), rng).max()
            worst = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
            if worst > PARITY + ROUNDING * noise:
                raise PunctumError(
                    "parity",
                    f"The exported graph differs from the module by {worst:.2e}",
                    required=f"at most {PARITY:.0e}",
                    next_step="export it to ONNX yourself and pass the file",
                )


def _locate(backend: Backend, features: F32) -> tuple[F32, F32]:
    """The tracks of one window, their shapes and range checked."""
    length = len(features)
    class_track, actionness = run_graph(lambda: backend.locate(features), "locator", f"a window of length {length}")
    if len(class_track) != length or len(actionness) != length:
        raise shape_error(
            f"The locator returns {len(class_track)} rows of class_track and {len(actionness)} of actionness for "
            f"{length} snippets",
            "pad convolutions and poolings so that every snippet has a row",
        )
    _check_range((class_track, actionness), "locator", length, [(length, class_track.shape[1]), (length,)])
    return class_track, actionness


def _check_range(outputs: tuple[Any, ...], part: str, size: int, shapes: Sequence[tuple[int, ...]]) -> None:
    names = ("class_track", "actionness") if part == "locator" else ("class_probability", "attention", "center")
    for name, value, shape in zip(names, outputs, shapes, strict=True):
        if value.shape != shape:
            raise InputError(
                "graph-output",
                f"The {part} returns {name} with shape {list(value.shape)} for "
                f"{size} {'snippets' if part == 'locator' else 'proposals'}",
                required=f"shape {list(shape)}",
                next_step="change the network",
            )
        finite = bool(np.isfinite(value).all())
        if not finite or (value.size and (value.min() < 0 or value.max() > 1)):
            found = f"values from {value.min():.3g} to {value.max():.3g}" if finite else "values that are not finite"
            raise InputError(
                "graph-output",
                f"The {part} returns {found} in {name}",
                required="probabilities in 0..1",
                next_step="end the network in a sigmoid or softmax",
            )


def _check_batches(backend: Backend, probes: Sequence[Probe], rng: np.random.Generator) -> None:
    """Raises InputError where a window's result depends on the other windows of a run."""
    many = batch_locator(backend)
    if many is None:
        return
    for probe in probes:
        windows = np.stack([probe.draw(BLOCK, rng), probe.other(BLOCK, rng), probe.draw(BLOCK, rng)])
        together = run_graph(lambda w=windows: many(w), "locator", f"3 windows of length {BLOCK}")
        if any(len(part) != len(windows) for part in together):
            raise InputError(
                "locator-batch",
                f"The locator returns {len(together[0])} windows of class_track and {len(together[1])} of actionness "
                f"for {len(windows)} windows",
                required="a result for every window, or a graph with B = 1",
                next_step="export it with B = 1",
            )
        for number, window in enumerate(windows):
            alone = columns(backend.locate(window))
            noise = rounding(backend.locate, window, alone, rng)
            apart = np.abs(columns((together[0][number], together[1][number])) - alone)
            if (apart > CUT + ROUNDING * noise).any():
                raise InputError(
                    "locator-batch",
                    f"The locator's output for a window changes by {apart.max():.2g} with the other windows of a run",
                    required="results that do not depend on the batch",
                    next_step="use stored statistics (BatchNorm in evaluation mode), or export with B = 1",
                )
