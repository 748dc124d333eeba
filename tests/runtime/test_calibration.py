"""Calibration in a bundle: maps, default minimum scores, and what they do to events."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.bundle.calibration import Calibration, Choice, ScoreMap
from punctum.runtime.bundle.operating_point import OperatingPoint, minimum
from punctum.runtime.errors import InputError
from punctum.runtime.live import LiveOptions
from punctum.runtime.localizer import Localizer
from punctum.runtime.service.event_filter import EventFilter
from punctum.runtime.session.snapshot import decode
from pydantic import ValidationError

from tests.helpers import fakes

KNOTS = st.lists(st.integers(1, 9999), min_size=1, max_size=30, unique=True).map(
    lambda values: (0.0, *sorted(v / 10_000 for v in values), 1.0)
)
LABELS = ("a", "b")


@st.composite
def maps(draw: st.DrawFn) -> ScoreMap:
    raw = draw(KNOTS)
    rise = draw(st.lists(st.integers(1, 1000), min_size=len(raw), max_size=len(raw)))
    return ScoreMap(raw=raw, score=tuple(np.cumsum(rise) / (sum(rise) + 1)))


@given(maps(), st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_a_map_is_linear_between_knots_and_keeps_the_order(calibrate, values):
    found = [calibrate(x) for x in sorted(values)]
    assert found == sorted(found)
    assert all(0 <= y <= 1 for y in found)
    np.testing.assert_allclose(found, np.interp(sorted(values), calibrate.raw, calibrate.score), atol=1e-12)


@given(maps())
def test_knots_are_met_exactly(calibrate):
    assert [calibrate(x) for x in calibrate.raw] == pytest.approx(calibrate.score, abs=1e-15)


@pytest.mark.parametrize(
    ("raw", "score", "words"),
    [
        ((0.0, 0.5, 0.5), (0.1, 0.2, 0.3), "rise"),
        ((0.0, 1.0), (0.3, 0.2), "rise"),
        ((0.0, 1.5), (0.1, 0.2), "between 0 and 1"),
        ((0.0, 1.0), (0.1, 0.2, 0.3), "calibrated"),
        ((0.0,), (0.1,), "at least 2"),
    ],
)
def test_maps_that_are_none(raw, score, words):
    with pytest.raises(ValidationError, match=words):
        ScoreMap(raw=raw, score=score)


def calibration(**more: object) -> Calibration:
    steep = ScoreMap(raw=(0.0, 0.1, 1.0), score=(0.0, 0.6, 0.99), min_score=0.3)
    flat = ScoreMap(raw=(0.0, 1.0), score=(0.0, 0.2), min_score=0.05)
    return Calibration(classes=(steep, flat), **more)


def calibrated(found: Calibration) -> tuple[Localizer, Localizer]:
    plain = fakes.localizer()
    labels = plain.labels
    many = Calibration(classes=[found.classes[k % 2] for k in range(len(labels))])
    return plain, Localizer._of(plain.backend, replace(plain.plan, calibration=many))


@pytest.mark.parametrize("live", [None, LiveOptions(max_delay_s=1.0, report_score=0.0, open_score=0.0)])
def test_events_have_both_scores_and_change_in_nothing_else(live):
    plain, mapped = calibrated(calibration())
    rows = fakes.recording(3, 300)
    before = plain.session(stream="s", live=live)
    after = mapped.session(stream="s", live=live)
    old = [e for k in range(0, 300, 7) for e in before.push(rows[k : k + 7])] + before.flush()
    new = [e for k in range(0, 300, 7) for e in after.push(rows[k : k + 7])] + after.flush()
    assert len(old) > 5
    assert [replace(e, score=e.raw_score, raw_score=None) for e in new] == old
    assert all(e.score == mapped.plan.calibration.score(mapped.labels.index(e.label), e.raw_score) for e in new)


@pytest.mark.parametrize("degraded", [False, True])
def test_minimum_scores_of_reports_are_those_of_events(degraded):
    """Each class has a map of its own: what is reported depends on the calibrated score, not on the raw one."""
    high = ScoreMap(raw=(0.0, 0.05, 1.0), score=(0.0, 0.5, 0.99))
    low = ScoreMap(raw=(0.0, 1.0), score=(0.0, 0.2))
    plain = fakes.localizer()
    count = len(plain.labels)
    maps = Calibration(classes=[low] * count, reduced=[high] * count)
    mapped = Localizer._of(plain.backend, replace(plain.plan, calibration=maps))
    found = {}
    for name, localizer in (("plain", plain), ("mapped", mapped)):
        session = localizer.session(stream="s", live=LiveOptions(max_delay_s=1.0, report_score=0.3, open_score=0.4))
        session.degraded = degraded
        rows = fakes.recording(3, 300)
        events = [e for k in range(0, 300, 7) for e in session.push(rows[k : k + 7])] + session.flush()
        found[name] = [e for e in events if e.phase in ("open", "update") and e.revision == 0]
        assert all(e.score >= (0.4 if e.phase == "open" else 0.3) for e in found[name])
    if degraded:
        assert len(found["mapped"]) > len(found["plain"]) > 0
    else:  # a calibrated score of at most 0.2
        assert not found["mapped"]


def test_a_snapshot_belongs_to_its_calibration():
    plain, mapped = calibrated(calibration())
    session = mapped.session(stream="s")
    session.push(fakes.recording(3, 50))
    data = session.snapshot()
    assert decode(data, mapped.plan)
    with pytest.raises(InputError, match="made with bundle"):
        decode(data, plain.plan)


def test_a_line_of_json_keeps_the_raw_score():
    _, mapped = calibrated(calibration())
    events = mapped.localize(fakes.recording(3, 300), stream="s")
    assert events
    assert [type(e).from_json(e.to_json()) for e in events] == list(events)
    record = json.loads(events[0].to_json()) | {"raw_score": "high"}
    with pytest.raises(InputError, match="raw_score is str"):
        type(events[0]).from_json(json.dumps(record))
    del record["raw_score"]  # as earlier versions wrote it
    assert type(events[0]).from_json(json.dumps(record)).raw_score is None


CHOICES = tuple(
    Choice(min_score=t, precision=p, recall=r, false_alarms_per_hour=f)
    for t, p, r, f in [(0.1, 0.5, 1.0, 60), (0.3, 0.8, 0.9, 20), (0.5, 0.75, 0.8, 21), (0.7, 0.95, 0.4, 2)]
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"a": 0.3, "b": 0.05}),
        ({"min_score": 0.0}, 0.0),
        ({"target_precision": 0.78}, 0.3),
        ({"target_precision": 0.9}, 0.7),
        ({"target_recall": 0.85}, 0.3),
        ({"target_recall": 1.0}, 0.1),
        ({"false_alarms_per_hour": 20.0}, 0.3),
    ],
)
def test_what_a_user_asks_for(asked, expected):
    assert OperatingPoint(**asked).of(calibration(choices=CHOICES), LABELS) == expected


def test_without_calibration_every_event_counts_and_targets_are_refused():
    assert OperatingPoint().of(None, LABELS) == 0.0
    with pytest.raises(InputError, match="does not know"):
        OperatingPoint(target_recall=0.9).of(None, LABELS)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"min_score": 2.0}, "min-score"),
        ({"target_precision": float("nan")}, "operating-point"),
        ({"target_recall": -0.1}, "operating-point"),
        ({"false_alarms_per_hour": -1.0}, "operating-point"),
        ({"min_score": 0.5, "target_recall": 0.5}, "operating-point"),
    ],
)
def test_wrong_values(asked, code):
    with pytest.raises(InputError) as error:
        OperatingPoint(**asked)
    assert error.value.code == code


def test_a_percentage_is_named_as_a_share():
    with pytest.raises(InputError, match=r"target_precision`, to 0\.9 for 90 %"):
        OperatingPoint(target_precision=90)
    with pytest.raises(InputError, match=r"change `false_alarms_per_hour`\.$"):
        OperatingPoint(false_alarms_per_hour=-1)


@pytest.mark.parametrize(
    ("asked", "best"), [({"target_precision": 0.99}, "0.95"), ({"false_alarms_per_hour": 1.0}, "2")]
)
def test_a_target_out_of_reach_names_the_best(asked, best):
    told = rf"on the videos of its calibration was .* {best}, at a minimum score of "
    with pytest.raises(InputError, match=told) as error:
        OperatingPoint(**asked).of(calibration(choices=CHOICES), LABELS)
    assert error.value.code == "target-out-of-reach"


def test_a_filter_with_a_minimum_per_class():
    _, mapped = calibrated(calibration())
    events = mapped.localize(fakes.recording(3, 300), stream="s")
    least = {label: 0.1 * k for k, label in enumerate(mapped.labels)}
    kept = EventFilter(min_score=least)(events)
    assert kept == [e for e in events if e.score >= minimum(least, e.label)]
    assert 0 < len(kept) < len(events)


@given(st.data())
def test_no_raw_score_below_the_least_reaches_the_score(data):
    def rising(count: int) -> tuple[float, ...]:
        values = st.floats(0, 1, allow_subnormal=False)
        return tuple(sorted(data.draw(st.lists(values, min_size=count, max_size=count, unique=True))))

    maps = tuple(ScoreMap(raw=rising(n), score=rising(n)) for n in data.draw(st.lists(st.integers(2, 5), min_size=1)))
    calibration = Calibration(classes=maps, reduced=maps[:1])
    wanted, raw = data.draw(st.floats(0, 1)), data.draw(st.floats(0, 1))
    if raw < calibration.least_raw(wanted):
        assert all(each(raw) < wanted for each in maps)
