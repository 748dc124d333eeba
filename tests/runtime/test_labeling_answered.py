"""Which questions are not asked: those about an action that has a click, and those that were answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from punctum.runtime.labeling.answered import FILE, MORE_DOUBT, PROBABLE, Answered, Moment
from punctum.runtime.labeling.labels import Labels
from punctum.runtime.labeling.questions import doubts, questions
from punctum.runtime.labeling.results import results

from tests.runtime.test_labeling_guide import Rows, click, found, well_found


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize(
    ("time_s", "label", "asked"),
    [
        (306.40, "open", False),  # 0.32 s before the event
        (305.0, "open", False),  # within the typical duration of the class
        (303.0, "open", True),
        (309.8, "open", False),
        (306.40, "close", True),
    ],
)
def test_no_question_about_an_action_that_has_a_click(held_out, time_s, label, asked):
    rows, clicks = well_found(20)  # open lasts 2 s
    rows.append(("open", 306.72, 307.85, 0.93 if held_out else 0.5))
    clicks.append(click("near", "a", label, time_s))
    made = questions(found({"a": (held_out, rows)}), Labels.of(clicks, []))
    assert (306.72 in [q.start_s for q in made if not q.click]) == asked


def test_an_answer_settles_everything_about_its_moment_until_the_next_round():
    rows, clicks = well_found(20)
    rows += [("close", 300.0, 302.0, 0.95), ("open", 300.5, 302.4, 0.5)]
    clicks.append(click("wrong", "a", "open", 301.0))
    made = found({"a": (True, rows)})
    before = questions(made, Labels.of(clicks, []))
    assert before[0].click == "wrong"
    moment = Moment("a", before[0].start_s, before[0].end_s, "wrong")
    labels = Labels.of(clicks, [], answered=[moment])
    assert [q for q in questions(made, labels) if 299 < q.time_s < 303] == []
    mistakes = results(made, labels, 0.4)["mistakes"]
    assert {q["answered"] for q in mistakes if 299 < q["time_s"] < 303} == {True}
    assert not any(q["answered"] for q in mistakes if not 299 < q["time_s"] < 303)


def test_a_settled_click_is_in_doubt_again_only_if_a_round_is_more_confident(tmp_path: Path):
    clicks = [*well_found(20)[1], click("mine", "a", "open", 301.0)]

    def rows(score: float) -> Rows:
        return [*well_found(20)[0], ("close", 300.0, 302.0, score)]

    first = found({"a": (True, rows(0.6))})
    labels = Labels.of(clicks, [])
    assert any(q.click == "mine" for q in questions(first, labels))
    answered = Answered(tmp_path)
    assert answered.add("error/mine", Moment("a", 300.0, 302.0, "mine"), 1) == ""
    assert answered.close_round(doubts(first, labels), 0.15) == ""
    again = Answered(tmp_path)  # after a restart
    (least,) = again.doubts().values()
    was = doubts(first, labels)["mine"]
    assert least == pytest.approx(max(was + MORE_DOUBT, PROBABLE))
    assert again.settled() == {"mine": (1, pytest.approx(was))}
    for confirmed in ([], ["mine"]):
        known = Labels.of(clicks, [], confirmed=confirmed, doubts=again.doubts())
        asked = [
            any(q.click == "mine" for q in questions(found({"a": (True, rows(s))}, round_number=2), known))
            for s in (0.6, 0.97)
        ]
        assert asked == [False, True]


def test_a_settled_click_is_not_in_doubt_again_while_it_is_more_probably_right(tmp_path: Path):
    answered = Answered(tmp_path)
    answered.add("error/mine", Moment("a", 300.0, 302.0, "mine"), 1)
    answered.close_round({}, 0.15)  # the round did not doubt it
    assert answered.doubts() == {"mine": PROBABLE}
    answered.add("error/mine", Moment("a", 300.0, 302.0, "mine"), 4)
    answered.close_round({"mine": 0.8}, 0.15)
    assert answered.doubts() == {"mine": pytest.approx(0.8 + MORE_DOUBT)}
    assert answered.settled() == {"mine": (4, 0.8)}


def test_answers_belong_to_a_round_and_can_be_undone(tmp_path: Path):
    answered = Answered(tmp_path)
    answered.add("k", Moment("a", 1.0, 2.0), 3)
    assert answered.moments(3) == [Moment("a", 1.0, 2.0)]
    assert answered.moments(4) == []
    answered.remove("k")
    assert answered.moments(3) == []
    assert Answered(tmp_path).moments(3) == []
    assert answered.doubts() == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"schema": 1}',
        '{"schema": "punctum.label-answers/1", "answers": [[1]]}',
        '{"schema": "punctum.label-answers/1", "answers": [["k", "a", NaN, 1, "", 1, null]]}',
        '{"schema": "punctum.label-answers/1", "answers": 3}',
    ],
)
def test_a_damaged_file_of_answers_is_none(tmp_path: Path, text):
    (tmp_path / FILE).write_text(text)
    answered = Answered(tmp_path)
    assert answered.moments(1) == []
    answered.add("k", Moment("a", 1.0, 2.0, "c"), 1)
    assert json.loads((tmp_path / FILE).read_text())["answers"] == [["k", "a", 1.0, 2.0, "c", 1, None]]


def test_an_answer_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    answered = Answered(tmp_path / "file")
    assert answered.add("k", Moment("a", 1.0, 2.0), 1)
    assert answered.moments(1)  # until the server ends
