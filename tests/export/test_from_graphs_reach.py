"""The receptive field of a locator is measured: on the scales of its features, and to the last digit."""

from __future__ import annotations

import numpy as np
import pytest
from punctum.runtime import Bundle, InputError, Localizer

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from punctum.export import bundle_from_graphs
from punctum.export.graphs.input_scale import input_scale
from punctum.export.graphs.writer import FLOAT, GraphWriter

D, C, REACH = 4, 3, 4
FACTS = {"labels": ("a", "b", "c"), "dim": D, "stride_s": 0.1}


def locator(taps: np.ndarray, *, mean: float | list[float] = 0.0, std: float | list[float] = 1.0, folded: bool = False,
            final: str = "Softmax", batch: str | int = "B") -> bytes:  # fmt: skip
    """A convolution over time of normalized features; with `folded` the normalization is in its weights.

    Args:
        taps: Weight of each row around the center [2 * n + 1].
        mean: Of the features.
        std: Of the features.
        folded: Whether the graph states neither.
        final: What makes probabilities.
        batch: The first dimension.
    """
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((C, D, 1)) * taps).astype(np.float32)
    shift, scale = np.broadcast_to(np.asarray(mean, np.float32), D), np.broadcast_to(np.asarray(std, np.float32), D)
    bias = np.zeros(C, np.float32)
    graph, rows = GraphWriter(), "features"
    if folded:
        weight = (weight / scale[None, :, None]).astype(np.float32)
        bias = -(weight * shift[None, :, None]).sum(axis=(1, 2)).astype(np.float32)
    else:
        rows = graph.add("Div", graph.add("Sub", rows, graph.constant(shift)), graph.constant(scale))
    pad = len(taps) // 2
    columns = graph.add("Transpose", rows, perm=[0, 2, 1])
    columns = graph.add("Conv", columns, graph.constant(weight), graph.constant(bias), pads=[pad, pad])
    logits = graph.add("Transpose", columns, perm=[0, 2, 1])
    track = graph.add(final, logits, name="class_track", **({"axis": 2} if final == "Softmax" else {}))
    graph.add("ReduceMax", track, graph.constant([2], np.int64), keepdims=0, name="actionness")
    return graph.finish(
        {"features": (FLOAT, [batch, "T", D])}, {"class_track": [batch, "T", C], "actionness": [batch, "T"]}
    )


BOX = np.ones(2 * REACH + 1)
DECAYING = np.where(np.arange(-40, 41) <= 0, 0.6 ** np.abs(np.arange(-40, 41)), 0.0)  # as a recurrent network does
FAR = {"mean": 2000.0, "std": 100.0}


def made(folder, graph: bytes, field: tuple[int, int], **more: object) -> Bundle:
    return bundle_from_graphs(folder / "bundle", locator=graph, receptive_field=field, **FACTS, **more)


def code(folder, graph: bytes, field: tuple[int, int], **more: object) -> str:
    with pytest.raises(InputError) as caught:
        made(folder, graph, field, **more)
    return caught.value.code


def sample(count: int = 300, mean: float = 2000.0, std: float = 100.0) -> np.ndarray:
    return (np.random.default_rng(3).standard_normal((count, D)) * std + mean).astype(np.float32)


@pytest.mark.parametrize(
    "network",
    [
        {},
        FAR,
        {**FAR, "folded": True},
        {"mean": [0.0, 10.0, -300.0, 5000.0], "std": [0.01, 1.0, 7.0, 40.0]},
        {"mean": 20000.0, "std": 3000.0, "folded": True, "final": "Sigmoid"},
    ],
)
@pytest.mark.parametrize("field", [(0, 0), (REACH - 1, REACH), (REACH, REACH - 1)])
def test_a_field_that_is_too_small_is_refused_at_every_scale(tmp_path, network, field):
    assert code(tmp_path, locator(BOX, **network), field) == "receptive-field"


@pytest.mark.parametrize("network", [{}, FAR, {**FAR, "folded": True}])
@pytest.mark.parametrize("given", [False, True])
def test_what_is_accepted_gives_the_same_events_as_a_stream(tmp_path, network, given):
    rows = sample() if network else sample(mean=0.0, std=1.0)
    bundle = made(tmp_path, locator(BOX, **network), (REACH, REACH), sample=rows if given else None)
    localizer = Localizer(bundle)
    offline, session, live = localizer.localize(rows), localizer.session(), []
    for first in range(0, len(rows), 7):
        live += session.push(rows[first : first + 7])
    live += session.flush()
    assert len(offline) == len(live) > 10
    for a, b in zip(offline, live, strict=True):
        assert a.label == b.label
        assert (a.start, a.end, a.score) == pytest.approx((b.start, b.end, b.score), abs=1e-4)


