"""Calibration from clicks: folds, judgment, map and default minimum."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime.bundle.calibration import Calibration, Choice, ScoreMap
from punctum.runtime.bundle.config import Fusion, PostProcess
from punctum.runtime.diagnosis.held_out import HeldOut, HeldOutVideo, read_held_out
from punctum.runtime.events.event import Event
from punctum.training.confidence.choose import choices, default_minimum
from punctum.training.confidence.fit import fit_maps
from punctum.training.confidence.folds import fold_of_videos, unjudged_classes, without_fold
from punctum.training.confidence.judge import JudgedEvents, judge
from punctum.training.confidence.site import Footage, calibrate_by_clicks, calibrate_by_rate
from punctum.training.data.labels import Clicks
from punctum.training.data.videos import Sample, TrainingSet

LABELS = ("jump", "fall")


def clicks_of(labels: list[int]) -> Clicks:
    at = np.arange(len(labels))
    return Clicks(at.astype(np.float64), at, np.array(labels, np.int64), at)


def training_set(clicks: list[list[int]]) -> TrainingSet:
    samples = [
        Sample(
            f"v{k}",
            np.zeros((40, 2), np.float32),
            0.0,
            clicks_of(labels),
        )
        for k, labels in enumerate(clicks)
    ]
    return TrainingSet("toy", LABELS, 0.5, 2, tuple(samples))


@given(st.lists(st.lists(st.integers(0, 1), max_size=4), min_size=1, max_size=12), st.integers(2, 5), st.integers(0, 9))
@settings(deadline=None)
def test_every_video_is_held_out_once(clicks, folds, seed):
    data = training_set(clicks)
    assigned = fold_of_videos(data, folds, seed=seed)
    with_clicks = sum(bool(labels) for labels in clicks)
    if with_clicks < 2:
        assert assigned == []
        return
    assert set(assigned) == set(range(min(folds, with_clicks)))
    for fold in set(assigned):
        rest = without_fold(data, assigned, fold)
        assert any(len(s.clicks) for s in rest.samples)
        assert len(rest.samples) == sum(k != fold for k in assigned)
    assert assigned == fold_of_videos(data, folds, seed=seed)


def test_a_rare_class_is_in_several_folds():
    data = training_set([[0]] * 20 + [[1]] * 3)
    assigned = fold_of_videos(data, 3, seed=1)
    assert sorted(assigned[20:]) == [0, 1, 2]


def event(label: str, start: float, end: float, score: float) -> Event:
    return Event("v", "v/1", 0, "final", label, score, start, end, end, 0.0, "b")


def judged(events: list[Event], clicks: list[tuple[int, float, float]]) -> list[bool]:
    label, start, end = (np.array(column) for column in zip(*clicks, strict=True))
    return judge(events, LABELS, label, np.stack([start, end], 1).astype(float)).right.tolist()


def test_an_event_is_right_by_the_pseudo_segment_of_a_click():
    clicks = [(0, 4.0, 6.0), (0, 18.0, 22.0)]
    events = [
        event("jump", 4.1, 6.2, 0.5),
        event("jump", 4.0, 6.0, 0.4),  # the better one has the click
        event("fall", 4.0, 6.0, 0.9),  # another class
        event("jump", 18.0, 60.0, 0.8),  # far too long
        event("jump", 18.5, 22.5, 0.3),
        event("jump", 30.0, 31.0, 0.7),
    ]
    assert judged(events, clicks) == [True, False, False, False, True, False]


def simulated(rng: np.random.Generator, size: int, offset: float) -> tuple[np.ndarray, np.ndarray]:
    raw = rng.beta(0.5, 3, size)
    p = 1 / (1 + np.exp(-(1.5 + offset + 1.2 * np.log(raw) - 0.4 * np.log1p(-raw))))
    return raw, rng.random(size) < p


def test_the_map_recovers_the_probabilities():
    rng = np.random.default_rng(4)
    parts = [simulated(rng, 4000, offset) for offset in (0.8, -0.8)]
    label = np.repeat([0, 1], 4000)
    data = JudgedEvents(label, np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    for fitted, offset in zip(fit_maps(data, 2), (0.8, -0.8), strict=True):
        x = np.linspace(0.02, 0.9, 30)
        truth = 1 / (1 + np.exp(-(1.5 + offset + 1.2 * np.log(x) - 0.4 * np.log1p(-x))))
        np.testing.assert_allclose([fitted(v) for v in x], truth, atol=0.05)


def test_a_class_without_clicks_gets_the_map_of_all_and_a_few_clicks_change_little():
    rng = np.random.default_rng(5)
    raw, right = simulated(rng, 500, 0.0)
    few = JudgedEvents(np.array([0] * 500 + [1]), np.append(raw, 0.5), np.append(right, False))
    maps = fit_maps(few, 3)
    assert maps[2](0.3) == pytest.approx(maps[0](0.3), abs=0.15)
    assert 0.3 * maps[0](0.3) < maps[1](0.3) < maps[0](0.3)


@given(st.integers(0, 2**32 - 1), st.integers(3, 60))
@settings(deadline=None, max_examples=40)
def test_maps_rise_whatever_the_judgments(seed, size):
    rng = np.random.default_rng(seed)
    right = rng.random(size) < rng.random()
    right[:2] = True, False
    raw = rng.choice([rng.random(size), np.full(size, 0.3), rng.random(size) ** 8])
    for fitted in fit_maps(JudgedEvents(rng.integers(0, 2, size), raw, right), 2):
        values = [fitted(x) for x in np.linspace(0, 1, 200)]
        assert values == sorted(values)
        assert fitted(0.9) > fitted(0.1)


def test_the_default_minimum_and_the_table_of_choices():
    scores = np.array([0.9, 0.8, 0.6, 0.4, 0.2, 0.1])
    data = JudgedEvents(np.zeros(6, np.int64), scores, np.array([True, True, True, False, False, True]))
    assert 0.2 < default_minimum(scores, 3) <= 0.6
    assert default_minimum(np.array([0.99] * 10 + [0.01] * 50), 10) <= 0.99
    rows = choices(scores, data, 4, hours=0.5)
    assert [row.min_score for row in rows] == sorted({row.min_score for row in rows})
    first, last = rows[0], rows[-1]
    assert (first.precision, first.recall, first.false_alarms_per_hour) == (pytest.approx(4 / 6, abs=1e-4), 1.0, 4.0)
    assert (last.precision, last.recall, last.false_alarms_per_hour) == (1.0, 0.25, 0.0)


@given(seed=st.integers(0, 2**32 - 1), clicks=st.integers(1, 60))
def test_the_default_minimum_costs_little_and_none_below_it_is_as_good(seed, clicks):
    rng = np.random.default_rng(seed)
    scores = rng.beta(0.5, 1.5, size=int(rng.integers(1, 80)))

    def f1(minimum):
        return 2 * scores[scores >= minimum].sum() / ((scores >= minimum).sum() + clicks)

    chosen = default_minimum(scores, clicks)
    grid = [0.0, 0.001, 0.002, 0.005, *np.round(np.arange(0.01, 1, 0.01), 2), 0.995, 0.998, 0.999]
    best = max(f1(t) for t in grid)
    assert f1(chosen) >= 0.995 * best
    assert all(f1(t) < 0.995 * best for t in grid if t < chosen)


def test_improbable_events_have_a_minimum_and_a_table_too():
    scores = np.array([0.004, 0.003, 0.0005])
    data = JudgedEvents(np.zeros(3, np.int64), scores, np.array([True, False, False]))
    rows = choices(scores, data, 1, hours=1.0)
    assert [(row.min_score, row.recall, row.false_alarms_per_hour) for row in rows] == [
        (0.0, 1.0, 2.0),
        (0.001, 1.0, 1.0),
        (0.002, 1.0, 1.0),
    ]
    assert (scores >= default_minimum(scores, 1)).any()


def test_without_a_table_of_choices_a_target_asks_for_clicks_and_not_for_calibration():
    from punctum.runtime.bundle.operating_point import OperatingPoint
    from punctum.runtime.errors import InputError

    with pytest.raises(InputError, match="calibrated without clicks") as caught:
        OperatingPoint(target_recall=0.5).of(known(), LABELS)
    assert caught.value.code == "not-calibrated"
    with pytest.raises(InputError, match="a calibrated bundle"):
        OperatingPoint(target_recall=0.5).of(None, LABELS)


def test_a_run_without_an_event_above_its_minimum_has_a_summary():
    from punctum.training.cli.common import calibration_line

    facts = {"calibrated": True, "folds": 2, "min_score": 0.01, "recall": 0.0, "precision": None}
    assert "shows no event" in calibration_line(facts)
    no_right = {"calibrated": False, "folds": 3, "events": 9, "right": 0}
    assert "0 of 9 events" in calibration_line(no_right)
    assert "at least two videos" in calibration_line({"calibrated": False, "folds": 0, "events": 0, "right": 0})


def test_a_line_says_which_settings_were_compared_and_chosen(capsys):
    from punctum.training.cli.common import show_settings

    def row(adapt: bool, accuracy: float | None, chosen: bool) -> dict[str, object]:
        gain = None if accuracy is None else accuracy - 0.5
        return {
            "adapt": adapt, "class_probability": 0.5, "contrast": 1.0, "accuracy": accuracy, "gain": gain,
            "chosen": chosen,
        }  # fmt: skip

    show_settings({"post_processing": [row(True, 0.5, True), row(False, 0.49, False), row(True, None, False)]})
    assert "none of 1 other setting was clearly better" in capsys.readouterr().out
    show_settings({"post_processing": [row(True, 0.5, False), row(False, 0.53, True)]})
    said = capsys.readouterr().out
    assert "adaptation off, exponents of class probability 0.5 and contrast 1" in said and "+0.030" in said
    for facts in ({}, {"post_processing": []}, {"post_processing": [row(True, 0.5, True)]}):
        show_settings(facts)
        assert capsys.readouterr().out == ""


def known(share: float = 0.1) -> Calibration:
    maps = (ScoreMap(raw=(0.0, 1.0), score=(0.0, 1.0), min_score=0.4),) * 2
    return Calibration(classes=maps, reduced=maps, right_share=share)


def site(rng: np.random.Generator, size: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores that are right with probability x where a tenth is right, at another share of right events."""
    while True:
        x = rng.beta(0.3, 2.7, size * 20)
        right = rng.random(len(x)) < x
        pick = np.concatenate(
            [np.flatnonzero(right)[: int(size * share)], np.flatnonzero(~right)[: int(size * (1 - share))]]
        )
        if len(pick) >= size - 2:
            return x[pick], right[pick]


