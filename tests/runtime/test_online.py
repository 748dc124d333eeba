"""Judging what streams say in time: small cases by hand, and what must hold for any stream."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import Event, InputError, evaluate
from punctum.runtime.datasets.dataset import Truth
from punctum.runtime.evaluation.average_precision import Detections
from punctum.runtime.evaluation.online import (
    Claims,
    best_operating_point,
    check_delays,
    detection_delays,
    evaluate_claims,
    matched,
    read_claims,
    replay,
    start_latencies,
)
from punctum.runtime.features.features import Features
from punctum.runtime.live import LiveOptions

from tests.helpers import fakes


def truth_of(*actions, videos=("v",), labels=("wave", "push")) -> Truth:
    """Actions as (label, start, end) of the first video, or (label, start, end, video)."""
    rows = [(*a, videos[0]) if len(a) == 3 else a for a in actions]
    return Truth(
        videos,
        labels,
        np.array([videos.index(r[3]) for r in rows], np.int64),
        np.array([labels.index(r[0]) for r in rows], np.int64),
        np.array([r[1:3] for r in rows], np.float64).reshape(-1, 2),
    )


def life(name, *said, label="wave", video="v") -> list[Event]:
    """Revisions of one event, each (phase, start, end, score, emitted_at); "running" is an update without an end."""
    return [
        Event(
            video,
            name,
            n,
            "update" if phase == "running" else phase,
            label,
            score,
            start,
            end,
            at,
            at - end,
            "b",
            ended=phase not in ("open", "running"),
        )
        for n, (phase, start, end, score, at) in enumerate(said)
    ]


TRUTH = truth_of(("wave", 10.0, 14.0), ("push", 20.0, 22.0))
WAVE = life(
    "w",
    ("open", 10.0, 11.0, 0.4, 11.0),
    ("update", 10.0, 13.0, 0.5, 13.5),
    ("update", 10.0, 14.0, 0.6, 14.5),
    ("final", 10.0, 14.4, 0.9, 19.0),
)
PUSH = life("p", ("final", 20.0, 22.0, 0.8, 27.0), label="push")
GHOST = life("g", ("update", 15.0, 16.0, 0.7, 16.5), ("retracted", 15.0, 16.0, 0.7, 17.5))


def claims_of(*lives, truth=TRUTH) -> Claims:
    return Claims.from_events({"v": [e for one in lives for e in one]}, truth)


def said(claims, delay):
    found = claims.by_deadline(delay)
    return [(float(a), float(b), float(s)) for (a, b), s in zip(found.segments, found.scores, strict=True)]


def test_the_last_report_in_time_counts():
    claims = claims_of(WAVE)
    assert said(claims, 0.4) == []  # the open report claims no end, the others come 0.5 s after theirs
    assert said(claims, 0.5) == [(10.0, 14.0, 0.6)]
    assert said(claims, 4.0) == [(10.0, 14.0, 0.6)]  # the correction comes 4.6 s after its end: the stale one counts
    assert said(claims, 4.6) == [(10.0, 14.4, 0.9)]
    assert said(claims, math.inf) == [(10.0, 14.4, 0.9)]


def test_a_late_correction_to_an_earlier_end_does_not_help():
    claims = claims_of(life("w", ("update", 1.0, 9.0, 0.5, 9.2), ("final", 1.0, 4.0, 0.9, 10.0)))
    assert said(claims, 1.0) == [(1.0, 9.0, 0.5)]
    assert said(claims, 6.0) == [(1.0, 4.0, 0.9)]


def test_a_retraction_in_time_takes_the_event_out_and_a_late_one_does_not():
    claims = claims_of(GHOST)
    assert said(claims, 1.4) == [(15.0, 16.0, 0.7)]
    assert said(claims, 1.5) == []
    assert said(claims, math.inf) == []


def test_saying_that_it_runs_on_after_all_takes_the_claim_back():
    claims = claims_of(
        life("w", ("update", 1.0, 4.0, 0.5, 4.2), ("running", 1.0, 4.6, 0.5, 4.6), ("final", 1.0, 8.0, 0.9, 12.0))
    )
    assert said(claims, 0.3) == [(1.0, 4.0, 0.5)]
    assert said(claims, 1.0) == []
    assert said(claims, 4.0) == [(1.0, 8.0, 0.9)]


def test_detection_delay_is_the_first_matching_claim_minus_the_true_end():
    # tIoU of the claim at 13.5 s is 3/4; the open report claims nothing.
    assert detection_delays(TRUTH, claims_of(WAVE, PUSH)) == pytest.approx([-0.5, 5.0])
    assert detection_delays(TRUTH, claims_of(WAVE, PUSH), tiou=0.8) == pytest.approx([0.5, 5.0])
    assert detection_delays(TRUTH, claims_of(WAVE, PUSH), min_score=0.55) == pytest.approx([0.5, 5.0])
    assert detection_delays(TRUTH, claims_of(WAVE), min_score=0.95) == pytest.approx([np.nan, np.nan], nan_ok=True)


def test_another_label_or_video_is_no_detection():
    truth = truth_of(("wave", 10.0, 14.0), ("wave", 10.0, 14.0, "u"), videos=("v", "u"))
    events = {"v": life("x", ("final", 10.0, 14.0, 0.9, 15.0), label="push"), "u": life("y", video="u")}
    assert np.isnan(detection_delays(truth, Claims.from_events(events, truth))).all()


def test_a_claim_that_was_withdrawn_had_been_heard():
    truth = truth_of(("wave", 15.0, 16.0))
    assert detection_delays(truth, claims_of(GHOST, truth=truth)) == pytest.approx([0.5])


def test_start_latency_counts_from_the_first_sign_of_an_event_that_matches():
    unrelated = life("z", ("open", 9.9, 10.1, 0.9, 10.1), ("retracted", 9.9, 10.1, 0.9, 10.5))
    found = start_latencies(TRUTH, claims_of(unrelated, WAVE, PUSH))
    assert found == pytest.approx([1.0, 7.0])


def test_row_by_hand():
    claims = claims_of(WAVE, PUSH, GHOST, life("d", ("final", 10.0, 13.9, 0.55, 14.0)))
    row = evaluate_claims(TRUTH, claims, 1.0, min_score=0.55, hours=0.5)
    record = row.to_record()
    # In time: WAVE's second claim (0.6, a hit), the ghost (0.7, a false alarm), "d" (0.55, the same action again).
    assert record["detections"] == 3
    assert record["map"]["0.5"] == pytest.approx((0.5 + 0.0) / 2)  # push is missed; wave comes second after the ghost
    assert record["false_alarms_per_hour"] == 2.0
    assert record["duplicates_per_hour"] == 2.0
    assert record["in_time"] == 0.5
    assert record["events"] == 4
    assert record["first_seen_open"] == 0.25
    assert record["revisions_per_event"] == (3 + 0 + 1 + 0) / 4
    assert record["retractions_per_event"] == 0.25
    assert record["detection_delay_s"]["median"] == pytest.approx((0.0 + 5.0) / 2)
    assert record["detection_delay_any_score_s"]["median"] == pytest.approx((-0.5 + 5.0) / 2)
    assert record["real_time_factor"] is None
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_offline_row_knows_final_events_only():
    row = evaluate_claims(TRUTH, claims_of(WAVE, PUSH, GHOST), math.inf, min_score=0.5)
    record = row.to_record()
    assert record["max_delay_s"] is None
    assert record["false_alarms_per_hour"] is None  # media time unknown
    assert record["map"]["0.5"] == 1.0
    assert record["revisions_per_event"] == record["first_seen_open"] == 0
    assert record["detection_delay_s"]["median"] == pytest.approx(5.0)


def test_nothing_said_at_all():
    claims = Claims.from_events({}, TRUTH)
    for delay in (0.5, math.inf):
        record = evaluate_claims(TRUTH, claims, delay, min_score=math.inf, hours=1.0).to_record()
        assert record["map"]["average"] == 0.0
        assert record["detection_delay_s"] == {"mean": None, "median": None, "p95": None, "never": 1.0}
        json.dumps(record, allow_nan=False)
    assert math.isinf(best_operating_point(TRUTH, claims.by_deadline(math.inf)).score)


def detections(*rows) -> Detections:
    return Detections.from_rows(rows)


def test_minimum_score_that_maximizes_f1():
    found = detections((0, 0, 10, 14, 0.9), (0, 0, 30, 31, 0.7), (0, 1, 20, 22, 0.5), (0, 1, 40, 41, 0.5))
    point = best_operating_point(TRUTH, found)
    assert (point.score, point.f1) == (0.9, pytest.approx(2 / 3))  # 0.5 keeps both of its score: 4 / 6 as well
    point = best_operating_point(TRUTH, detections((0, 0, 10, 14, 0.9), (0, 1, 20, 22, 0.5), (0, 1, 40, 41, 0.4)))
    assert (point.score, point.f1) == (0.5, 1.0)


def test_a_truth_is_taken_once_by_the_best():
    found = detections((0, 0, 10, 13, 0.4), (0, 0, 10, 14, 0.8), (0, 1, 10, 14, 0.9))
    assert matched(TRUTH, found).tolist() == [-1, 0, -1]


BOX = st.tuples(st.integers(0, 60), st.integers(1, 12), st.floats(0.05, 1.0))


@st.composite
def streams(draw):
    """Events with lives of any shape, in steps of a quarter second."""
    found = []
    for n in range(draw(st.integers(0, 6))):
        clock = draw(st.integers(0, 60)) / 4
        said = []
        for _ in range(draw(st.integers(0, 4))):
            start, length, score = draw(BOX)
            phase = draw(st.sampled_from(["update", "running"] + (["open"] if not said else [])))
            clock += draw(st.integers(0, 12)) / 4
            said.append((phase, start / 4, (start + length) / 4, score, clock))
        start, length, score = draw(BOX)
        last = draw(st.sampled_from(["final", "retracted"]))
        said.append((last, start / 4, (start + length) / 4, score, clock + draw(st.integers(0, 40)) / 4))
        found.append(life(f"e{n}", *said, label=draw(st.sampled_from(["wave", "push"]))))
    events = [e for one in found for e in one]
    return sorted(events, key=lambda e: e.emitted_at)  # stable: revisions stay in order


def plainly(events, delay):
    """The definition once more, event by event."""
    kept = []
    for name in dict.fromkeys(e.id for e in events):
        mine = [e for e in events if e.id == name]
        claims = [e for e in mine if e.ended and e.phase != "retracted" and e.emitted_at <= e.end + delay + 1e-6]
        if claims:
            last = claims[-1]
            later = [e for e in mine if e.revision > last.revision and (not e.ended or e.phase == "retracted")]
            if not any(e.emitted_at <= last.end + delay + 1e-6 for e in later):
                kept.append((last.label, last.start, last.end, last.score))
    return sorted(kept)


@settings(max_examples=200)
@given(streams(), st.sampled_from([0.0, 0.25, 1.0, 3.0, 100.0]))
def test_by_deadline_follows_the_definition(events, delay):
    found = Claims.from_events({"v": events}, TRUTH).by_deadline(delay)
    rows = zip(found.label, found.segments, found.scores, strict=True)
    assert sorted((TRUTH.labels[k], float(a), float(b), float(s)) for k, (a, b), s in rows) == plainly(events, delay)


@settings(max_examples=100)
@given(streams(), st.floats(0, 20), st.floats(0, 20))
def test_a_larger_deadline_never_sees_fewer_reports(events, one, other):
    claims = Claims.from_events({"v": events}, TRUTH)
    small, large = sorted((one, other))
    assert not (claims.in_time(small) & ~claims.in_time(large)).any()
    in_time = evaluate_claims(TRUTH, claims, small, min_score=0.3).to_record()["in_time"]
    assert in_time <= evaluate_claims(TRUTH, claims, large, min_score=0.3).to_record()["in_time"]


@settings(max_examples=100)
@given(streams(), st.booleans())
def test_without_a_deadline_it_is_the_offline_judgment(events, ties):
    events = [replace(e, score=0.5) for e in events] if ties else events
    row = evaluate_claims(TRUTH, Claims.from_events({"v": events}, TRUTH), math.inf, min_score=0.0)
    offline = evaluate(TRUTH, Detections.from_events({"v": events}, TRUTH))
    assert np.array_equal(row.result.ap, offline.ap, equal_nan=True)
    assert row.result.detections == offline.detections


@pytest.mark.parametrize("delay", [0.3, 2.0])
def test_replayed_sessions(delay):
    """A real session: nothing is emitted before it was seen, its finals are offline's, and time helps."""
    localizer = fakes.localizer()
    features = Features(fakes.recording(5, 600), 0.1)
    offline = localizer.localize(features, stream="v")
    truth = truth_of(*[(e.label, e.start, e.end) for e in offline if e.score > 0.3], labels=fakes.LABELS)
    events = replay(localizer, features, stream="v", live=LiveOptions(max_delay_s=delay))
    claims = Claims.from_events({"v": events}, truth)
    final = evaluate_claims(truth, claims, math.inf, min_score=0.3)
    same = evaluate(truth, Detections.from_events({"v": offline}, truth))
    assert np.allclose(final.result.ap, same.ap, equal_nan=True)
    assert final.result.average > 0.95
    early, late = (evaluate_claims(truth, claims, d, min_score=0.3) for d in (delay, 30.0))
    assert 0 < early.result.average <= late.result.average
    assert np.nanmedian(early.delays) <= delay + 0.1
    assert late.result.average == pytest.approx(final.result.average, abs=0.02)


