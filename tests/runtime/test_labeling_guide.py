"""Questions of `punctum label`, their order, results by click, and certified background."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import Dataset, InputError
from punctum.runtime.datasets.background import BackgroundRow, BackgroundSpan, read_background, scan_background
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.labeling.changes import Change
from punctum.runtime.labeling.clicks import Click
from punctum.runtime.labeling.labels import Labels
from punctum.runtime.labeling.questions import questions, unlabeled_videos
from punctum.runtime.labeling.results import results
from punctum.runtime.labeling.round_result import RoundEvent, RoundResult, RoundVideo, read_round
from punctum.runtime.labeling.store import ClickStore

from tests.helpers.label_changes import as_sent

NOW = "2026-01-02T03:04:05Z"
Rows = list[tuple[str, float, float, float]]


def found(videos: dict[str, tuple[bool, Rows]], *, round_number: int = 1) -> RoundResult:
    made = {n: RoundVideo(60.0, held, tuple(RoundEvent(*row) for row in rows)) for n, (held, rows) in videos.items()}
    return RoundResult("s", round_number, "run-s", ("open", "close"), 9, 0.5, {}, made)


def click(ident: str, video: str, label: str, time_s: float) -> Click:
    return Click(ident, label, video, time_s)


def well_found(count: int, video: str = "a") -> tuple[Rows, list[Click]]:
    """Actions that networks and annotator agree on."""
    rows = [("open", 10.0 * k, 10.0 * k + 2, 0.9) for k in range(count)]
    return rows, [click(f"{video}{k}", video, "open", 10.0 * k + 1) for k in range(count)]


# --- questions


def test_confident_events_without_a_click_are_likely_misses():
    rows, clicks = well_found(20)
    made = questions(found({"a": (True, [*rows, ("open", 300.0, 302.0, 0.95)])}), Labels.of(clicks, []))
    assert (made[0].kind, made[0].label, made[0].start_s, made[0].time_s) == ("miss", "open", 300.0, 301.0)


def test_a_click_that_networks_take_for_another_class_is_in_doubt():
    rows, clicks = well_found(20)
    rows.append(("close", 300.0, 302.0, 0.95))
    clicks.append(click("wrong", "a", "open", 301.0))
    first = questions(found({"a": (True, rows)}), Labels.of(clicks, []))[0]
    assert (first.kind, first.click, first.label, first.other) == ("error", "wrong", "open", "close")
    confirmed = Labels.of(clicks, [], confirmed=["wrong"])
    assert all(q.click != "wrong" for q in questions(found({"a": (True, rows)}), confirmed))


def test_uncertain_events_come_by_uncertainty():
    rows: Rows = [("open", 0.0, 2.0, 0.98), ("open", 10.0, 12.0, 0.5), ("open", 20.0, 22.0, 0.2)]
    made = questions(found({"a": (False, rows)}), Labels.of([], []))
    assert [q.start_s for q in made] == [10.0, 20.0, 0.0]
    assert {q.kind for q in made} == {"unsure"}


def test_two_classes_at_one_place_are_one_question():
    rows: Rows = [("open", 0.0, 2.0, 0.9), ("close", 0.1, 2.1, 0.88), ("open", 10.0, 12.0, 0.9)]
    made = questions(found({"a": (False, rows)}), Labels.of([], []))
    assert [(q.label, q.other) for q in made] == [("open", "close"), ("open", "")]
    assert made[0].value > 2 * made[1].value / 1.5


def test_an_event_that_repeats_a_better_one_is_no_question():
    rows: Rows = [("open", 0.0, 2.0, 0.6), ("open", 0.2, 2.4, 0.5)]
    assert len(questions(found({"a": (False, rows)}), Labels.of([], []))) == 1


@pytest.mark.parametrize(
    ("labels", "asked"),
    [
        (Labels.of([click("c", "a", "open", 11.0)], []), False),
        (Labels.of([click("c", "a", "close", 11.0)], []), False),
        (Labels.of([click("c", "a", "open", 12.3)], []), False),
        (Labels.of([click("c", "a", "close", 12.3)], []), True),
        (Labels.of([click("c", "b", "open", 11.0)], []), True),
        (Labels.of([], [BackgroundRow(0, "a", 10.0, 12.0, "open")]), False),
        (Labels.of([], [BackgroundRow(0, "a", 10.0, 12.0, "")]), False),
        (Labels.of([], [BackgroundRow(0, "a", 10.0, 12.0, "close")]), True),
        (Labels.of([], [BackgroundRow(0, "a", 10.0, 10.5, "open")]), True),
    ],
)
def test_what_an_answer_settles_is_not_asked_again(labels, asked):
    made = questions(found({"a": (False, [("open", 10.0, 12.0, 0.5)])}), labels)
    assert bool(made) == asked


def test_questions_are_spread_over_videos_and_classes():
    rows: Rows = [("open", 10.0 * k, 10.0 * k + 2, 0.5) for k in range(5)]
    made = questions(found({"a": (False, rows), "b": (False, [("open", 0.0, 2.0, 0.35)])}), Labels.of([], []))
    assert [q.video for q in made[:3]] == ["a", "b", "a"]


def test_skipped_questions_are_left_out():
    rows: Rows = [("open", 0.0, 2.0, 0.5), ("open", 10.0, 12.0, 0.4)]
    made = questions(found({"a": (False, rows)}), Labels.of([], []))
    rest = questions(found({"a": (False, rows)}), Labels.of([], []), skipped=[made[0].key])
    assert [q.key for q in rest] == [made[1].key]


def test_unlabeled_videos_are_in_a_random_order_that_stays():
    def order(score: float, names: Sequence[str]) -> list[str]:
        videos: dict[str, tuple[bool, Rows]] = {name: (False, [("open", 0.0, 2.0, score)]) for name in names}
        clicks = [click("1", "v3", "open", 1.0), click("2", "v5", "open", 1.0)]
        return unlabeled_videos(found(videos), Labels.of(clicks, [], partly=["v5"]))

    names = [f"v{k}" for k in range(20)]
    first = order(0.5, names)
    assert sorted(first) == sorted({*names} - {"v3"})  # those that are labeled in part are among them
    assert first not in (sorted(first), sorted(first, reverse=True))
    assert order(0.9, names[::-1]) == first
    assert order(0.9, names[:10]) == [name for name in first if name in names[:10]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 50), st.floats(0.1, 5), st.floats(0, 1)), max_size=12),
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 55)), max_size=8),
)
def test_any_events_and_clicks_give_ordered_and_distinct_questions(rows, times):
    names = {"a": "open", "b": "close"}
    events: Rows = [(names[c], s, s + d, p) for c, s, d, p in rows]
    clicks = [click(str(k), "v", names[c], t) for k, (c, t) in enumerate(times)]
    made = found({"v": (True, events), "w": (False, events)})
    asked = questions(made, Labels.of(clicks, []))
    assert len({q.key for q in asked}) == len(asked)
    assert all(0 <= q.value <= 1 for q in asked)
    table = results(made, Labels.of(clicks, []), 0.3)
    assert sum(count for clicked, _, count in table["confusion"] if clicked) == (len(clicks) if clicks else 0)


# --- results


def test_results_count_and_name_mistakes():
    rows: Rows = [("open", 0.0, 2.0, 0.9), ("close", 10.0, 12.0, 0.8), ("open", 20.0, 22.0, 0.6)]
    clicks = [click("1", "a", "open", 1.0), click("2", "a", "open", 11.0), click("3", "a", "close", 40.0)]
    table = results(found({"a": (True, rows), "b": (False, rows)}), Labels.of(clicks, []), 0.5)
    assert (table["right"], table["events"], table["clicks"]) == (1, 3, 3)
    assert table["confusion"] == [["", "open", 1], ["close", "", 1], ["open", "close", 1], ["open", "open", 1]]
    mistakes = [(q["kind"], q["label"], q["other"], q["click"]) for q in table["mistakes"]]
    assert mistakes == [("error", "open", "close", "2"), ("miss", "open", None, None), ("error", "close", None, "3")]
    higher = results(found({"a": (True, rows)}), Labels.of(clicks, []), 0.85)
    assert (higher["right"], higher["events"]) == (1, 1)


def test_a_click_beside_an_event_of_its_class_is_one_mistake():
    rows: Rows = [("open", 10.0, 12.0, 0.9), ("close", 40.0, 42.0, 0.8), ("open", 80.0, 82.0, 0.7)]
    clicks = [click("1", "a", "open", 9.4), click("2", "a", "open", 43.0), click("3", "a", "open", 90.0)]
    table = results(found({"a": (True, rows)}), Labels.of(clicks, []), 0.5)
    mistakes = {(q["kind"], q["label"], q["click"], q["start_s"]) for q in table["mistakes"]}
    assert ("misplaced", "open", "1", 10.0) in mistakes
    assert ("miss", "open", None, 10.0) not in mistakes
    assert {q["kind"] for q in table["mistakes"] if q["click"] in ("2", "3")} == {"error"}  # another class; too far
    assert table["mistakes_total"] == 5
    assert ["", "open", 2] in table["confusion"]  # both count there, as for precision and recall
    assert ["open", "", 3] in table["confusion"]


def test_two_events_alike_beside_a_click_are_one_misplaced_click_and_one_miss():
    rows: Rows = [("open", 10.0, 12.0, 0.9), ("open", 10.0, 12.0, 0.9)]
    table = results(found({"a": (True, rows)}), Labels.of([click("1", "a", "open", 9.4)], []), 0.5)
    assert sorted(q["kind"] for q in table["mistakes"]) == ["misplaced", "miss"]


def test_a_result_survives_a_file_and_a_damaged_one_is_none(tmp_path: Path):
    made = found({"a": (True, [("open", 0.0, 2.0, 0.5)])})
    (tmp_path / "result.json").write_text(json.dumps(made.to_record()))
    assert read_round(tmp_path) == made
    for damaged in (
        "{",
        "[]",
        "{}",
        '{"schema": "punctum.label-round/1"}',
        json.dumps(made.to_record() | {"videos": 3}),
    ):
        (tmp_path / "result.json").write_text(damaged)
        assert read_round(tmp_path) is None


def test_clicks_of_two_annotators_at_one_action_count_once():
    rows: Rows = [("open", 0.0, 2.0, 0.9)]
    clicks = [Click("1", "open", "a", 1.0, annotator="ann"), Click("2", "open", "a", 1.3, annotator="ben")]
    both = results(found({"a": (True, rows)}), Labels.of(clicks, []), 0.5)
    assert (both["right"], both["clicks"], both["mistakes"]) == (1, 1, [])
    clicks[1].annotator = "ann"  # two actions
    assert results(found({"a": (True, rows)}), Labels.of(clicks, []), 0.5)["clicks"] == 2


# --- certified background


@pytest.fixture
def store(tmp_path: Path):
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    made = make(tmp_path)
    yield made
    made.close()


def make(folder: Path) -> ClickStore:
    return ClickStore(folder, folder / "points.csv", ["a", "b", "c"], classes=("open", "close"), now=lambda: NOW)


def change(store: ClickStore, op: str, **values: Any) -> dict[str, Any]:
    return store.apply(Change.parse({"annotator": "ann", **as_sent(store, op, **values)}))


def test_no_is_a_row_that_training_reads(store, tmp_path):
    change(store, "add", id="c1", label="open", video="a", time_s=1.0)
    event = change(store, "background", id="n1", video="a", start_s=3.0, end_s=4.5, label="open")
    assert event["background"]["label"] == "open"
    change(store, "background", id="n2", video="a", start_s=6.0, end_s=7.0)
    assert change(store, "background", id="n2", video="a", start_s=6.0, end_s=7.0).keys() == {
        "version",
        "counts",
        "reload",
    }  # sent twice
    text = (tmp_path / "background.csv").read_text()
    assert text.splitlines() == [
        "video_id,start_s,end_s,class,annotator,created,id",
        f"a,3.000,4.500,open,ann,{NOW},n1",
        f"a,6.000,7.000,,ann,{NOW},n2",
    ]
    data = Dataset.open(tmp_path, need_features=False)
    assert data.background() == {"a": [BackgroundSpan(3.0, 4.5, 0), BackgroundSpan(6.0, 7.0, None)]}
    change(store, "unbackground", id="n1")
    change(store, "unbackground", id="n1")
    assert [row.id for row in read_background(tmp_path / "background.csv")] == ["n2"]


def test_only_answers_label_a_video_in_part(store, tmp_path):
    change(store, "add", id="c1", label="open", video="a", time_s=1.0)
    change(store, "add", id="c2", label="open", video="b", time_s=1.0, asked=True)
    change(store, "background", id="n1", video="c", start_s=6.0, end_s=7.0, asked=True)
    change(store, "background", id="n2", video="a", start_s=6.0, end_s=7.0, asked=True)
    data = Dataset.open(tmp_path, need_features=False)
    assert data.train == ("a", "b", "c")
    assert data.partly() == {"b", "c"}
    change(store, "add", id="c3", label="open", video="b", time_s=3.0)  # somebody labels it
    change(store, "finished", video="c", value=True)
    assert Dataset.open(tmp_path, need_features=False).partly() == frozenset()


def test_a_confirmed_click_is_remembered_until_it_is_deleted(store, tmp_path):
    change(store, "add", id="c1", label="open", video="a", time_s=1.0)
    change(store, "confirm", id="c1", value=True)
    assert json.loads((tmp_path / "labeling.json").read_text())["confirmed"] == {"c1": {"ann": NOW}}
    change(store, "delete", id="c1")
    assert "confirmed" not in json.loads((tmp_path / "labeling.json").read_text())


def test_spans_follow_their_class_and_other_programs(store, tmp_path):
    change(store, "background", id="n1", video="a", start_s=3.0, end_s=4.0, label="open")
    change(store, "rename", label="open", to="opened")
    assert read_background(tmp_path / "background.csv")[0].label == "opened"
    (tmp_path / "background.csv").write_text("video,start_s,end_s\na.mp4,1,2\na,1,2\n")
    assert store.refresh()
    assert [(row.video, row.id) for row in store.spans.values()] == [("a", "a-1-2"), ("a", "a-1-2-2")]
    change(store, "background", id="n2", video="b", start_s=3.0, end_s=4.0)
    assert len(read_background(tmp_path / "background.csv")) == 3


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"video": "z"}, "label-video"),
        ({"start_s": 5.0}, "label-change"),
        ({"label": "fly"}, "label-class"),
        ({"end_s": "x"}, "label-change"),
    ],
)
def test_spans_that_cannot_be_are_refused(store, tmp_path, values, code):
    with pytest.raises(InputError) as error:
        change(store, "background", **({"id": "n1", "video": "a", "start_s": 3.0, "end_s": 4.0} | values))
    assert error.value.code == code
    assert not (tmp_path / "background.csv").exists()


def test_data_check_names_every_bad_row(store, tmp_path):
    change(store, "add", id="c1", label="open", video="a", time_s=1.0)
    path = tmp_path / "background.csv"
    path.write_text("video_id,start_s,end_s,class\na,3,2,\na,x,2,\n,1,2,\na,1,2,open\n")
    lines = [(f.code, f.line) for f in check_dataset(tmp_path).errors if f.code.startswith("background")]
    assert lines == [("background-row", 2), ("background-row", 3), ("background-row", 4)]
    path.write_text("video_id,start_s,end_s,class\na,0,2,open\na,1,2,fly\n")
    assert "label-unknown" in [f.code for f in check_dataset(tmp_path).errors]
    path.write_text("video_id,start_s,end_s,class\na,0,2,open\n")
    assert "background-click" in [f.code for f in check_dataset(tmp_path).warnings]
    path.write_text("a,b\n1,2\n")
    assert "background-unreadable" in [f.code for f in check_dataset(tmp_path).errors]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError):
        scan_background(path)


# --- when training runs
