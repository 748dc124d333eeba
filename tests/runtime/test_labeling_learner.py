"""When `punctum label` trains in the background, and what pages are told about it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from punctum.runtime import InputError
from punctum.runtime.labeling import due
from punctum.runtime.labeling.answered import Moment
from punctum.runtime.labeling.label_state import state_of
from punctum.runtime.labeling.learner import Learner
from punctum.runtime.labeling.store import ClickStore

from tests.runtime.test_labeling_guide import change, found, make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClickStore]:
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    made = make(tmp_path)
    yield made
    made.close()


class FakeChild:
    """Stands for the process: tests say what it says and when it ends."""

    made: list[FakeChild]

    def __init__(self, request: dict[str, Any], log: Path, *, on_message: Any, on_exit: Any) -> None:
        self.request, self.on_message, self.on_exit, self.stopped = request, on_message, on_exit, False
        self.made.append(self)

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def watch(store, tmp_path):
    FakeChild.made = []
    now = [0.0]
    events: list[dict[str, Any]] = []
    made = Learner(
        store,
        tmp_path,
        tmp_path / "work",
        after=4,
        notify=events.append,
        start=FakeChild,
        needs=(),
        clock=lambda: now[0],
    )
    return made, FakeChild.made, now, events


def label(store: ClickStore, count: int, first: int = 0) -> None:
    for k in range(first, first + count):
        change(store, "add", id=f"c{k}", label=("open", "close")[k % 2], video="ab"[k // 2 % 2], time_s=float(k))


def finish(child: FakeChild, work: Path) -> None:
    made = found({"a": (True, [("open", 0.0, 2.0, 0.5)])})
    record = made.to_record() | {"state": child.request["state"]}
    work.mkdir(parents=True, exist_ok=True)
    (work / "result.json").write_text(json.dumps(record))
    child.on_message({"result": True})
    child.on_message({"done": True})
    child.on_exit(0)


def test_training_begins_with_enough_clicks_and_again_after_changes(store, tmp_path, watch):
    learner, children, now, events = watch
    label(store, 3)
    learner.look()
    assert children == []
    assert learner.status()["clicks"] == 3
    label(store, 1, 3)
    learner.look()
    assert [child.request["job"] for child in children] == ["train"]
    assert children[0].request["state"] == state_of(store).digest
    children[0].on_message({"stage": "training", "done": 10, "total": 40})
    now[0] += 5
    assert learner.status()["progress"] == {"stage": "training", "percent": 25, "left_s": 15}
    finish(children[0], learner.work)
    assert {"round": 1} in events
    assert learner.status()["round"]["current"]
    learner.look()
    label(store, due.CHANGES - 1, 10)
    now[0] += 60
    learner.look()
    now[0] += 60
    learner.look()
    assert len(children) == 1
    assert learner.status()["changed"] == due.CHANGES - 1
    change(store, "background", id="n", video="a", start_s=50.0, end_s=51.0)
    learner.look()  # somebody is labeling
    assert len(children) == 1
    now[0] += 60
    learner.look()
    assert len(children) == 2


def test_changes_are_counted_by_label(store, tmp_path, watch):
    learner, children, _, _ = watch
    label(store, 4)
    change(store, "nothing", video="c", value=True)
    learner.look()
    finish(children[0], learner.work)
    assert learner.status()["changed"] == 0
    change(store, "edit", id="c0", rev=1, time_s=9.0)  # a click that has moved
    assert learner.status()["changed"] == 1
    change(store, "nothing", video="c", value=False)
    assert learner.status()["changed"] == 2
    change(store, "add", id="n", label="open", video="c", time_s=1.0)  # the click, and the mark that it ends
    assert learner.status()["changed"] == 2
    change(store, "background", id="s", video="b", start_s=50.0, end_s=51.0)
    assert learner.status()["changed"] == 3


def test_time_left_is_known_from_the_last_round_before_the_first_steps(store, tmp_path, watch):
    learner, children, now, _ = watch
    label(store, 4)
    learner.look()
    children[0].on_message({"stage": "training", "done": 0, "total": 720})
    now[0] += 2
    assert learner.status()["progress"]["left_s"] is None  # nothing is known yet
    finish(children[0], learner.work)
    record = json.loads((learner.work / "result.json").read_text())
    (learner.work / "result.json").write_text(json.dumps(record | {"seconds": {"features": 3.0, "training": 40.0}}))
    again = Learner(store, tmp_path, tmp_path / "work", after=4, start=FakeChild, needs=(), clock=lambda: now[0])
    change(store, "edit", id="c0", rev=1, time_s=9.0)
    again.train()
    again.look()
    children[-1].on_message({"stage": "training", "done": 0, "total": 720})
    now[0] += 10
    assert again.status()["progress"]["left_s"] == 30
    children[-1].on_message({"stage": "training", "done": 360, "total": 720})
    assert again.status()["progress"]["left_s"] == 10


def test_a_question_says_what_was_answered_before(store, tmp_path, watch):
    learner, children, now, _ = watch
    for k in range(20):
        change(store, "add", id=f"a{k}", label="open", video="a", time_s=10.0 * k + 1)
    change(store, "add", id="wrong", label="open", video="a", time_s=301.0)
    change(store, "add", id="b0", label="open", video="b", time_s=5.0)
    good = [("open", 10.0 * k, 10.0 * k + 2, 0.9) for k in range(20)]

    def end(score: float, number: int) -> dict[str, Any] | None:
        made = found({"a": (True, [*good, ("close", 300.0, 302.0, score)])}, round_number=number)
        learner.work.mkdir(parents=True, exist_ok=True)
        (learner.work / "result.json").write_text(
            json.dumps(made.to_record() | {"state": children[-1].request["state"]})
        )
        children[-1].on_message({"result": True})
        children[-1].on_exit(0)
        return next((q for q in learner.questions()["questions"] if q["click"] == "wrong"), None)

    learner.look()
    first = end(0.55, 1)
    assert first is not None
    assert "settled" not in first
    change(store, "confirm", id="wrong", value=True)
    learner.answer(first["key"], Moment("a", 300.0, 302.0, "wrong"))
    change(store, "add", id="more", label="open", video="b", time_s=1.0)
    now[0] += 60
    learner.train()
    learner.look()
    second = end(0.99, 2)
    assert second is not None
    told = second["settled"]
    assert (told["round"], told["confirmed"]) == (1, True)
    assert told["now"] > told["was"] + 0.1


def test_a_result_is_known_after_a_restart(store, tmp_path, watch):
    learner, children, _, _ = watch
    label(store, 4)
    learner.look()
    finish(children[0], learner.work)
    again = Learner(store, tmp_path, tmp_path / "work", after=4, start=FakeChild, needs=())
    again.look()
    assert len(children) == 1
    assert again.status()["changed"] == 0


def test_a_crash_is_followed_by_one_more_start_for_the_same_labels(store, watch):
    learner, children, now, _ = watch
    label(store, 4)
    for count in (1, 2):
        learner.look()
        assert len(children) == count
        children[-1].on_exit(-9)
    now[0] += 60
    learner.look()
    assert len(children) == 2
    assert "broke off twice" in learner.status()["error"]
    label(store, 1, 4)
    learner.look()
    assert len(children) == 3  # other labels


def test_an_error_of_the_input_is_shown_and_not_repeated(store, watch):
    learner, children, _, _ = watch
    label(store, 4)
    learner.look()
    children[0].on_message({"error": {"code": "point-outside-video", "text": "Video a has a click at 99 s. Move it"}})
    children[0].on_exit(2)
    learner.look()
    assert len(children) == 1
    assert learner.status()["error"] == "Video a has a click at 99 s. Move it"
    learner.train()
    learner.look()
    assert len(children) == 2


def test_pages_are_told_how_many_clicks_are_missing(store, watch):
    """Also where training waits for a button: it needs clicks in two videos."""
    learner, _, now, events = watch
    label(store, 3)
    learner.look()
    assert events == []  # more clicks may come
    now[0] += 1.5
    learner.look()
    assert [event["learning"]["clicks"] for event in events] == [3]
    now[0] += 60
    learner.look()
    assert len(events) == 1


def test_the_page_says_which_extra_is_missing(store, tmp_path):
    label(store, 4)
    learner = Learner(
        store, tmp_path, tmp_path / "work", after=4, start=FakeChild, needs=(("no_such_library", "train"),)
    )
    FakeChild.made = []
    learner.look()
    assert FakeChild.made == []
    assert learner.status()["needs"] == "train"


def test_the_process_ends_with_the_server(store, watch):
    learner, children, _, _ = watch
    label(store, 4)
    learner.look()
    learner.close()
    assert children[0].stopped


def test_on_request_only(store, tmp_path, watch):
    _, children, now, _ = watch
    learner = Learner(store, tmp_path, tmp_path / "work", after=0, start=FakeChild, needs=(), clock=lambda: now[0])
    label(store, 9)
    now[0] += 60
    learner.look()
    assert children == []
    learner.train()
    learner.look()
    assert len(children) == 1


def test_export_needs_a_round(store, tmp_path, watch):
    learner, children, now, _ = watch
    assert "before the first round" in learner.export()
    label(store, 4)
    learner.look()
    finish(children[0], learner.work)
    if learner.export():
        pytest.skip("the libraries of the extra export are not installed")
    assert children[-1].request["job"] == "export"
    assert learner.status()["exporting"]
    assert learner.status()["commands"] == []  # there is no bundle yet
    now[0] += 12.0
    assert learner.status()["exporting_s"] == 12.0
    children[-1].on_message({"bundle": children[-1].request["out"], "id": "x-1.0.0-0"})
    children[-1].on_exit(0)
    assert learner.status()["exported"]["id"] == "x-1.0.0-0"
    assert learner.status()["exported"]["min_score"] == "0.50"
    assert "min_score" not in children[-1].request  # that of training
    assert learner.export(0.2) == ""
    assert children[-1].request["min_score"] == 0.2
    children[-1].on_message({"bundle": children[-1].request["out"], "id": "x-1.0.0-0"})
    children[-1].on_exit(0)
    assert learner.status()["exported"]["min_score"] == "0.20"
    assert learner.status()["exported"]["round"] == learner.status()["round"]["number"]
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    assert learner.status()["commands"][0].startswith("punctum run ")


def test_a_result_that_cannot_be_noted_ends_the_round_all_the_same(store, tmp_path):
    """The process is a real one; the folder in the way stands for a full disk."""
    import sys
    import time

    from punctum.runtime.labeling.child import Child

    result = json.dumps(found({"a": (True, [("open", 0.0, 2.0, 0.5)])}).to_record())
    code = (
        "import json, pathlib, sys\nr = json.loads(sys.stdin.readline())\n"
        f"record = json.loads({result!r}) | {{'state': r['state']}}\n"
        "(pathlib.Path(r['work']) / 'result.json').write_text(json.dumps(record))\n"
        "print(json.dumps({'result': True}), flush=True)\n"
    )

    def start(request: dict[str, Any], log: Path, **calls: Any) -> Child:
        return Child(request, log, command=(sys.executable, "-c", code), **calls)

    learner = Learner(store, tmp_path, tmp_path / "work", after=4, start=start, needs=())
    (learner.work / "trained.json").mkdir(parents=True)
    label(store, 4)
    learner.look()
    end = time.monotonic() + 20
    while learner.status()["training"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    status = learner.status()
    assert status["round"]["current"]
    assert "trained.json" in " ".join(status["problems"])
    (learner.work / "trained.json").rmdir()
    label(store, 6, 10)
    learner.train()
    learner.look()
    assert learner.status()["training"]
    learner.close()


def test_an_export_that_cannot_start_says_so(store, tmp_path, watch, monkeypatch):
    learner, children, _, _ = watch
    label(store, 4)
    learner.look()
    finish(children[0], learner.work)
    monkeypatch.setattr("punctum.runtime.labeling.export.missing", lambda needs: "")

    def start(*given: Any, **more: Any) -> Any:
        raise OSError("no space")

    learner._exports._start = start
    assert "no space" in learner.export()
    assert not learner.status()["exporting"]


def test_an_answer_settles_its_moment_for_the_round(store, watch):
    learner, children, _, _ = watch
    label(store, 4)
    learner.look()
    made = found({"c": (False, [("open", 10.0, 12.0, 0.5)])}).to_record() | {"state": children[0].request["state"]}
    (learner.work / "result.json").parent.mkdir(parents=True, exist_ok=True)
    (learner.work / "result.json").write_text(json.dumps(made))
    children[0].on_message({"result": True})
    children[0].on_exit(0)
    (question,) = learner.questions()["questions"]
    learner.answer(question["key"], Moment("c", 10.0, 12.0))
    assert learner.questions()["questions"] == []
    learner.answer(question["key"], None)
    assert len(learner.questions()["questions"]) == 1
    learner.answer(question["key"], Moment("c", 10.0, 12.0))
    (learner.work / "result.json").write_text(json.dumps(made | {"round": 2}))
    learner._running = state_of(store)
    children[0].on_message({"result": True})
    assert len(learner.questions()["questions"]) == 1


def test_training_reads_the_points_file_of_a_subfolder(tmp_path):
    store = ClickStore(tmp_path, tmp_path / "sub" / "clicks.csv", ["a", "b"], classes=("open", "close"))
    made: list[FakeChild] = []

    def start(*given: Any, **more: Any) -> Any:
        made.append(FakeChild(*given, **more))
        return made[-1]

    learner = Learner(store, tmp_path, tmp_path / "work", after=4, start=start, needs=())
    label(store, 4)
    learner.look()
    assert made[0].request["points"] == "sub/clicks.csv"
    learner.close()
    store.close()


@pytest.mark.parametrize("name", ["answers.json", "result.json", "trained.json"])
def test_a_pipe_in_the_work_folder_is_refused(store, tmp_path, name):
    (tmp_path / "work" / "learning").mkdir(parents=True)
    os.mkfifo(tmp_path / "work" / "learning" / name)
    with pytest.raises(InputError, match="a named pipe"):
        Learner(store, tmp_path, tmp_path / "work", needs=())