@pytest.mark.parametrize("delays", [[], [0.0], [-1.0], [math.nan], [math.inf], [1.0, -2.0]])
def test_delays_that_are_refused(delays):
    with pytest.raises(InputError) as error:
        check_delays(delays)
    assert error.value.code == "max-delay"


def test_delays_are_sorted_and_deadlines_checked():
    assert check_delays([2, 0.5, 2]) == (0.5, 2.0)
    for bad in (-1.0, math.nan):
        with pytest.raises(InputError):
            evaluate_claims(TRUTH, claims_of(WAVE), bad, min_score=0.0)


@pytest.mark.parametrize(
    ("events", "code"),
    [
        (life("w", ("final", 1, 2, 0.5, 3)) + life("w", ("final", 1, 2, 0.5, 3)), "report-after-last"),
        (life("w", ("update", 1, 2, 0.5, 3), ("final", 1, 2, 0.5, 2.5)), "report-order"),
        (life("w", ("update", 1, 2, 0.5, 3), ("final", 1, 2, 0.5, 4))[::-1], "report-after-last"),
        (life("w", ("update", 1, 2, 0.5, 3), ("update", 1, 2, 0.5, 4))[::-1], "report-order"),
        (life("w", ("final", 2, 1, 0.5, 3)), "report-invalid"),
        (life("w", ("final", 1, 2, math.nan, 3)), "report-invalid"),
        ([replace(life("w", ("open", 1, 2, 0.5, 3))[0], ended=True)], "report-invalid"),
        ([replace(life("w", ("final", 1, 2, 0.5, 3))[0], ended=False)], "report-invalid"),
        (life("w", ("final", 1, 2, 0.5, 3), label="hop"), "label-unknown"),
    ],
)
def test_streams_that_make_no_sense(events, code):
    with pytest.raises(InputError) as error:
        Claims.from_events({"v": events}, TRUTH)
    assert error.value.code == code


