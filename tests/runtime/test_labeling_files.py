"""The files of `punctum label`: written together, changed by other programs, with columns and entries of their own."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from punctum.runtime import InputError
from punctum.runtime.datasets.background import read_background
from punctum.runtime.errors import PunctumError
from punctum.runtime.labeling import together
from punctum.runtime.labeling.changes import Change
from punctum.runtime.labeling.store import ClickStore

from tests.helpers.label_changes import as_sent

NOW = "2026-01-02T03:04:05Z"
HEAD = "class,video_id,time_s,id\n"


def make(folder: Path, *classes: str) -> ClickStore:
    return ClickStore(folder, folder / "points.csv", ["a", "b"], classes=classes or ("open", "close"), now=lambda: NOW)


@pytest.fixture
def store(tmp_path: Path):
    made = make(tmp_path)
    yield made
    made.close()


def change(store: ClickStore, op: str, **values: Any) -> dict[str, Any]:
    return store.apply(Change.parse({"annotator": "ann", **as_sent(store, op, **values)}))


def add(store: ClickStore, ident: str, **more: Any) -> Any:
    return change(store, "add", **({"id": ident, "label": "open", "video": "a", "time_s": 1.0} | more))


def table(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def record(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "labeling.json").read_text()))


# --- several files as one change


class Full(Exception):
    """The process is killed."""


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "full disk"])
def test_a_class_is_renamed_in_all_files_or_in_none(store, tmp_path, monkeypatch, writes, killed):
    add(store, "c1")
    change(store, "background", id="n1", video="a", start_s=3.0, end_s=4.0, label="open")
    real, done = together.atomic_write, [0]

    def write(path: Any, data: Any, **more: Any) -> None:
        if done[0] == writes:
            raise Full if killed else PunctumError("write-failed", "no space")
        done[0] += 1
        real(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr(together, "atomic_write", write)
        with pytest.raises((Full, PunctumError)):
            change(store, "rename", label="open", to="opening", key="k1")
    if killed:
        store.close()
        store = make(tmp_path)
    name = "open" if writes == 0 else "opening"
    if not killed:
        change(store, "rename", label="open", to="opening", key="k1")  # the page sends it again
        name = "opening"
    assert record(tmp_path)["classes"][0] == name
    assert table(tmp_path / "points.csv")[1][0] == name
    assert read_background(tmp_path / "background.csv")[0].label == name
    assert name in store.classes
    assert {click.label for click in store.clicks.values()} == {name}
    assert not (tmp_path / together.SAVED).exists()
    store.close()


def test_an_answer_in_an_unlabeled_video_is_never_without_its_mark(store, tmp_path, monkeypatch):
    """Without it, footage that nobody has looked at would be background."""
    add(store, "c1", video="b")
    real = together.atomic_write

    def write(path: Any, data: Any, **more: Any) -> None:
        if Path(path).name == "labeling.json":
            raise Full
        real(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr(together, "atomic_write", write)
        with pytest.raises(Full):
            add(store, "q1", asked=True)
    store.close()
    again = make(tmp_path)
    assert "q1" in again.clicks
    assert "a" in record(tmp_path)["partly"]
    again.close()


def test_an_interrupted_change_does_not_overwrite_another_program(store, tmp_path, monkeypatch, caplog):
    add(store, "c1")

    def write(path: Any, data: Any, real: Any = together.atomic_write, **more: Any) -> None:
        if Path(path).name == "points.csv":
            raise Full
        real(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr(together, "atomic_write", write)
        with pytest.raises(Full):
            change(store, "rename", label="open", to="opening")
    store.close()
    (tmp_path / "points.csv").write_text(HEAD + "open,a,7,mine\n")
    again = make(tmp_path)
    assert "mine" in again.clicks
    assert "another content" in caplog.text
    assert not (tmp_path / together.SAVED).exists()
    again.close()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": "punctum.labeling-change/1", "files": [{"role": 3}]}']
)
def test_a_damaged_saved_change_does_no_harm(tmp_path, text):
    (tmp_path / "points.csv").write_text(HEAD + "open,a,7,mine\n")
    (tmp_path / together.SAVED).write_text(text)
    store = make(tmp_path)
    assert "mine" in store.clicks
    add(store, "c1")
    store.close()


def test_what_killed_processes_were_writing_is_removed(tmp_path):
    for name in (".points.csv.0123abcd", ".labeling.json.0123abcd", ".background.csv.0123abcd", ".mine.csv.0123abcd"):
        (tmp_path / name).write_text("x")
    make(tmp_path).close()
    assert [path.name for path in tmp_path.glob(".*.0123abcd")] == [".mine.csv.0123abcd"]


# --- one process


def test_the_lock_survives_the_removal_of_its_folder(store, tmp_path):
    shutil.rmtree(tmp_path / ".punctum-label")
    with pytest.raises(InputError) as error:
        make(tmp_path)
    assert error.value.code == "label-running"
    store.close()
    make(tmp_path).close()


def test_the_identity_is_that_of_the_folder(store, tmp_path):
    identity = store.identity
    store.close()
    again = make(tmp_path)
    assert again.identity == identity
    again.close()
    shutil.copytree(tmp_path, copy := tmp_path.with_name("copy"))
    other = make(copy)
    assert other.identity != identity
    other.close()


# --- other programs


def test_labeling_json_of_another_program_is_kept(store, tmp_path):
    change(store, "nothing", video="b", value=True)
    given = record(tmp_path)
    given["classes"] = ["close", "knock", "open"]
    given["nothing"] = {"a": {"ben": "2025"}}
    given["project"] = {"owner": ["x"]}
    (tmp_path / "labeling.json").write_text(json.dumps(given))
    assert store.refresh()
    assert store.classes == ["close", "knock", "open"]
    change(store, "finished", video="b", value=True)
    now = record(tmp_path)
    assert now["project"] == {"owner": ["x"]}
    assert now["nothing"] == {"a": {"ben": "2025"}}
    assert now["finished"] == {"b": {"ann": NOW}}
    assert now["classes"] == ["close", "knock", "open"]


def test_a_class_that_was_renamed_does_not_come_back_with_a_reload(store, tmp_path):
    change(store, "rename", label="open", to="opening")
    (tmp_path / "points.csv").write_text(HEAD + "close,a,7,mine\n")
    assert store.refresh()
    assert store.classes == ["opening", "close"]


def test_labeling_json_that_is_removed_is_written_again(store, tmp_path):
    change(store, "nothing", video="b", value=True)
    (tmp_path / "labeling.json").unlink()
    add(store, "c1")
    assert record(tmp_path)["nothing"] == {"b": {"ann": NOW}}


@pytest.mark.parametrize("name", ["labeling.json", "background.csv", "points.csv"])
def test_a_file_that_is_half_written_is_waited_for(store, tmp_path, name):
    change(store, "background", id="n1", video="a", start_s=3.0, end_s=4.0)
    add(store, "c1")
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text[:10])
    with pytest.raises(PunctumError, match=name) as error:
        add(store, "c2")
    assert error.value.exit_code == 1
    (tmp_path / name).write_text(text)
    add(store, "c2")
    assert {"c1", "c2"} <= store.clicks.keys()


def test_a_table_that_is_being_written_is_read_when_it_is_complete(store, tmp_path):
    """Its beginning is a table, too: what has been written so far must not take its place."""
    add(store, "c1")
    begun = threading.Event()

    def write() -> None:
        with (tmp_path / "points.csv").open("w") as stream:
            stream.write(HEAD)
            for k in range(12):
                stream.write(f"close,b,{k},mine{k}\n")
                stream.flush()
                begun.set()
                time.sleep(0.03)

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    add(store, "c2")
    writer.join()
    assert {"c2", *(f"mine{k}" for k in range(12))} == {row[7] for row in table(tmp_path / "points.csv")[1:]}


@pytest.mark.parametrize("column", ["id", "note", "clicked_s", "annotator", "class", "time_s"])
def test_a_column_that_is_there_twice_is_named(tmp_path, column):
    (tmp_path / "points.csv").write_text(f"class,video_id,time_s,{column},{column}\nopen,a,1,x,y\n")
    with pytest.raises(InputError, match=f"columns called {column}"):
        make(tmp_path)
    (tmp_path / "points.csv").unlink()
    (tmp_path / "background.csv").write_text("video_id,start_s,end_s,id,id\na,1,2,x,y\n")
    with pytest.raises(InputError, match="columns called id"):
        make(tmp_path)


def test_columns_that_others_need_are_kept(tmp_path):
    head = "class,label,class_name,video_id,video,time_s,,seconds,Comment,comment,#"
    (tmp_path / "points.csv").write_text(f"{head}\nopen,L,N,a,V,1,blank,S,one,two,hash\n")
    for k in range(3):
        store = make(tmp_path)
        add(store, f"c{k}", time_s=2.0 + k)
        store.close()
        names, first = table(tmp_path / "points.csv")[:2]
        assert names[:3] == ["class", "video_id", "time_s"]
        kept = list(zip(names[9:], first[9:], strict=True))
        assert kept == [
            *(("label", "L"), ("class_name", "N"), ("video", "V"), ("unnamed", "blank"), ("seconds", "S")),
            *(("comment", "one"), ("comment", "two"), ("#", "hash")),
        ]


def test_columns_of_background_are_kept(tmp_path):
    (tmp_path / "background.csv").write_text("video,start_s,end_s,label,Reason,video_id\nV,1,2,open,dark,a\n")
    store = make(tmp_path)
    change(store, "background", id="n1", video="b", start_s=3.0, end_s=4.0)
    assert table(tmp_path / "background.csv") == [
        ["video_id", "start_s", "end_s", "class", "annotator", "created", "id", "video", "reason"],
        ["a", "1.000", "2.000", "open", "", "", "a-1-2", "V", "dark"],
        ["b", "3.000", "4.000", "", "ann", NOW, "n1", "", ""],
    ]
    store.close()


# --- spans, and rows that only another program writes


@pytest.mark.parametrize("end_s", [1.0, 1.0004, 0.9, -0.0])
def test_a_span_of_no_length_is_refused(store, tmp_path, end_s):
    with pytest.raises(InputError):
        change(store, "background", id="n1", video="a", start_s=1.0, end_s=end_s)
    change(store, "background", id="n1", video="a", start_s=1.0, end_s=1.0006)
    assert read_background(tmp_path / "background.csv")[0].end_s == 1.001


def test_a_short_span_of_another_program_does_not_lock_the_folder(tmp_path):
    (tmp_path / "background.csv").write_text("video_id,start_s,end_s\na,1.0001,1.0002\n")
    store = make(tmp_path)
    change(store, "background", id="n1", video="b", start_s=3.0, end_s=4.0)
    store.close()
    assert [(row.start_s, row.end_s) for row in read_background(tmp_path / "background.csv")] == [
        (1.0, 1.001),
        (3.0, 4.0),
    ]
    make(tmp_path).close()


def test_every_row_can_be_edited(tmp_path):
    ids = ["with space", "x" * 200, "é/?", "=1+1"]
    rows = [["class", "video_id", "time_s", "id"], *[["long " * 40, "a", str(k), i] for k, i in enumerate(ids)]]
    rows.append(["two\nlines", "b", "1", "l"])
    with (tmp_path / "points.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    store = make(tmp_path)
    for ident in ids:
        change(store, "edit", id=ident, label="open")
        change(store, "confirm", id=ident, value=True)
        change(store, "delete", id=ident)
    change(store, "remove", label=("long " * 40).strip())
    change(store, "rename", label="two\nlines", to="one line")
    assert store.classes == ["open", "close", "one line"]
    assert [click.label for click in store.clicks.values()] == ["one line"]
    store.close()


def test_a_class_that_only_spans_have_can_be_renamed_and_removed(tmp_path):
    (tmp_path / "background.csv").write_text("video_id,start_s,end_s,class\na,1,2,knock\n")
    store = make(tmp_path)
    assert store.classes == ["open", "close", "knock"]
    change(store, "rename", label="knock", to="knocking")
    assert read_background(tmp_path / "background.csv")[0].label == "knocking"
    change(store, "remove", label="knocking")
    assert read_background(tmp_path / "background.csv") == []
    store.close()


def test_other_classes_do_not_block_a_change(tmp_path):
    classes = ["Open", "open", *(f"k{k}" for k in range(250))]
    (tmp_path / "labeling.json").write_text(json.dumps({"schema": "punctum.labeling/1", "classes": classes}))
    store = make(tmp_path, "open")
    change(store, "rename", label="k3", to="knock")
    change(store, "remove", label="k4")
    with pytest.raises(InputError, match="wave cannot be added: there are 251 classes"):
        change(store, "class", label="wave")
    with pytest.raises(InputError, match="taken by 'open'"):
        change(store, "rename", label="k5", to="oPEN")
    store.close()


@pytest.mark.parametrize(
    "name", ["\u200b", "open\u200b", "o\u2060pen", "open\u200d", "=1+1", "@x", "+x", "-x", "\u200d"]
)
def test_classes_that_look_alike_or_like_a_formula_are_refused(store, name):
    with contextlib.suppress(InputError):  # what cannot be seen is dropped, and the rest may be a class already
        change(store, "class", label=name)
    with pytest.raises(InputError):
        change(store, "rename", label="close", to=name)
    assert store.classes == ["open", "close"]


def test_notes_are_no_formulas(store, tmp_path):
    add(store, "c1", note="=HYPERLINK(1)")
    assert table(tmp_path / "points.csv")[1][8] == " =HYPERLINK(1)"
    store.close()
    again = make(tmp_path)
    assert again.clicks["c1"].note == "=HYPERLINK(1)"
    again.close()


def test_only_a_click_that_is_there_can_be_confirmed(store):
    from punctum.runtime.labeling.editable import Conflict

    with pytest.raises(Conflict):
        change(store, "confirm", id="gone", value=True)
    change(store, "confirm", id="gone", value=False)
    assert store.labeling.confirmed == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": "punctum.labeling/1", "classes": "open"}',
        '{"schema": "punctum.labeling/1", "classes": [""]}',
        '{"schema": "punctum.labeling/1", "classes": ["\\ud800"]}',
        '{"schema": "punctum.labeling/1", "reaction_s": {"ann": NaN}}',
        '{"schema": "punctum.labeling/1", "reaction_s": {"ann": 1e999}}',
        '{"schema": "punctum.labeling/1", "reaction_s": {"ann": -1}}',
        '{"schema": "punctum.labeling/1", "nothing": {"\\ud800": {"ann": "x"}}}',
        '{"schema": "punctum.labeling/1", "nothing": {"a": {"ann": "\\ud800"}}}',
        '{"schema": "punctum.labeling/1", "mine": [NaN]}',
        '{"schema": "punctum.labeling/1", "reaction_s": {"ann": ' + "9" * 400 + "}}",
    ],
)
def test_a_record_that_no_page_can_show_is_refused_at_the_start(tmp_path, text):
    (tmp_path / "labeling.json").write_text(text)
    with pytest.raises(InputError, match=r"labeling\.json"):
        make(tmp_path)
