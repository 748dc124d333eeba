"""A scorer in two graphs with a kernel between them says what the whole graph says, for any windows in one run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch", reason="export needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")
pytest.importorskip("onnxruntime", reason="graphs are run in ONNX Runtime")

from punctum.export.graphs.export import center_graph, export_center
from punctum.runtime.backends.onnxruntime.windows import WindowScorers
from punctum.runtime.backends.options import CPU
from punctum.runtime.backends.scorer_parts import NotSeparableError, separate
from punctum.runtime.bundle.graphs import PartGraph
from punctum.training.config import CenterConfig

from tests.export.test_graphs import CLASSES, DIM, HEADS, head, proposals, run

CLOSE = 2e-6


def scorers(graph: bytes, *, score=None) -> WindowScorers:
    part = PartGraph("center", "center.onnx", "fp32", graph)

    def whole(features, tracks, segments, labels):
        return run(graph, features=features, tracks=tracks, segments=segments, labels=labels)

    return WindowScorers(part, CPU, score or whole, dim=DIM, classes=CLASSES)


@pytest.mark.parametrize("name", HEADS)
def test_windows_in_one_run_are_scored_as_each_alone(name):
    graph, rng = center_graph(head(HEADS[name])), np.random.default_rng(0)
    scorer = scorers(graph).get()
    assert scorer is not None
    lengths, counts = (30, 1, 7, 2), (20, 4, 0, 5)
    ends, offsets = np.cumsum([0, *lengths]), np.cumsum([0, *counts])
    features = rng.normal(1, 3, (ends[-1], DIM)).astype(np.float32)
    made = [proposals(rng, length, count) for length, count in zip(lengths, counts, strict=True)]
    segments, labels = (np.concatenate(part) for part in zip(*made, strict=True))
    found = scorer.score_windows(features, ends, segments, offsets)
    close = 2e-3 if HEADS[name].accumulate == "float32" else CLOSE  # whose narrow bins are differences of large sums
    for (a, b), (c, d) in zip(pairwise(ends), pairwise(offsets), strict=True):
        tracks = rng.uniform(0, 1, (b - a, CLASSES + 1)).astype(np.float32)
        alone = run(graph, features=features[a:b], tracks=tracks, segments=segments[c:d], labels=labels[c:d])
        for part, expected in zip(found, alone, strict=True):
            np.testing.assert_allclose(part[c:d], expected, rtol=0, atol=close)


def test_no_proposals():
    scorer = scorers(center_graph(head(HEADS["default"]))).get()
    none = np.zeros((0, 2), np.float32)
    found = scorer.score_windows(np.ones((3, DIM), np.float32), np.array([0, 3]), none, np.array([0, 0]))
    assert [len(part) for part in found] == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "graph",
    [
        lambda: center_graph(head(CenterConfig(use_tracks=True, embed=6, hidden=16, members=1))),
        lambda: export_center(head(HEADS["one member, no length"]), DIM, CLASSES),
        lambda: b"",
        lambda: b"not a graph",
        lambda: center_graph(head(HEADS["default"]))[:-200],
    ],
    ids=["reads tracks", "as torch writes it", "empty", "text", "cut off"],
)
def test_other_graphs_stay_whole(graph):
    data = graph()
    with pytest.raises(NotSeparableError):
        separate(data)
    assert scorers(data).get() is None


def test_parts_that_disagree_with_the_whole_are_not_used():
    graph = center_graph(head(HEADS["default"]))

    def other(features, tracks, segments, labels):
        probability, attention, center = run(graph, features=features, tracks=tracks, segments=segments, labels=labels)
        return probability, attention, center * 0.99

    assert scorers(graph, score=other).get() is None