def test_unknown_video():
    with pytest.raises(InputError) as error:
        Claims.from_events({"other": WAVE}, TRUTH)
    assert error.value.code == "video-unknown"


def test_a_recorded_file_gives_the_same_reports(tmp_path):
    events = sorted(WAVE + PUSH + GHOST, key=lambda e: e.emitted_at)
    other = life("o", ("final", 1, 2, 0.5, 3), video="elsewhere")
    lines = [e.to_json() for e in events + other]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join([*lines, "", lines[0]]) + "\n")  # a restart wrote the first line again
    read, direct = read_claims(path, TRUTH), Claims.from_events({"v": events}, TRUTH)
    assert read.ignored_videos == ("elsewhere",)
    for name in ("video", "event", "label", "segments", "scores", "emitted_at", "ended", "phase", "place"):
        assert np.array_equal(getattr(read, name), getattr(direct, name)), name


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "detections-no-phases"),
        ('{"results": {"v": []}}', "detections-no-phases"),
        (WAVE[0].to_json() + "\nnonsense\n", "detections-form"),
        (WAVE[0].to_json() + "\n" + WAVE[0].to_json().replace('"score":0.4', '"score":"high"'), "report-invalid"),
        (life("o", ("final", 1, 2, 0.5, 3), video="elsewhere")[0].to_json(), "detections-other-videos"),
    ],
)
def test_files_that_are_refused(tmp_path, text, code):
    path = tmp_path / "events.jsonl"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_claims(path, TRUTH)
    assert error.value.code == code
    with pytest.raises(InputError):
        read_claims(tmp_path / "absent.jsonl", TRUTH)


@pytest.mark.slow
def test_the_figure_is_the_same_every_time(tmp_path):
    pytest.importorskip("matplotlib", reason="drawing needs the extra report")
    from punctum.runtime.evaluation.figures import plot_online

    claims = claims_of(WAVE, PUSH, GHOST)
    rows = [evaluate_claims(TRUTH, claims, d, min_score=0.3) for d in (0.5, 2.0, math.inf)]
    for name in ("a.svg", "b.svg"):
        plot_online(rows, tmp_path / name, title="made up")
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn == (tmp_path / "b.svg").read_text()
    assert "offline" in drawn
    assert "maximum delay" in drawn
    plot_online(
        [evaluate_claims(TRUTH, Claims.from_events({}, TRUTH), d, min_score=0.3) for d in (1.0, math.inf)],
        tmp_path / "c.svg",
    )
