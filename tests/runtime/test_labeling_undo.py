"""Undo in `punctum label`: whatever was changed, the files are as they were before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.labeling.changes import Change, Conflict
from punctum.runtime.labeling.store import ClickStore

from tests.helpers.label_changes import as_sent

NOW = "2026-01-02T03:04:05Z"
POINTS = "class,video_id,time_s,id,annotator,camera\nopen,a,1,p1,ann,left\nclose,b,2,p 2,ben,right\n"


def make(folder: Path) -> ClickStore:
    times = iter(range(10**6))
    return ClickStore(
        folder, folder / "points.csv", ["a", "b", "c"], classes=("open", "close"), now=lambda: f"{NOW}/{next(times)}"
    )


@pytest.fixture
def store(tmp_path: Path):
    (tmp_path / "points.csv").write_text(POINTS)
    made = make(tmp_path)
    yield made
    made.close()


def change(store: ClickStore, op: str, *, who: str = "ann", **values: Any) -> dict[str, Any]:
    """Make a change, as the page sends it."""
    return store.apply(Change.parse({"annotator": who, **as_sent(store, op, **values)}))


def undo(store: ClickStore, event: dict[str, Any], **more: Any) -> dict[str, Any]:
    restore = json.loads(json.dumps(event["restore"]))  # by way of the page
    return change(store, "undo", restore=restore, **more)


def marks(store: ClickStore) -> dict[str, Any]:
    record = json.loads((store.folder / "labeling.json").read_text())
    return {name: record.get(name, {}) for name in ("nothing", "finished", "partly", "confirmed")}


def content(store: ClickStore) -> tuple[Any, ...]:
    """The files, as other programs read them."""
    tables = [path.read_text() if path.exists() else "" for path in (store.points_file, store.background_file)]
    return (*tables, marks(store))


def test_finished_and_undo_leave_a_video_labeled_in_part(store):
    change(store, "add", id="q1", label="open", video="c", time_s=1, asked=True)
    before = marks(store)["partly"]
    assert "c" in before
    undo(store, change(store, "finished", video="c", value=True))
    assert marks(store)["partly"] == before
    undo(store, change(store, "delete", id="q1"))
    assert marks(store)["partly"] == before


def test_a_wrong_key_does_not_lose_the_marks_of_others(store):
    change(store, "nothing", video="c", value=True)
    change(store, "nothing", video="c", value=True, who="ben")
    before = marks(store)["nothing"]
    wrong = change(store, "add", id="w", label="open", video="c", time_s=1)
    assert marks(store)["nothing"]["c"].keys() == {"ben"}
    undo(store, wrong)
    assert marks(store)["nothing"] == before
    assert before["c"].keys() == {"ann", "ben"}


def test_a_deleted_click_comes_back_with_its_columns_and_its_confirmation(store):
    change(store, "confirm", id="p1", value=True)
    change(store, "edit", id="p1", note="x")  # the file is written as this program writes it
    before = content(store)
    event = change(store, "delete", id="p1")
    assert "left" not in store.points_file.read_text()
    back = undo(store, event)
    assert back["click"]["id"] == "p1"
    assert content(store) == before
    assert "left" in store.points_file.read_text()


def test_undo_works_after_a_restart(store):
    change(store, "confirm", id="p1", value=True)
    change(store, "edit", id="p1", note="x")  # the file is written as this program writes it
    before = content(store)
    event = change(store, "delete", id="p1")
    store.close()
    again = make(store.folder)
    undo(again, event)
    assert content(again) == before
    again.close()


def test_an_answer_that_is_undone_leaves_no_trace(store):
    change(store, "finished", video="b", value=True)  # there is a labeling.json
    change(store, "edit", id="p1", note="x")
    before = content(store)
    first = change(store, "add", id="q1", label="open", video="c", time_s=1, asked=True)
    second = change(store, "background", id="n1", video="c", start_s=3, end_s=4, label="open", asked=True)
    undo(store, second)
    undo(store, first)
    assert content(store)[0] == before[0]
    assert content(store)[2] == before[2]


def test_an_answer_of_another_page_stays_labeled_in_part(store):
    """Page 1 takes its answer back; that of page 2 in the same video must not become a wholly labeled video."""
    first = change(store, "add", id="q1", label="open", video="c", time_s=1, asked=True)
    change(store, "add", id="q2", label="open", video="c", time_s=5, asked=True)
    undo(store, first)
    assert "c" in marks(store)["partly"]


def test_nothing_happens_does_not_come_back_to_a_video_with_clicks(store):
    change(store, "nothing", video="c", value=True)
    wrong = change(store, "add", id="w", label="open", video="c", time_s=1)
    change(store, "add", id="x", label="open", video="c", time_s=2)
    undo(store, wrong)
    assert marks(store)["nothing"] == {}


def test_nothing_happens_comes_back_whatever_others_clicked(store):
    change(store, "nothing", video="c", value=True)
    before = marks(store)["nothing"]
    wrong = change(store, "add", id="w", label="open", video="c", time_s=1)
    change(store, "add", id="x", label="open", video="c", time_s=2, who="ben")
    undo(store, wrong)
    assert marks(store)["nothing"] == before


def test_a_click_that_comes_back_ends_a_mark_that_was_made_since(store):
    event = change(store, "delete", id="p1")
    change(store, "nothing", video="a", value=True)
    change(store, "nothing", video="a", value=True, who="ben")
    back = undo(store, event)
    assert back["nothing"]["a"].keys() == marks(store)["nothing"]["a"].keys() == {"ben"}


def test_what_another_page_changed_is_not_undone(store):
    event = change(store, "edit", id="p1", time_s=3.0)
    change(store, "edit", id="p1", label="close", who="ben")
    with pytest.raises(Conflict) as conflict:
        undo(store, event)
    assert conflict.value.click.label == "close"


def test_undo_that_is_sent_twice_has_one_effect(store):
    event = change(store, "delete", id="p1")
    undo(store, event, key="k1")
    again = undo(store, event, key="k1")
    assert again["reload"]
    assert undo(store, event).keys() == {"version", "counts", "reload"}  # after a restart the key is not known
    assert "p1" in store.clicks


def test_an_add_that_is_sent_again_does_not_revive_a_deleted_click(store):
    for _ in range(2):
        change(store, "add", id="n", label="open", video="a", time_s=1, key="k1")
        if "n" in store.clicks:
            change(store, "delete", id="n")
    assert "n" not in store.clicks


def test_times_are_in_milliseconds(store):
    event = change(store, "add", id="n", label="open", video="a", time_s=1.23456, clicked_s=-0.0)
    assert (event["click"]["time_s"], str(event["click"]["clicked_s"])) == (1.235, "0.0")


BAD = [
    {"click": 3},
    {"click": [None]},
    {"click": [{}, None]},
    {"click": [{"id": "x"}, {"id": "y"}]},
    {"span": [{"id": "x", "video": "a", "start_s": 2, "end_s": 1}, None]},
    {"marks": "x"},
    {"marks": [["burn", "a", "ann", None, None]]},
    {"marks": [[["nothing"], "a", "ann", None, None]]},
    {"marks": [["nothing", "a", "ann", 1, None]]},
    {"click": [{"id": "x", "label": "open", "video": "a", "time_s": 10**400}, None]},
    {"click": [{"id": "x", "label": "open", "video": "a", "time_s": 1, "extra": {"a": ["b"]}}, None]},
    {"marks": [["nothing", "\ud800", "ann", None, None]]},
]


@pytest.mark.parametrize("restore", BAD, ids=[str(k) for k in range(len(BAD))])
def test_records_that_cannot_be_are_refused(store, restore):
    before = store.state()
    with pytest.raises(InputError):
        store.apply(Change.parse({"op": "undo", "annotator": "ann", "restore": restore}))
    assert store.state() == before


# --- any sequence of changes, and all of it undone

VIDEO, LABEL, WHO = st.sampled_from("abc"), st.sampled_from(["open", "close"]), st.sampled_from(["ann", "ben"])
IDENT = st.sampled_from(["p1", "p 2", "n1", "n2", "n3"])
TIME = st.integers(0, 9000).map(lambda ms: ms / 1000)
CHANGES = st.one_of(
    st.tuples(
        st.just("add"),
        st.fixed_dictionaries(
            {"id": IDENT.filter(lambda i: i[0] == "n"), "label": LABEL, "video": VIDEO, "time_s": TIME}
        ),
        st.booleans(),
    ),
    st.tuples(st.just("edit"), st.fixed_dictionaries({"id": IDENT, "label": LABEL, "time_s": TIME}), st.just(False)),
    st.tuples(st.just("delete"), st.fixed_dictionaries({"id": IDENT}), st.just(False)),
    st.tuples(
        st.sampled_from(["nothing", "finished"]),
        st.fixed_dictionaries({"video": VIDEO, "value": st.booleans()}),
        st.just(False),
    ),
    st.tuples(st.just("confirm"), st.fixed_dictionaries({"id": IDENT, "value": st.booleans()}), st.just(False)),
    st.tuples(
        st.just("background"),
        st.fixed_dictionaries({"id": IDENT.filter(lambda i: i[0] == "n"), "video": VIDEO, "label": LABEL}).flatmap(
            lambda d: TIME.map(lambda t: {**d, "start_s": t, "end_s": t + 1})
        ),
        st.booleans(),
    ),
    st.tuples(st.just("unbackground"), st.fixed_dictionaries({"id": IDENT}), st.just(False)),
)


@settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.tuples(CHANGES, WHO), min_size=1, max_size=12), st.booleans())
def test_any_changes_and_their_undos_restore_the_files(tmp_path_factory, steps, restart):
    folder = tmp_path_factory.mktemp("undo")
    (folder / "points.csv").write_text(POINTS)
    (folder / "background.csv").write_text("video_id,start_s,end_s,class,id,seen\na,4,5,open,n1,yes\n")
    store = make(folder)
    try:
        change(store, "reaction", seconds=0.2)  # the files have been written once
        change(store, "edit", id="p1", note="x")
        change(
            store,
            "unbackground",
            id=change(store, "background", id="n9", video="a", start_s=1, end_s=2)["background"]["id"],
        )
        states = [content(store)]
        events = []
        for (op, values, asked), who in steps:
            try:
                event = change(store, op, who=who, **values, **({"asked": True} if asked else {}))
            except (InputError, Conflict, KeyError):
                continue
            if "restore" in event:
                events.append((event, who))
                states.append(content(store))
        last = states.pop()
        if restart:
            store.close()
            store = make(folder)
        redo = []
        for (event, who), expected in zip(reversed(events), reversed(states), strict=True):
            redo.append(undo(store, event, who=who))
            assert content(store) == expected
        for event in reversed([event for event in redo if "restore" in event]):
            undo(store, event)
        assert content(store) == last
    finally:
        store.close()


IMAGE = {
    **{"id": "x", "label": "open", "video": "a", "time_s": 1.0, "clicked_s": None, "speed": None, "extra": {}},
    **{"annotator": "ann", "created": NOW, "note": ""},
}
SPAN = {
    **{"id": "x", "video": "a", "start_s": 1.0, "end_s": 2.0, "label": "open", "annotator": "ann"},
    **{"created": NOW, "extra": {}},
}


@pytest.mark.parametrize(
    "restore",
    [
        *({"click": [{**IMAGE, "time_s": time_s}, None]} for time_s in (1e300, -1e300, 1e13)),
        *({"click": [{**IMAGE, "extra": {name: "1"}}, None]} for name in ("Time_S", "ID", " id", "clicked s", "class")),
        {"click": [{**IMAGE, "extra": {"Camera!": "1", "camera": "2"}}, None]},
        {"click": [{**IMAGE, "note": "a\rb"}, None]},
        {"click": [{**IMAGE, "note": "\rb"}, None]},
        {"click": [{**IMAGE, "note": " b"}, None]},
        {"click": [{**IMAGE, "note": "x" * 200_000}, None]},
        {"click": [{**IMAGE, "id": " "}, None]},
        {"click": [{**IMAGE, "id": " x"}, None]},
        {"click": [{**IMAGE, "label": " "}, None]},
        {"click": [{**IMAGE, "label": "\n"}, None]},
        {"click": [{**IMAGE, "video": " "}, None]},
        {"click": [{**IMAGE, "video": "z"}, None]},
        *({"span": [{**SPAN, "end_s": end_s}, None]} for end_s in (1e308, 1e13)),
        {"span": [{**SPAN, "video": " "}, None]},
        {"span": [{**SPAN, "video": "z"}, None]},
        {"span": [{**SPAN, "extra": {"Start_S": "4"}}, None]},
        {"span": [{**SPAN, "created": "a\rb"}, None]},
        {"marks": [["finished", " ", "ann", NOW, None]]},
        {"marks": [["finished", "a", " ", NOW, None]]},
    ],
)
def test_what_could_not_be_read_again_is_not_put_back(store, restore):
    change(store, "finished", video="c", value=True)
    before = content(store)
    with pytest.raises(InputError):
        change(store, "undo", restore=restore)
    assert content(store) == before
    change(store, "add", id="n", label="open", video="a", time_s=1)
    store.close()
    make(store.folder).close()


@pytest.mark.parametrize("wide", [False, True])
def test_a_large_row_comes_back(tmp_path, wide):
    """300 foreign columns, a cell and a note of 12,000 characters, and more than 64 KB in all."""
    names = [f"column {k}" for k in range(300)] if wide else ["camera"]
    cells = ["x" * 300] * 300 if wide else ["y" * 90_000]
    note = "" if wide else "n" * 12_000
    (tmp_path / "points.csv").write_text(
        ",".join(["class,video_id,time_s,id,note", *names]) + "\n" + ",".join([f"open,a,1,p1,{note}", *cells]) + "\n"
    )
    store = make(tmp_path)
    change(store, "edit", id="p1", time_s=2.0)
    change(store, "finished", video="c", value=True)
    before = content(store)
    deleted = change(store, "delete", id="p1")
    store.close()
    store = make(tmp_path)
    undo(store, deleted)
    assert content(store) == before
    change(store, "edit", id="p1", time_s=3.0)
    store.close()
