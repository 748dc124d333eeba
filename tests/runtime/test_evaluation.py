"""The metric: a plain loop as oracle, golden vectors of the published evaluators, stated rules, refused files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import Event, InputError
from punctum.runtime.datasets.dataset import Truth
from punctum.runtime.evaluation.average_precision import (
    THRESHOLDS,
    Detections,
    average_recall,
    check_thresholds,
    evaluate,
    read_detections,
    recall,
)

from tests.helpers import datasets

make = datasets


def truth_of(rows, videos=2, labels=3) -> Truth:
    """Rows of (video, label, start, end)."""
    table = np.array(rows, float).reshape(-1, 4)
    names = tuple(f"v{i}" for i in range(videos)), tuple(f"c{i}" for i in range(labels))
    return Truth(*names, table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:])


def iou(a, b) -> float:
    overlap = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - overlap
    return overlap / union if union > 0 else 0.0


def ap_by_loop(truth: Truth, found: Detections, threshold: float, label: int) -> float:
    """ActivityNet average precision as its definition reads: one detection, one truth at a time."""
    wanted = [(truth.video[g], truth.segments[g]) for g in range(len(truth.label)) if truth.label[g] == label]
    if not wanted:
        return float("nan")
    mine = [i for i in range(len(found)) if found.label[i] == label]
    mine.sort(key=lambda i: -found.scores[i])  # stable: the first of equals stays first
    taken, hits = set(), []
    for i in mine:
        overlaps = [(iou(found.segments[i], s), -g) for g, (v, s) in enumerate(wanted) if v == found.video[i]]
        best = next((-g for o, g in sorted(overlaps, reverse=True) if o >= threshold and -g not in taken), None)
        hits.append(best is not None)
        taken.add(best)
    area, precisions = 0.0, [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    for k, hit in enumerate(hits):
        area += max(precisions[k:]) if hit else 0.0
    return area / len(wanted)


def random_case(rng, truths: int, detections: int, ties: bool) -> tuple[Truth, Detections]:
    def segments(n):
        start = rng.uniform(0, 20, n)
        return np.stack([start, start + rng.uniform(0.1, 6, n)], 1)

    truth = Truth(
        ("v0", "v1", "v2"),
        ("a", "b", "c", "d"),
        rng.integers(0, 3, truths),
        rng.integers(0, 3, truths),
        segments(truths),
    )
    scores = rng.integers(0, 4, detections) / 4 if ties else rng.random(detections)
    found = Detections(
        rng.integers(0, 3, detections), rng.integers(0, 4, detections), segments(detections), scores.astype(float)
    )
    return truth, found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(0, 40), st.booleans())
def test_equals_the_plain_loop(seed, truths, detections, ties):
    truth, found = random_case(np.random.default_rng(seed), truths, detections, ties)
    result = evaluate(truth, found, THRESHOLDS)
    expected = np.array([[ap_by_loop(truth, found, t, c) for c in range(4)] for t in THRESHOLDS])
    np.testing.assert_allclose(result.ap, expected, atol=1e-12)
    np.testing.assert_allclose(result.map, np.nanmean(expected, axis=1), atol=1e-12)
    assert result.average == pytest.approx(np.nanmean(expected, axis=1).mean(), abs=1e-12)


@pytest.mark.parametrize("number", range(0, 13, 2))
def test_golden_detection_map(golden_dir, number):
    file = golden_dir / f"detection_map_{number:02d}.npz"
    if not file.exists() and golden_dir.name == "data":
        pytest.skip(f"{file.name} is not in the small set of the repository")
    with np.load(file) as archive:
        case = {key: archive[key] for key in archive.files}

    def indices(names):
        return case["videos"][names].tolist() if names.dtype.kind == "i" else names.tolist()

    videos = list(dict.fromkeys(indices(case["gt_video"]) + indices(case["pred_video"])))
    place = {name: i for i, name in enumerate(videos)}
    truth = Truth(
        tuple(videos),
        tuple(case["classes"].tolist()),
        np.array([place[v] for v in indices(case["gt_video"])]),
        case["gt_label"].astype(np.int64),
        np.stack([case["gt_start"], case["gt_end"]], 1),
    )
    known = case["pred_label"] >= 0
    found = Detections(
        np.array([place[v] for v in indices(case["pred_video"])], np.int64)[known],
        case["pred_label"][known].astype(np.int64),
        np.stack([case["pred_start"], case["pred_end"]], 1)[known],
        case["pred_score"][known],
    )
    result = evaluate(truth, found, case["thresholds"])
    if len(set(found.scores.tolist())) == len(found):
        np.testing.assert_allclose(result.ap, case["ap"], atol=1e-9)
        np.testing.assert_allclose(result.map, case["mAP"], atol=1e-9)
        assert abs(result.average - case["average"]) < 1e-9
    else:  # the published order among equal scores is that of one machine's unstable sort
        assert abs(result.average - case["average"]) < (0.05 if len(found) < 500 else 2e-3)


def test_rules_for_classes_videos_and_counts():
    truth = truth_of([(0, 0, 0, 2), (0, 1, 4, 6)], videos=3)
    found = Detections.from_rows([(0, 0, 0, 2, 0.9), (0, 2, 0, 2, 0.8), (1, 2, 0, 2, 0.7)])
    result = evaluate(truth, found, [0.5])
    # c0 is perfect, c1 has truth and no detection (0, stays in the mean), c2 has no truth (left out).
    assert result.average == 0.5
    assert result.unjudged == {"c2": 2}
    assert result.silent_videos == ("v2",)
    record = result.to_record(per_class=True)
    assert record["map"] == {"0.5": 0.5, "average": 0.5}
    assert record["classes_without_truth"] == ["c2"]
    assert record["counts"]["detections_of_classes_without_truth"] == 2
    assert record["per_class"] == {"c0": {"0.5": 1.0, "average": 1.0}, "c1": {"0.5": 0.0, "average": 0.0}}
    json.dumps(record, allow_nan=False)


def test_ties_go_to_the_first():
    truth = truth_of([(0, 0, 0, 2)], videos=1, labels=1)
    right, wrong = (0, 0, 0, 2, 0.5), (0, 0, 8, 9, 0.5)
    assert evaluate(truth, Detections.from_rows([right, wrong]), [0.5]).average == 1.0
    assert evaluate(truth, Detections.from_rows([wrong, right]), [0.5]).average == 0.5


def test_no_detections_is_zero_and_no_truth_is_refused():
    empty = Detections.from_rows([])
    assert evaluate(truth_of([(0, 0, 0, 2)]), empty).average == 0.0
    assert recall(truth_of([(0, 0, 0, 2)]), empty)["average"] == 0.0
    with pytest.raises(InputError, match="no annotated action"):
        evaluate(truth_of([]), empty)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ((0, 0, 0, 2, np.nan), "scores-not-finite"),
        ((0, 0, 0, 2, np.inf), "scores-not-finite"),
        ((0, 0, 3, 2, 0.5), "detection-invalid"),
        ((0, 0, np.nan, 2, 0.5), "detection-invalid"),
        ((0, 7, 0, 2, 0.5), "detection-index"),
        ((9, 0, 0, 2, 0.5), "detection-index"),
        ((-1, 0, 0, 2, 0.5), "detection-index"),
    ],
)
def test_arrays_that_cannot_be_judged(row, code):
    with pytest.raises(InputError) as caught:
        evaluate(truth_of([(0, 0, 0, 2)]), Detections.from_rows([row]))
    assert caught.value.code == code


@pytest.mark.parametrize("levels", [[], [0.0], [1.1], [float("nan")], [-0.5, 0.5]])
def test_thresholds_outside_0_to_1(levels):
    with pytest.raises(InputError, match="tIoU"):
        check_thresholds(levels)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([None, 1, 3]))
def test_recall_equals_the_plain_loop(seed, agnostic, number):
    truth, found = random_case(np.random.default_rng(seed), 12, 30, ties=True)
    kept = []
    for v in range(3):
        mine = sorted((i for i in range(30) if found.video[i] == v), key=lambda i: -found.scores[i])
        kept += mine[:number]
    hits = 0
    for g in range(12):
        rivals = [i for i in kept if found.video[i] == truth.video[g]]
        rivals = [i for i in rivals if agnostic or found.label[i] == truth.label[g]]
        hits += any(iou(found.segments[i], truth.segments[g]) >= 0.3 for i in rivals)
    got = recall(truth, found, [0.3], per_video=number, class_agnostic=agnostic)
    assert got["0.3"] == pytest.approx(hits / 12)


def test_average_recall_grows_with_the_number():
    truth, found = random_case(np.random.default_rng(5), 12, 60, ties=False)
    got = list(average_recall(truth, found, numbers=(1, 2, 4, 100)).values())
    assert got == sorted(got)
    assert got[-1] == pytest.approx(recall(truth, found, class_agnostic=True)["average"])


def event(**change) -> Event:
    base = {"stream": "v0", "id": "e", "revision": 0, "phase": "final", "label": "c0", "score": 0.5}
    times = {"start": 0.0, "end": 2.0, "emitted_at": 3.0, "delay_s": 1.0, "bundle": "b"}
    return Event(**(base | times | change))


def test_json_lines_of_events(tmp_path):
    truth = truth_of([(0, 0, 0, 2)])
    lines = [event(phase="open"), event(), event(stream="elsewhere"), event(phase="retracted", id="f")]
    file = tmp_path / "events.jsonl"
    lines.append(lines[1])  # as a resumed stream may repeat it
    file.write_text("\n".join(e.to_json() for e in lines) + "\n\n")
    found = read_detections(file, truth)
    assert (len(found), found.ignored_videos) == (1, ("elsewhere",))
    assert evaluate(truth, found).average == 1.0
    direct = Detections.from_events({"v0": [event(phase="open"), event()]}, truth)
    np.testing.assert_array_equal(direct.segments, found.segments)
    for wrong in ({"v0": [event(label="hop")]}, {"v9": [event()]}):
        with pytest.raises(InputError):
            Detections.from_events(wrong, truth)


def test_activitynet_results(tmp_path):
    truth = truth_of([(0, 0, 0, 2)])
    file = tmp_path / "results.json"
    entry = {"label": "c0", "score": "0.5", "segment": ["0.0", 2]}
    file.write_text("\ufeff" + json.dumps({"version": "x", "results": {"v0": [entry], "other": [entry], "v1": []}}))
    found = read_detections(file, truth)
    assert evaluate(truth, found).average == 1.0
    assert found.ignored_videos == ("other",)
    file.write_text(json.dumps({"results": {"v0": [], "v1": []}}))
    assert len(read_detections(file, truth)) == 0


def results(**change) -> str:
    return json.dumps({"results": {"v0": [{"label": "c0", "score": 0.5, "segment": [0, 2]} | change]}})


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("", "detections-empty", "empty"),
        ("hello", "detections-form", "neither"),
        ("[]", "detections-form", "neither"),
        ('{"results": []}', "detections-form", "not an object"),
        ('{"results": {"v0": 3}}', "detections-form", "v0"),
        ('{"results": {"v0": [3]}}', "detections-form", "entry 0"),
        ('{"results": {}}', "detections-other-videos", "none of the 2"),
        ('{"results": {"x": [{"label": "c0", "score": 1, "segment": [0, 1]}]}}', "detections-other-videos", "x"),
        (results(label="hop"), "label-unknown", "c0, c1, c2"),
        (results(score=float("nan")), "detection-invalid", "nan"),
        (results(score="high"), "detections-form", "high"),
        (results(score=None), "detections-form", "entry 0"),
        (results(segment=[2, 1]), "detection-invalid", "[2.0, 1.0]"),
        (results(segment=[1, 2, 3]), "detections-form", "entry 0"),
        (results(segment="12"), "detections-form", "not a list of two numbers"),
        (results(segment={"1": 0, "2": 0}), "detections-form", "not a list of two numbers"),
        (results(segment=[False, True]), "detections-form", "not a list of two numbers"),
        (results(score=True), "detections-form", "not a number"),
        (event(phase="open", ended=False).to_json(), "detections-empty", "no final event"),
        (results(segment=[float("inf"), 2]), "detection-invalid", "inf"),
        (event().to_json() + "\n{broken\n", "detections-form", "line 2"),
        (event().to_json() + '\n{"schema": "other/1"}\n', "detections-form", "line 2"),
        (event(label="hop").to_json(), "label-unknown", "line 1"),
        (event(start=float("nan")).to_json(), "detection-invalid", "line 1"),
        (event().to_json().replace('"score":0.5', '"score":"x"'), "detections-form", "line 1"),
    ],
)
def test_wrong_files_are_errors_not_nan(tmp_path, text, code, word):
    file = tmp_path / "detections"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_detections(file, truth_of([(0, 0, 0, 2)]))
    assert caught.value.code == code, str(caught.value)
    assert word in str(caught.value)
    assert caught.value.expected and caught.value.next_step


def test_unreadable_files(tmp_path):
    for path, message in ((tmp_path / "none", "does not exist"), (tmp_path, "cannot be read")):
        with pytest.raises(InputError, match=message):
            read_detections(path, truth_of([(0, 0, 0, 2)]))
    (tmp_path / "binary").write_bytes(b"\x93NUMPY\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_detections(tmp_path / "binary", truth_of([(0, 0, 0, 2)]))


@pytest.mark.shared
def test_real_proposals_of_thumos14(shared_dir):
    """The unprocessed proposals of P-MIL score 43.27 on average (docs/method/protocol.md)."""
    from punctum.runtime import Dataset

    folder = shared_dir / "data" / "thumos14"
    truth = Dataset.open(folder, need_features=False).truth()
    found = read_detections(folder / "detection_result_base_test.json", truth)
    assert found.ignored_videos == ("video_test_0000270", "video_test_0001496")
    assert evaluate(truth, found).average == pytest.approx(0.4327, abs=5e-5)


@pytest.mark.shared
def test_post_processing_of_real_proposals_gives_the_known_rows(shared_dir, monkeypatch):
    """Suppression and ABA of P-MIL's proposals: the rows of docs/method/protocol.md, from another evaluator."""
    from punctum.runtime import Dataset

    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")  # scripts import each other by name
    import evaluation as bench

    folder = shared_dir / "data" / "thumos14"
    truth = Dataset.open(folder, need_features=False).truth()
    found = read_detections(folder / "detection_result_base_test.json", truth)
    rows = {
        42.49: bench.hard(found, offset=1.0),
        42.73: bench.hard(found, offset=0.0),
        43.15: bench.soft(found, offset=bench.SNIPPET_S),
        43.11: bench.soft(found, offset=0.0),
        # The reference let base scores below zero weigh as they are; here they weigh nothing.
        43.51: bench.soft(found, offset=bench.SNIPPET_S, adapt=True),
    }
    got = {expected: 100 * evaluate(truth, row).average for expected, row in rows.items()}
    for expected, value in got.items():
        assert value == pytest.approx(expected, abs=0.02), got
    assert recall(truth, found, [0.3, 0.5, 0.7], class_agnostic=True) == pytest.approx(
        {"0.3": 0.810, "0.5": 0.644, "0.7": 0.420, "average": 0.625}, abs=6e-4
    )