@pytest.mark.parametrize("share", [0.03, 0.1, 0.4])
def test_the_number_of_actions_gives_the_share_of_right_events(share):
    x, right = site(np.random.default_rng(6), 4000, share)
    footage = Footage(JudgedEvents(np.zeros(len(x), np.int64), x, np.zeros(len(x), bool)), None, 1.0)
    found, shift = calibrate_by_rate(footage, known(), actions=float(right.sum()))
    assert shift == pytest.approx(np.log(share / (1 - share)) - np.log(0.1 / 0.9), abs=0.3)
    assert [each.min_score for each in found.classes] == [0.4, 0.4]
    assert len(found.reduced) == 2


def test_the_number_of_actions_fixes_the_sum_of_the_scores():
    x, _ = site(np.random.default_rng(7), 1000, 0.1)
    footage = Footage(JudgedEvents(np.zeros(len(x), np.int64), x, np.zeros(len(x), bool)), None, 1.0)
    found, _ = calibrate_by_rate(footage, known(), actions=250.0)
    assert sum(found.score(0, v) for v in x) == pytest.approx(250, rel=1e-3)  # also between knots
    choice = Choice(min_score=0.0, precision=0.1, recall=0.8, false_alarms_per_hour=9.0)
    some = known().model_copy(update={"choices": (choice,)})  # a fifth of the actions has no event at all
    found, _ = calibrate_by_rate(footage, some, actions=250.0)
    assert sum(found.score(0, v) for v in x) == pytest.approx(200, rel=1e-3)
    empty = JudgedEvents(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    assert calibrate_by_rate(Footage(empty, None, 1.0), known(), actions=250.0)[1] == 0.0


def test_a_handful_of_clicks_moves_known_maps_a_little_and_many_as_far_as_needed():
    rng = np.random.default_rng(8)

    def found(size: int) -> float:
        x = rng.beta(0.3, 2.7, size)
        right = rng.random(size) < x / (x + 4 * (1 - x))  # log-odds lower by log(4)
        right[:2] = True, False
        data = JudgedEvents(np.zeros(size, np.int64), x, right)
        after = calibrate_by_clicks(Footage(data, int(right.sum()), 1.0), 2, known())
        assert after.score(0, 0.5, degraded=True) == after.score(0, 0.5)  # maps of reduced scoring move alike
        assert len(after.reduced) == 2
        return after.score(0, 0.5)

    assert found(20_000) == pytest.approx(0.2, abs=0.03)
    assert 0.15 < found(30) <= 0.55


@pytest.mark.slow
def test_a_run_is_calibrated_and_goes_on_where_it_was_stopped(toy, small, tmp_path, monkeypatch):
    """The fold in work is trained to its end; the result is that of an undisturbed run."""
    from punctum.runtime import Dataset
    from punctum.training import load_run, train_run
    from punctum.training.data.videos import load_training_set
    from punctum.training.engine import calibrate
    from punctum.training.engine.stop import TrainingInterrupted
    from punctum.training.models.torch_backend import localizer_of

    data = load_training_set(Dataset.open(toy))
    recipe = small.model_copy(update={"folds": 2})
    whole = train_run(data, recipe, tmp_path / "whole", quiet=True)
    facts = whole["stages"]["calibration"]
    assert facts["calibrated"]
    assert facts["folds"] == 2
    found = load_run(tmp_path / "whole").calibration
    assert found is not None
    assert len(found.classes) == len(found.reduced) == len(data.labels)
    assert 0 < found.right_share < 1
    compared = facts["post_processing"]
    assert [each["adapt"] for each in compared] == [True, False] * 3  # the recipe states neither
    (chosen,) = (each for each in compared if each["chosen"])
    run = load_run(tmp_path / "whole")
    assert run.post.adapt == chosen["adapt"]
    again = train_run(data, recipe, tmp_path / "whole", quiet=True, resume=True)
    assert load_run(tmp_path / "whole").post == run.post
    assert again["stages"]["calibration"] == {**json.loads(json.dumps(facts)), "resumed": True}
    assert again["seconds"] == pytest.approx(whole["seconds"])
    (tmp_path / "whole" / "summary.json").write_text("[")
    damaged = train_run(data, recipe, tmp_path / "whole", quiet=True, resume=True)
    assert (damaged["stages"]["calibration"], damaged["seconds"]) == ({"resumed": True}, 0.0)
    kept = read_held_out(tmp_path / "whole")
    assert kept.calibration == found
    assert {video: each.fold for video, each in kept.videos.items()} == {
        s.video: k for s, k in zip(data.samples, fold_of_videos(data, 2, seed=0), strict=True)
    }
    assert sum(len(each.rows) for each in kept.videos.values()) == facts["events"]
    assert facts["suspects"] >= 0

    judged = calibrate.Calibrator._judged
    calls = []

    def stopped(self, networks, samples, fold):
        calls.append(len(samples))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judged(self, networks, samples, fold)

    monkeypatch.setattr(calibrate.Calibrator, "_judged", stopped)
    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train_run(data, recipe, tmp_path / "parts", quiet=True)
    monkeypatch.undo()
    train_run(data, recipe, tmp_path / "parts", quiet=True, resume=True)
    again = load_run(tmp_path / "parts")
    assert again.calibration == found
    assert not (tmp_path / "parts" / "state").exists()
    events = localizer_of(again).localize(data.samples[0].features)
    assert events
    assert all(event.raw_score is not None for event in events)


def held_out_with(errors: float, *, videos: int = 16) -> HeldOut:
    """Four actions in each video; the share `errors` of them has a lower score than an event beside any action."""
    rng = np.random.default_rng(0)
    made = {}
    for k in range(videos):
        spans = [(j % 2, 10.0 * j + 2, 10.0 * j + 6) for j in range(4)]
        rows = [(c, a, b, 0.2 if rng.random() < errors else 0.8) for c, a, b in spans]
        rows += [(j % 2, 10.0 * j + 7.5, 10.0 * j + 9.5, 0.5) for j in range(4)]
        made[f"v{k}"] = HeldOutVideo(k % 3, 40.0, tuple(rows), tuple(spans))
    return HeldOut(("a", "b"), made, None)


def test_settings_are_chosen_if_they_are_surely_better():
    from punctum.training.config import TrainConfig
    from punctum.training.engine.post import choose_settings, settings_of

    settings = settings_of(TrainConfig(), center=True)
    poor, good, better = held_out_with(0.6), held_out_with(0.3), held_out_with(0.0)

    def chosen(**other: HeldOut) -> int:
        """Place of the chosen settings, when all but these have poor events."""
        runs = [other.get(f"s{k}", poor) for k in range(len(settings))]
        found, records = choose_settings(settings, runs)
        assert [r["chosen"] for r in records] == [k == found for k in range(len(settings))]
        return found

    halved = next(k for k, s in enumerate(settings) if s == settings_with(settings[3], contrast=0.5))
    assert chosen() == 0  # equal settings are not better
    assert chosen(s3=good) == 3
    assert chosen(s3=good, s4=better) == 4
    assert chosen(s3=good, **{f"s{halved}": better}) == halved
    assert chosen(**{f"s{halved}": better}) == 0  # the class probability alone is not better
    bare = HeldOut(("a", "b"), {"v0": HeldOutVideo(0, 40.0, ((0, 1.0, 2.0, 0.5),))}, None)
    assert choose_settings(settings, [bare] * len(settings))[0] == 0


def settings_with(post: PostProcess, **weights: float) -> PostProcess:
    return post.model_copy(update={"fusion": post.fusion.model_copy(update=weights)})


def test_settings_that_the_recipe_states_are_not_varied():
    from punctum.training.config import TrainConfig
    from punctum.training.engine.post import settings_of

    default = settings_of(TrainConfig(), center=True)
    varied = [(s.fusion.contrast, s.fusion.class_probability, s.adapt) for s in default]
    assert varied == [(c, p, a) for c in (1, 0.5) for p in (0, 0.5, 1) for a in (True, False) if c == 1 or p > 0]
    assert all(s.fusion.center == 1 for s in default)
    assert [s.adapt for s in settings_of(TrainConfig(), center=False)] == [True, False]
    weights = TrainConfig.model_validate({"post": {"fusion": {"center": 1, "contrast": 1}}})
    assert {s.fusion.contrast for s in settings_of(weights, center=True)} == {1}
    every = {"adapt": True, "fusion": {"center": 1, "class_probability": 0, "contrast": 1}}
    stated = TrainConfig.model_validate({"post": every})
    assert len(settings_of(stated, center=True)) == 1
    assert stated.choose == ()


def test_a_recorded_recipe_chooses_what_its_run_chose():
    from punctum.training.cli.recipe_options import recipe_of
    from punctum.training.config import TrainConfig
    from punctum.training.engine.post import settings_of

    recipes = [recipe_of(None), recipe_of(None, adapt=False), recipe_of(None, published=True)]
    recipes.append(TrainConfig.model_validate({"post": {"fusion": {"center": 1, "class_probability": 0.5}}}))
    assert [len(each.choose) for each in recipes] == [3, 2, 1, 2]
    for recipe in recipes:
        recorded = TrainConfig.model_validate_json(recipe.model_dump_json())
        assert recorded == recipe
        assert settings_of(recorded, center=True) == settings_of(recipe, center=True)


def test_an_option_beside_a_recorded_recipe_states_its_setting(tmp_path):
    from punctum.training.cli.recipe_options import recipe_of
    from punctum.training.config import TrainConfig

    file = tmp_path / "config.json"
    file.write_text(json.dumps({"schema": "punctum-run/1", "config": TrainConfig().model_dump(mode="json")}))
    assert recipe_of(file) == TrainConfig()  # of a run folder, too
    assert recipe_of(file, adapt=False).choose == ("class_probability", "contrast")
    assert recipe_of(file, published=True).choose == ("adapt",)
    recipe = TrainConfig()
    assert recipe.model_copy(update={"post": PostProcess(adapt=True)}).choose == ("class_probability", "contrast")
    for fusion in (Fusion(center=1, contrast=1), Fusion(center=1, contrast=0.5)):
        other = recipe.post.model_copy(update={"fusion": fusion})
        assert recipe.model_copy(update={"post": other}).choose == ("adapt", "class_probability")
    assert recipe.model_copy(update={"post": recipe.post.model_copy(update={"sigma": 0.4})}).choose == recipe.choose


def test_a_class_that_is_held_out_at_once_is_left_out_of_the_calibration(tmp_path, capsys):
    from punctum.training.cli.common import show_unjudged
    from punctum.training.engine.calibrate import Calibrator

    assert unjudged_classes(training_set([[0, 1], [1], [0]]), [0, 1, 1]) == set()
    assert unjudged_classes(training_set([[0, 1], [0], [0]]), [-1, 0, 1]) == set()  # labeled in part: never held out
    many = [0] * 40
    data = training_set([[*many, 1, 1], many, many, many])
    calibrator = Calibrator(data, [PostProcess()], tmp_path, folds=2, seed=0)
    assert unjudged_classes(data, calibrator.assigned) == {1}
    rng = np.random.default_rng(3)
    x = rng.beta(1, 1, 400)
    label = np.arange(400) % 2
    events = JudgedEvents(label, x, (rng.random(400) < x) & (label == 0))  # no event of the class is right
    calibrator._full = calibrator._reduced = [events]
    found = calibrator.calibration()
    assert found is not None
    assert found.score(1, 0.5) == pytest.approx(found.score(0, 0.5), abs=0.05) and found.score(1, 0.5) > 0.3
    assert (calibrator.facts["clicks"], calibrator.facts["events"]) == (160, 200)
    assert calibrator.facts["unjudged_classes"] == ["fall"]
    show_unjudged(calibrator.facts)
    assert "not judged: fall" in capsys.readouterr().out
    show_unjudged({})
    assert capsys.readouterr().out == ""
