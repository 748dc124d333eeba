"""Bundles around graphs from elsewhere: what is written runs as it is, and what would break a stream is refused."""

from __future__ import annotations

import numpy as np
import pytest
from punctum.runtime import Bundle, InputError, Localizer

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from punctum.export import bundle_from_graphs
from punctum.export.graphs.writer import FLOAT, INT64, GraphWriter

C = 3
FACTS = {"labels": ("a", "b", "c"), "dim": C, "stride_s": 0.1, "receptive_field": (0, 0)}


def locator(kind: str = "good", classes: int = C) -> bytes:
    """The logistic of each feature is a class track; the others break a rule."""
    graph = GraphWriter()
    rows = "features"
    if kind == "whole-window":
        rows = graph.add("Sub", rows, graph.add("ReduceMean", rows, graph.constant([1], np.int64), keepdims=1))
    track = graph.add("Identity" if kind == "logits" else "Sigmoid", rows, name="class_track")
    graph.add("ReduceMax", track, graph.constant([2], np.int64), keepdims=0, name="actionness")
    return graph.finish(
        {"features": (FLOAT, ["B", "T", classes])}, {"class_track": ["B", "T", classes], "actionness": ["B", "T"]}
    )


def scorer() -> bytes:
    """Every proposal gets a center score of a half."""
    graph = GraphWriter()
    ends = graph.add("ReduceMax", "segments", graph.constant([1], np.int64), keepdims=0)
    one = graph.add("Sigmoid", graph.add("Mul", ends, graph.constant(0.0)), name="center")
    graph.add("Identity", one, name="attention")
    graph.add("Mul", graph.add("Unsqueeze", one, graph.constant([1], np.int64)), graph.constant([[1.0] * C]),
              name="class_probability")  # fmt: skip
    return graph.finish(
        {"segments": (FLOAT, ["M", 2]), "labels": (INT64, ["M"])},
        {"class_probability": ["M", C], "attention": ["M"], "center": ["M"]},
    )


def features() -> np.ndarray:
    rows = np.full((120, C), -4.0, np.float32)
    rows[40:60, 1] = 3.0
    return rows


def test_a_graph_becomes_a_bundle_that_runs(tmp_path):
    (tmp_path / "mine.onnx").write_bytes(locator())
    made = bundle_from_graphs(tmp_path / "bundle", locator=tmp_path / "mine.onnx", name="mine", **FACTS)
    bundle = Bundle.load(tmp_path / "bundle")
    assert (bundle.id, bundle.sha256) == (made.id, made.sha256)
    assert bundle.id.startswith("mine-1.0.0-")
    best = max(Localizer(bundle).localize(features()), key=lambda event: event.score)
    assert best.label == "b"
    assert (best.start, best.end) == (pytest.approx(4.0, abs=0.15), pytest.approx(6.0, abs=0.15))


def test_a_scorer_counts_by_its_center_score(tmp_path):
    plain = bundle_from_graphs(tmp_path / "plain", locator=locator(), **FACTS)
    scored = bundle_from_graphs(tmp_path / "scored", locator=locator(), scorer=scorer(), **FACTS)
    assert scored.manifest.post.fusion.center == 1.0
    best = [max(event.score for event in Localizer(bundle).localize(features())) for bundle in (plain, scored)]
    assert best[1] == pytest.approx(best[0] / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("graph", "changed", "code"),
    [
        (locator("whole-window"), {}, "receptive-field"),
        (locator("logits"), {}, "graph-output"),
        (locator(classes=2), {}, "graph-mismatch"),
        (locator(), {"labels": ("a", "b")}, "graph-mismatch"),
        (locator(), {"labels": ("a", "a", "b")}, "bundle-manifest-invalid"),
        (locator(), {"name": "a/b"}, "bundle-name"),
        (b"no graph", {}, "graph-unreadable"),
    ],
)
def test_what_would_break_a_stream_is_refused(tmp_path, graph, changed, code):
    with pytest.raises(InputError) as caught:
        bundle_from_graphs(tmp_path / "bundle", locator=graph, **{**FACTS, **changed})
    assert caught.value.code == code
    assert not (tmp_path / "bundle").exists()


def test_an_existing_folder_stays(tmp_path):
    bundle_from_graphs(tmp_path / "bundle", locator=locator(), **FACTS)
    with pytest.raises(InputError, match="exists already"):
        bundle_from_graphs(tmp_path / "bundle", locator=locator(), **FACTS)
    bundle_from_graphs(tmp_path / "bundle", locator=locator(), replace=True, **FACTS)
