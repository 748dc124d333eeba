"""Bundles around graphs from elsewhere: what is written runs as it is, and what would break a stream is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from punctum.runtime import Bundle, Fusion, InputError, Localizer, PostProcess, PunctumError
from punctum.runtime.errors import MissingDependencyError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from punctum.export import bundle_from_graphs
from punctum.export.graphs.writer import DOUBLE, FLOAT, INT64, GraphWriter

C = 3
FACTS = {"labels": ("a", "b", "c"), "dim": C, "stride_s": 0.1, "receptive_field": (0, 0)}


def locator(kind: str = "good", classes: int = C) -> bytes:
    """The logistic of each feature is a class track; the others break a rule."""
    graph = GraphWriter()
    rows = "features"
    if kind == "whole-window":
        rows = graph.add("Sub", rows, graph.add("ReduceMean", rows, graph.constant([1], np.int64), keepdims=1))
    elif kind == "double":
        rows = graph.add("Cast", rows, to=FLOAT)
    elif kind in ("unpadded", "halved"):
        weight = graph.constant(np.tile(np.eye(classes)[..., None], 3))
        options = {"unpadded": {}, "halved": {"strides": [2], "pads": [1, 1]}}[kind]
        rows = graph.add("Transpose", rows, perm=[0, 2, 1])
        rows = graph.add("Transpose", graph.add("Conv", rows, weight, **options), perm=[0, 2, 1])
    name = "probabilities" if kind == "names" else "class_track"
    track = graph.add("Identity" if kind == "logits" else "Sigmoid", rows, name=name)
    graph.add("ReduceMax", track, graph.constant([2], np.int64), keepdims=0, name="actionness")
    length: str | int = 37 if kind == "fixed" else "T"
    out = "T2" if kind in ("unpadded", "halved") else length
    return graph.finish(
        {"features": (DOUBLE if kind == "double" else FLOAT, ["B", length, classes])},
        {name: ["B", out, classes], "actionness": ["B", out]},
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
        (locator(), {"dim": 4}, "graph-mismatch"),
        (locator("names"), {}, "graph-mismatch"),
        (locator("double"), {}, "graph-mismatch"),
        (locator("fixed"), {}, "graph-shape"),
        (locator("unpadded"), {}, "graph-shape"),
        (locator("halved"), {}, "graph-shape"),
        (locator(), {"name": "a/b"}, "bundle-name"),
        (locator(), {"version": "1 0"}, "bundle-name"),
        (b"no graph", {}, "graph-unreadable"),
        ("missing.onnx", {}, "graph-unreadable"),
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


def refused(tmp_path, **changed) -> PunctumError:
    with pytest.raises(PunctumError) as caught:
        bundle_from_graphs(tmp_path / "bundle", **{"locator": locator(), **FACTS, **changed})
    assert str(caught.value)[0].isupper() or str(caught.value)[0] == "`"
    assert "--" not in str(caught.value)
    assert not (tmp_path / "bundle").exists()
    return caught.value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", ("a", "a", "b")),
        ("labels", ("a", "", "b")),
        ("labels", ("a", 1, "b")),
        ("labels", "abc"),
        ("labels", ()),
        ("dim", 0),
        ("dim", 3.0),
        ("stride_s", 0),
        ("stride_s", float("nan")),
        ("stride_s", "fast"),
        ("receptive_field", 6),
        ("receptive_field", (0, -1)),
        ("receptive_field", (0, 1.5)),
        ("receptive_field", (0, 0, 0)),
        ("provenance", {"epochs": np.int64(3)}),
        ("provenance", {3: "epochs"}),
        ("provenance", "by hand"),
        ("post", {"nms_iou": 0.5}),
        ("locator", 3),
        ("scorer", 3),
    ],
)
def test_an_unusable_argument_is_named(tmp_path, name, value):
    error = refused(tmp_path, **{name: value})
    assert error.code == "bundle-argument"
    assert f"`{name}`" in str(error)


def test_arguments_that_do_not_fit_together_are_refused(tmp_path):
    error = refused(tmp_path, receptive_field=(60000, 60000), post=PostProcess(max_island_s=80000.0), stride_s=0.01)
    assert (error.code, "manifest" in str(error)) == ("bundle-argument", False)


def test_fusion_of_a_score_that_nothing_computes_is_refused(tmp_path):
    error = refused(tmp_path, post=PostProcess(fusion=Fusion(center=1.0)))
    assert "center" in error.given
    bundle_from_graphs(
        tmp_path / "bundle", locator=locator(), scorer=scorer(), post=PostProcess(fusion=Fusion(center=1.0)), **FACTS
    )


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("logits", ("values from -", "class_track")),
        ("double", ("float64", "convert to float32 inside the graph")),
        ("fixed", ("only windows of 37 snippets", "make T a dynamic dimension")),
        ("unpadded", ("returns 95 rows of class_track and 95 of actionness for 97 snippets", "pad convolutions")),
        ("halved", ("returns 49 rows of class_track and 49 of actionness for 97 snippets",)),
    ],
)
def test_an_error_states_the_cause(tmp_path, kind, parts):
    text = str(refused(tmp_path, locator=locator(kind)))
    assert not [part for part in parts if part not in text], text
    assert "doctor" not in text


def test_a_file_that_does_not_exist_is_called_that(tmp_path):
    assert "does not exist" in str(refused(tmp_path, locator=tmp_path / "no.onnx"))


def test_a_parsed_model_is_accepted(tmp_path):
    import onnx

    model = onnx.load_from_string(locator())
    made = bundle_from_graphs(tmp_path / "bundle", locator=model, **FACTS)
    assert onnx.load_from_string(made.read("locator.onnx")) == model


def test_a_graph_in_one_file_needs_no_onnx(tmp_path, monkeypatch):
    (tmp_path / "mine.onnx").write_bytes(locator())
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr("punctum.export.from_graphs.has_onnx", lambda: False)
    bundle_from_graphs(tmp_path / "bundle", locator=tmp_path / "mine.onnx", **FACTS)


def test_a_module_needs_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="torch"):
        bundle_from_graphs(tmp_path / "bundle", locator=object(), **FACTS)


@pytest.mark.parametrize("wrong", ["threshold", "min_scores"])
def test_a_setting_that_does_not_exist_is_refused(wrong):
    with pytest.raises(InputError, match=wrong) as caught:
        PostProcess(**{wrong: (0.5,)})
    assert caught.value.code == "setting-unknown"
    with pytest.raises(InputError, match="centre"):
        PostProcess(fusion={"centre": 1.0})
    with pytest.raises(InputError, match="nms_iou") as caught:
        PostProcess(nms_iou=2.0)
    assert caught.value.code == "setting-invalid"


def test_a_manifest_of_a_later_version_may_have_more_settings():
    assert PostProcess.model_validate({"later": 1, "fusion": {"later": 2}}) == PostProcess()
