"""Diagnosis: types of errors, what fixing them gives, groups, worst cases, and suspected label errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum import kernels
from punctum.runtime.datasets.dataset import Point
from punctum.runtime.datasets.truth import Truth
from punctum.runtime.diagnosis.brightness import BrightnessMeter
from punctum.runtime.diagnosis.diagnose import diagnose, truth_of_clicks
from punctum.runtime.diagnosis.groups import gaps
from punctum.runtime.diagnosis.judge import NAMES, judge_by_clicks, judge_by_truth
from punctum.runtime.diagnosis.pairs import best_of_each, pairwise_iou, touching
from punctum.runtime.diagnosis.suspects import find_suspects
from punctum.runtime.evaluation.average_precision import evaluate
from punctum.runtime.evaluation.clicks import evaluate_clicks
from punctum.runtime.evaluation.detections import Detections
from punctum.runtime.events.event import Event

LABELS = ("jump", "fall")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(0, 12))
def test_pairs_are_those_of_a_matrix(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = (np.sort(rng.integers(0, 20, (k, 2)), axis=1).astype(float) for k in (n, m))
    first, second = touching(a, b)
    dense = (a[:, None, 0] <= b[None, :, 1]) & (b[None, :, 0] <= a[:, None, 1])
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [tuple(p) for p in np.argwhere(dense).tolist()]
    assert first.tolist() == sorted(first.tolist())
    iou = kernels.segment_iou(a, b)
    assert pairwise_iou(a, b, first, second).tolist() == iou[first, second].tolist()
    value = rng.integers(0, 3, len(first)).astype(float)
    keep = rng.random(len(first)) < 0.7
    heads, best = best_of_each(first, second, value, keep)
    for head, chosen in zip(heads, best, strict=True):
        mine = keep & (first == head)
        top = second[mine][value[mine] == value[mine].max()]
        assert chosen == top.min()
    assert set(heads) == set(first[keep])


def event(label: str, start: float, end: float, score: float, video: str = "v") -> Event:
    return Event(video, f"{video}/{start}", 0, "final", label, score, start, end, end, 0.0, "b")


def truth(*actions: tuple[int, float, float], video: int = 0, videos: tuple[str, ...] = ("v",)) -> Truth:
    table = np.array(actions, float).reshape(-1, 3)
    return Truth(videos, LABELS, np.full(len(table), video), table[:, 0].astype(int), table[:, 1:].copy())


def kinds(judged) -> list[str]:
    return [NAMES[k] for k in judged.kind]


ACTIONS = truth((0, 10, 20), (1, 40, 50), (0, 80, 90))
EVENTS = [
    event("jump", 10, 20, 0.95),  # right
    event("jump", 11, 20, 0.90),  # the better one has the action
    event("jump", 40, 50, 0.85),  # a fall
    event("fall", 38, 70, 0.80),  # far too long: tIoU 10/32
    event("jump", 44, 70, 0.75),  # wrong class, and tIoU 6/30
    event("fall", 100, 110, 0.70),  # nothing there
    event("jump", 84, 95, 0.05),  # below the minimum score
]


def test_each_type_by_ground_truth():
    judged = judge_by_truth(ACTIONS, Detections.from_events({"v": EVENTS}, ACTIONS), 0.5)
    expected = ["right", "duplicate", "class", "localization", "confusion", "background", "localization"]
    assert kinds(judged) == expected
    assert judged.action.tolist() == [0, 0, 1, 1, 1, -1, 2]
    assert judged.match.tolist() == [0, -1, -1]


def test_each_type_by_clicks():
    clicks = truth_of_clicks({"v": [Point(0, 15.0), Point(0, 16.0), Point(1, 45.0)]}, ("v",), LABELS)
    events = [
        event("jump", 14, 18, 0.9),  # right: the click in its middle
        event("jump", 15.5, 19, 0.8),  # holds a click that is taken
        event("jump", 40, 50, 0.7),  # holds a click of another class
        event("fall", 46, 50, 0.6),  # ends too early: a click of its class within half its length
        event("jump", 46, 50, 0.5),  # the same of another class
        event("fall", 60, 62, 0.4),
    ]
    judged = judge_by_clicks(clicks, Detections.from_events({"v": events}, clicks))
    assert kinds(judged) == ["right", "duplicate", "class", "localization", "confusion", "background"]
    assert judged.match.tolist() == [-1, 0, -1]
    assert judged.within.tolist() == [0, 0, -1]
    result = diagnose(
        {"v": events}, LABELS, clicks={"v": [Point(0, 15.0), Point(0, 16.0), Point(1, 45.0)]}, min_score=0.3
    )
    count = {each.name: each.count for each in result.errors}
    assert count["merged"] == 1  # the click at 15 s
    assert count["missed"] == 0  # that at 45 s is explained by a wrong class
    assert count["all not found"] == 2


def test_mending_by_hand():
    result = diagnose({"v": EVENTS}, LABELS, truth=ACTIONS, min_score=0.1)
    by_name = {each.name: each for each in result.errors}
    assert (result.events, result.right, result.actions_found, result.events_all) == (6, 1, 1, 7)
    assert result.f1 == pytest.approx(2 * 1 / (6 + 3))
    # The fall that is reported as a jump is corrected: two right events of six.
    assert by_name["class"].f1 == pytest.approx(2 * 2 / (6 + 3))
    assert by_name["duplicate"].f1 == pytest.approx(2 * 1 / (5 + 3))
    # The event that is too long is corrected, and the action is found.
    assert by_name["localization"].f1 == pytest.approx(2 * 2 / (6 + 3))
    assert by_name["missed"].count == 1
    assert by_name["missed"].f1 == pytest.approx(2 * 2 / (7 + 3))
    assert by_name["all wrong events"].f1 == pytest.approx(2 * 1 / (1 + 3))
    assert by_name["all not found"].f1 == pytest.approx(2 * 3 / (8 + 3))
    # Whole ranking: jump finds 1 of 2 at rank 1, fall 0 of 1.
    assert result.average_precision == pytest.approx((0.5 + 0.0) / 2)
    assert by_name["localization"].average_precision == pytest.approx((0.5 + 0.5 * 2 / 5 + 1.0) / 2)
    assert by_name["class"].average_precision == pytest.approx((0.5 + 1.0) / 2)


def test_an_action_with_wrong_bounds_is_reported_as_its_class():
    """ "No event" in the table of confusions means that there is none of any class."""
    actions = truth((0, 10, 20), (1, 40, 50), (1, 60, 70), (0, 80, 90))
    events = [
        event("jump", 18, 30, 0.9),  # a jump with wrong bounds: tIoU 2/20
        event("fall", 49, 60, 0.6),  # tIoU below 0.1: nothing
        event("jump", 60, 70, 0.8),  # wrong class, with a higher score than
        event("fall", 66, 80, 0.7),  # the right class with wrong bounds
    ]
    result = diagnose({"v": events}, LABELS, truth=actions, min_score=0.1)
    count = {(each.action, each.found): each.count for each in result.confusions}
    assert count == {("jump", "jump"): 1, ("fall", "jump"): 1, ("fall", ""): 1, ("jump", ""): 1, ("", "fall"): 1}
    clicks = {"v": [Point(0, 15.0), Point(0, 16.0), Point(1, 45.0)]}
    merged = diagnose({"v": [event("jump", 14, 18, 0.9)]}, LABELS, clicks=clicks, min_score=0.3)
    count = {(each.action, each.found): each.count for each in merged.confusions}
    assert count == {("jump", "jump"): 2, ("fall", ""): 1}


def random_case(seed: int) -> tuple[Truth, dict[str, list[Event]]]:
    rng = np.random.default_rng(seed)
    videos = ("a", "b", "c")
    starts = rng.uniform(0, 100, 12)
    actions = Truth(
        videos,
        LABELS,
        np.sort(rng.integers(0, 3, 12)),
        rng.integers(0, 2, 12),
        np.stack([starts, starts + rng.uniform(1, 12, 12)], axis=1),
    )
    events: dict[str, list[Event]] = {video: [] for video in videos}
    for _ in range(60):
        g = rng.integers(12)
        start, end = actions.segments[g] + rng.normal(0, 2, 2)
        video = videos[actions.video[g]]
        label = LABELS[int(rng.integers(2))]
        events[video].append(event(label, start, max(start, end), float(rng.random()), video))
    return actions, events


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.5, 0.7]))
def test_figures_agree_with_those_of_eval(seed, tiou):
    actions, events = random_case(seed)
    result = diagnose(events, LABELS, truth=actions, tiou=tiou, min_score=0.4)
    found = Detections.from_events(events, actions)
    assert result.average_precision == pytest.approx(evaluate(actions, found, [tiou]).average)
    assert result.events == sum(e.score >= 0.4 for each in events.values() for e in each)
    assert sum(each.count for each in result.confusions if each.action) == len(actions.label)
    by_name = {each.name: each for each in result.errors}
    parts = ("class", "localization", "confusion", "duplicate", "background")
    assert sum(by_name[p].count for p in parts) == by_name["all wrong events"].count == result.events - result.right
    assert sum(by_name[p].count_all for p in parts) == by_name["all wrong events"].count_all
    assert all(each.average_precision >= result.average_precision - 1e-12 for each in result.errors)
    assert all(each.f1 >= result.f1 - 1e-12 for each in result.errors)
    assert json.dumps(result.to_record(), allow_nan=False)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_by_clicks_as_eval_does(seed):
    actions, events = random_case(seed)
    clicks: dict[str, list[Point]] = {}
    for v, c, (a, b) in zip(actions.video, actions.label, actions.segments, strict=True):
        clicks.setdefault(actions.videos[v], []).append(Point(int(c), float(a + b) / 2))
    result = diagnose(events, LABELS, clicks=clicks, min_score=0.4)
    known = evaluate_clicks(events, clicks, LABELS, hours=1.0, min_score=0.4).chosen
    assert (result.right, result.events, result.actions) == (known.precision.hits, known.precision.total, 12)
    assert result.f1 == pytest.approx(known.f1)


def test_without_a_minimum_score_the_best_f1_decides():
    result = diagnose({"v": EVENTS}, LABELS, truth=ACTIONS)
    assert result.min_score == 0.95
    assert diagnose({"v": []}, LABELS, truth=ACTIONS).min_score == 0.0


@pytest.mark.parametrize("by", ["truth", "clicks"])
def test_nothing_found_and_nothing_there(by):
    empty = truth(videos=("v",))
    for events in ({"v": []}, {"v": EVENTS}):
        result = diagnose(events, LABELS, truth=empty) if by == "truth" else diagnose(events, LABELS, clicks={"v": []})
        assert result.actions == 0
        assert np.isnan(result.average_precision)
        assert json.dumps(result.to_record(), allow_nan=False)
    nothing = diagnose({"v": []}, LABELS, truth=ACTIONS)
    assert nothing.f1 == 0.0 == nothing.average_precision
    assert [case.kind for case in nothing.cases] == ["missed"] * 3


def test_an_action_without_length_is_never_found():
    result = diagnose({"v": [event("jump", 5, 5, 0.9)]}, LABELS, truth=truth((0, 5, 5)), min_score=0.0)
    assert result.right == 0


def test_worst_cases_join_a_miss_and_what_explains_it():
    result = diagnose({"v": EVENTS}, LABELS, truth=ACTIONS, min_score=0.1)
    texts = [case.what for case in result.cases]
    assert texts[0] == "fall: reported as jump"
    assert "jump: not found" in texts
    assert "fall: no action there" in texts
    assert len(texts) == 6  # five wrong events, one of which explains a miss, and one other miss
    severities = [case.severity for case in result.cases]
    assert severities == sorted(severities, reverse=True)


def test_a_miss_below_the_minimum_score_says_so():
    result = diagnose({"v": [event("jump", 10, 20, 0.3)]}, LABELS, truth=ACTIONS, min_score=0.5)
    assert "jump: not found, only with a score of 0.30" in [case.what for case in result.cases]


def test_gaps_to_the_next_action():
    actions = truth((0, 0, 10), (1, 12, 20), (0, 15, 16), (1, 30, 31))
    judged = judge_by_truth(actions, Detections.from_rows([]), 0.5)
    assert gaps(judged).tolist() == [2.0, 0.0, 0.0, 10.0]
    alone = judge_by_truth(truth((0, 1, 2)), Detections.from_rows([]), 0.5)
    assert np.isnan(gaps(alone)).all()


def test_groups_by_length_gap_class_and_brightness():
    actions = truth(*((k % 2, 20.0 * k, 20.0 * k + 1 + k / 4) for k in range(32)))
    found = [event(LABELS[c], a, b, 0.9) for c, (a, b) in zip(actions.label, actions.segments, strict=True) if a > 200]
    result = diagnose(
        {"v": found}, LABELS, truth=actions, min_score=0.5, brightness=lambda video, t: 0.05 if t < 200 else 0.5
    )
    rows = {(g.factor, g.name): (g.found.total, g.found.hits) for g in result.groups}
    assert rows["class", "jump"] == (16, 10)
    lengths = [value for (factor, _), value in rows.items() if factor == "length"]
    assert len(lengths) == 4
    assert lengths[0][1] == 0
    assert rows["brightness", "below 10 %"] == (10, 0)
    assert rows["brightness", "40 % or more"][0] == 22
    assert sum(total for (factor, _), (total, _) in rows.items() if factor == "gap") == 32


def test_brightness_of_the_nearest_frame():
    meter = BrightnessMeter()
    offer = meter.of_video("v")
    for k in range(20):
        offer(np.full((16, 16, 3), 10 * k, np.uint8), k / 2, 1.0)
    assert meter.at("v", 4.1) == pytest.approx(80 / 255)
    assert np.isnan(meter.at("v", 30.0))
    assert np.isnan(meter.at("other", 1.0))


def site(rng: np.random.Generator, videos: int = 20) -> tuple[dict[str, list[Event]], dict[str, list[Point]]]:
    """Events that agree with the clicks; from the tenth video on, some clicks are not found."""
    events: dict[str, list[Event]] = {}
    clicks: dict[str, list[Point]] = {}
    for k in range(videos):
        name = f"v{k}"
        events[name], clicks[name] = [], []
        for j in range(6):
            label, at = int(rng.integers(2)), 20.0 * j + 10
            clicks[name].append(Point(label, at))
            if k < 10 or rng.random() < 0.85:
                events[name].append(event(LABELS[label], at - 2, at + 2, float(rng.uniform(0.8, 0.98)), name))
            events[name].append(event(LABELS[1 - label], at + 7, at + 9, float(rng.uniform(0.01, 0.2)), name))
    return events, clicks


def test_injected_label_errors_come_first():
    events, clicks = site(np.random.default_rng(3))
    old = clicks["v1"][2]
    clicks["v1"][2] = Point(1 - old.label, old.time_s)
    missing = clicks["v2"].pop(3)
    moved = clicks["v4"][1]
    clicks["v4"][1] = Point(moved.label, moved.time_s + 9.0)
    suspects = find_suspects(events, clicks, LABELS)
    first = {(s.kind, s.video) for s in suspects[:3]}
    assert first == {("other class", "v1"), ("no click", "v2"), ("elsewhere", "v4")}
    by_video = {s.video: s for s in suspects[:3]}
    assert by_video["v1"].clicked == LABELS[1 - old.label]
    assert by_video["v1"].found == LABELS[old.label]
    assert by_video["v2"].time_s == pytest.approx(missing.time_s)
    assert by_video["v4"].start_s <= moved.time_s <= by_video["v4"].end_s
    scores = [s.score for s in suspects]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= s.score <= 1 for s in suspects)
    every_click = sum(len(each) for each in clicks.values())
    assert sum(bool(s.clicked) for s in suspects) == every_click


def test_a_click_that_is_found_is_no_suspect_only_because_others_are_found_better():
    events, clicks = site(np.random.default_rng(3))
    weakest = min((e for made in events.values() for e in made if e.score > 0.5), key=lambda e: e.score)
    suspects = find_suspects(events, clicks, LABELS)
    held = [s for s in suspects if s.kind == "not found" and s.event_score >= weakest.score]
    assert held
    assert max(s.score for s in held) < 0.5
    assert not any(s.contradicted for s in suspects)
    clicks["v2"].pop(3)
    assert [s.kind for s in find_suspects(events, clicks, LABELS) if s.contradicted] == ["no click"]


def test_a_video_without_events_or_without_clicks():
    events, clicks = site(np.random.default_rng(4), videos=6)
    events["v0"], clicks["v1"] = [], []
    suspects = find_suspects(events, clicks, LABELS)
    assert [s.kind for s in suspects if s.video == "v0"] == ["not found"] * 6
    assert {s.kind for s in suspects if s.video == "v1"} == {"no click"}
    assert find_suspects({"v": []}, {}, LABELS) == ()
    assert find_suspects({}, {}, LABELS) == ()
    assert len(find_suspects({"v": []}, {"v": [Point(0, 1.0)]}, LABELS)) == 1