def test_the_error_states_the_measured_field(tmp_path):
    with pytest.raises(InputError, match=r"4 snippets before and 4 after.*`receptive_field=\(4, 4\)`"):
        made(tmp_path, locator(BOX), (1, 2))


def test_a_dependence_that_fades_counts_until_it_vanishes(tmp_path):
    """As that of a recurrent network: at 16 snippets its effect is still far above rounding."""
    graph = locator(DECAYING, final="Sigmoid")
    assert code(tmp_path, graph, (16, 0)) == "receptive-field"
    made(tmp_path, graph, (40, 0))


def test_the_sample_decides_where_the_field_is_measured(tmp_path):
    graph = locator(BOX, mean=2e7, std=1e5, folded=True)  # beyond the random features
    assert code(tmp_path, graph, (0, 0), sample=sample(mean=2e7, std=1e5)) == "receptive-field"


def test_an_output_that_never_changes_cannot_be_measured(tmp_path):
    with pytest.raises(InputError, match="as `sample`"):
        made(tmp_path, locator(0 * BOX), (0, 0))


@pytest.mark.parametrize("batch", ["B", 1])
def test_only_the_number_of_snippets_has_to_be_dynamic(tmp_path, batch):
    bundle = made(tmp_path, locator(BOX, batch=batch), (REACH, REACH))
    backend = Localizer(bundle).backend
    windows = np.random.default_rng(0).standard_normal((3, 20, D)).astype(np.float32)
    track, actionness = backend.locate_many(windows)
    assert (track.shape, actionness.shape) == ((3, 20, C), (3, 20))
    assert track[1] == pytest.approx(backend.locate(windows[1])[0], abs=1e-6)


def test_a_graph_without_a_batch_dimension_is_accepted(tmp_path):
    graph = GraphWriter()
    track = graph.add("Sigmoid", "features", name="class_track")
    graph.add("ReduceMax", track, graph.constant([1], np.int64), keepdims=0, name="actionness")
    data = graph.finish({"features": (FLOAT, ["T", D])}, {"class_track": ["T", D], "actionness": ["T"]})
    facts = {**FACTS, "labels": ("a", "b", "c", "d")}
    bundle = bundle_from_graphs(tmp_path / "bundle", locator=data, receptive_field=(0, 0), **facts)
    assert Localizer(bundle).backend.locate(sample(5))[0].shape == (5, D)


def test_windows_of_a_run_must_not_mix(tmp_path):
    graph = GraphWriter()
    mean = graph.add("ReduceMean", "features", graph.constant([0], np.int64), keepdims=1)
    track = graph.add("Sigmoid", graph.add("Sub", "features", mean), name="class_track")
    graph.add("ReduceMax", track, graph.constant([2], np.int64), keepdims=0, name="actionness")
    data = graph.finish({"features": (FLOAT, ["B", "T", C])},
                        {"class_track": ["B", "T", C], "actionness": ["B", "T"]})  # fmt: skip
    with pytest.raises(InputError) as caught:
        bundle_from_graphs(tmp_path / "bundle", locator=data, receptive_field=(0, 0), **{**FACTS, "dim": C})
    assert caught.value.code in ("locator-batch", "receptive-field")


def test_a_graph_states_the_scale_of_its_features():
    mean, std = [0.0, 10.0, -300.0, 5000.0], [0.01, 1.0, 7.0, 40.0]
    found = input_scale(locator(BOX, mean=mean, std=std), D)
    assert found is not None
    assert (found[0], found[1]) == (pytest.approx(mean), pytest.approx(std))
    assert input_scale(locator(BOX, folded=True), D) is None


def test_a_sample_gives_the_features_a_fingerprint(tmp_path):
    rows = sample()
    np.save(tmp_path / "rows.npy", rows)
    stated = made(tmp_path, locator(BOX, **FAR), (REACH, REACH), sample=tmp_path / "rows.npy").manifest.features
    assert stated.fingerprint is not None
    assert stated.fingerprint.mean == pytest.approx(rows.mean(), rel=1e-6)
    assert stated.fingerprint.std == pytest.approx(rows.std(dtype=np.float64), rel=1e-6)
    assert len(stated.fingerprint.quantiles) == 5


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.zeros((100, D), np.float32), "sample"),
        (np.ones((2, D), np.float32), "sample"),
        (np.ones((100, D + 1), np.float32), "sample"),
        (np.full((100, D), np.nan, np.float32), "features-not-finite"),
        ("missing.npy", "features-missing"),
    ],
)
def test_an_unusable_sample_is_refused(tmp_path, rows, expected):
    assert code(tmp_path, locator(BOX), (REACH, REACH), sample=rows) == expected
