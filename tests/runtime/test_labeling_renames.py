"""Classes that are renamed or gone, restarts, and pages that were away meanwhile: no click is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from punctum.runtime import InputError
from punctum.runtime.labeling.changes import Change, Conflict
from punctum.runtime.labeling.learner import Learner
from punctum.runtime.labeling.store import ClickStore

from tests.helpers.label_changes import as_sent, known
from tests.helpers.labeling import write_round


def make(folder: Path, *classes: str) -> ClickStore:
    return ClickStore(folder, folder / "points.csv", ["a", "b", "c"], classes=classes)


@pytest.fixture
def store(tmp_path: Path):
    made = make(tmp_path, "open", "close")
    yield made
    made.close()


def change(store: ClickStore, op: str, **values: Any) -> dict[str, Any]:
    return store.apply(Change.parse({"annotator": "ann", **as_sent(store, op, **values)}))


def add(store: ClickStore, ident: str, label: str = "open", **more: Any) -> dict[str, Any]:
    return change(store, "add", **({"id": ident, "label": label, "video": "a", "time_s": 1.0} | more))


def restarted(store: ClickStore, *classes: str) -> ClickStore:
    store.close()
    return make(store.folder, *classes)


def test_a_change_that_waited_is_made_after_a_restart(store):
    add(store, "c1")
    for time_s in (2.0, 3.0, 4.0):
        change(store, "edit", id="c1", time_s=time_s)
    was = known(store, "c1")
    store = restarted(store)
    change(store, "edit", id="c1", was=was, label="close", note="  x ")
    change(store, "delete", id="c1", was={**was, "label": "close", "note": "  x "})  # as that page has it
    assert not store.clicks
    store.close()


def test_a_change_of_before_a_restart_does_not_overwrite_a_later_one(store):
    add(store, "c1")
    was = known(store, "c1")
    store = restarted(store)
    change(store, "edit", id="c1", time_s=5.0, who="ben")
    store = restarted(store)
    for op, values in (("edit", {"time_s": 7.0}), ("delete", {})):
        with pytest.raises(Conflict) as conflict:
            change(store, op, id="c1", was=was, **values)
        assert conflict.value.click.time_s == 5.0
    store.close()


@pytest.mark.parametrize("restart", [False, True])
def test_clicks_with_an_old_name_get_the_new_one(store, restart):
    add(store, "c0")
    was = known(store, "c0")
    deleted = change(store, "delete", id="c0")
    add(store, "c0")
    span = change(store, "background", id="n0", video="b", start_s=1.0, end_s=2.0, label="open")
    change(store, "rename", label="open", to="opened")
    change(store, "rename", label="opened", to="opening")
    store = restarted(store, "open", "close") if restart else store  # with the command line of before
    assert add(store, "c1")["click"]["label"] == "opening"
    assert add(store, "c2", "opened")["click"]["label"] == "opening"
    change(store, "background", id="n1", video="a", start_s=3.0, end_s=4.0, label="open")
    assert store.spans["n1"].label == "opening"
    change(store, "edit", id="c0", was=was, time_s=2.0)
    assert change(store, "edit", id="c0", label="open") == {
        "version": store.version,
        "counts": store.counts(),
        "reload": False,
    }
    change(store, "delete", id="c0", was={**was, "time_s": 2.0})
    change(store, "undo", restore=json.loads(json.dumps(deleted["restore"])))
    assert store.clicks["c0"].label == "opening"
    change(store, "undo", restore=json.loads(json.dumps(span["restore"])))
    assert "n0" not in store.spans
    assert store.classes == ["opening", "close"]
    change(store, "class", label="open")  # another class of the old name
    assert add(store, "c3")["click"]["label"] == "open"
    assert add(store, "c4", "opened")["click"]["label"] == "opening"
    store.close()


def test_a_class_that_is_gone_comes_back_with_its_click(store):
    add(store, "c0", "close")
    change(store, "remove", label="open")
    event = add(store, "c1")
    assert event["classes"] == ["close", "open"]
    store = restarted(store)
    assert store.classes == ["close", "open"]
    assert add(store, "c2", "Close")["click"]["label"] == "close"  # no class that looks the same
    with pytest.raises(InputError):
        add(store, "c3", "=1+1")
    store.close()
    store.points_file.unlink()
    (store.folder / "labeling.json").unlink()
    store = make(store.folder)  # without the option that named the classes
    assert add(store, "c3", "open")["classes"] == ["open"]
    store.close()


ROUND = {
    "a": (True, [("open", 1.0, 2.0, 0.9), ("close", 4.0, 5.0, 0.9)]),
    "b": (False, [("open", 3.0, 4.0, 0.5)]),
}


@pytest.mark.parametrize("noted", [True, False])
def test_questions_and_results_have_the_present_names(store, tmp_path, noted):
    add(store, "c1", time_s=1.5)
    write_round(tmp_path, ROUND)
    trained = tmp_path / ".punctum-label" / "learning" / "trained.json"
    if noted:
        trained.write_text(json.dumps({**json.loads(trained.read_text()), "renamed": 0}))
    learner = Learner(store, tmp_path, tmp_path / ".punctum-label")
    before = learner.results(None)
    assert before is not None
    change(store, "rename", label="open", to="opening")
    results = learner.results(None)
    assert results is not None
    assert results["recall"] == before["recall"]
    assert list(results["per_class"]) == ["opening", "close"]
    assert {q["label"] for q in learner.questions()["questions"]} == {"opening", "close"}
    assert {row[0] for rows in learner.events()["videos"].values() for row in rows} == {"opening", "close"}
    assert learner.status()["round"]["labels"] == ["opening", "close"]
    if noted:  # otherwise the old name may be that of the new class
        change(store, "class", label="open")
        assert {q["label"] for q in learner.questions()["questions"]} == {"opening", "close"}
    change(store, "remove", label="close")
    assert {q["label"] for q in learner.questions()["questions"]} == {"opening"}  # no class, no question
    learner.close()
