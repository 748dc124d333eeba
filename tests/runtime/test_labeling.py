"""The clicks of `punctum label`: saved at once, sent twice, changed by two pages, by another program; bad requests."""

from __future__ import annotations

import csv
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import Dataset, InputError
from punctum.runtime.errors import PunctumError
from punctum.runtime.labeling.agreement import agreement
from punctum.runtime.labeling.changes import Change, Conflict
from punctum.runtime.labeling.clicks import Click, read_clicks, write_clicks
from punctum.runtime.labeling.folder import open_folder
from punctum.runtime.labeling.store import ClickStore

from tests.helpers.label_changes import as_sent, known

NOW = "2026-01-02T03:04:05Z"


def make(
    folder: Path, *, classes: tuple[str, ...] = ("open", "close"), videos: tuple[str, ...] = ("a", "b")
) -> ClickStore:
    return ClickStore(folder, folder / "points.csv", list(videos), classes=classes, now=lambda: NOW)


@pytest.fixture
def store(tmp_path: Path):
    made = make(tmp_path)
    yield made
    made.close()


def change(store: ClickStore, op: str, *, who: str = "ann", **values: Any) -> dict[str, Any]:
    return store.apply(Change.parse({"annotator": who, **as_sent(store, op, **values)}))


def add(store: ClickStore, ident: str, label: str = "open", video: str = "a", time_s: float = 1.0, **more: Any) -> Any:
    return change(store, "add", id=ident, label=label, video=video, time_s=time_s, **more)


def rows(store: ClickStore) -> list[dict[str, str]]:
    with store.points_file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_click_is_in_the_file_when_it_is_acknowledged(store):
    event = add(store, "c1", time_s=1.25, clicked_s=1.75, speed=2)
    assert rows(store) == [
        {
            "class": "open",
            "video_id": "a",
            "time_s": "1.250",
            "clicked_s": "1.750",
            "speed": "2",
            "annotator": "ann",
            "created": NOW,
            "id": "c1",
            "note": "",
        }
    ]
    assert event["click"]["rev"] == 1
    assert event["counts"] == {"open": [1, 1], "close": [0, 0]}


def test_training_and_check_read_what_is_written(store, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "b.mp4").write_bytes(b"x")
    add(store, "c1", note='with "quotes", commas; and é')
    change(store, "nothing", video="b", value=True)
    data = Dataset.open(tmp_path, need_features=False)
    assert data.train == ("a", "b")
    assert [(p.label, p.time_s) for p in data.points()["a"]] == [(0, 1.0)]


def test_a_change_that_is_sent_twice_has_one_effect(store):
    add(store, "c1")
    was = known(store, "c1")
    for _ in range(2):
        add(store, "c1")
        change(store, "edit", id="c1", was=was, time_s=2.0)
    assert [row["time_s"] for row in rows(store)] == ["2.000"]
    was = known(store, "c1")
    for _ in range(2):
        change(store, "delete", id="c1", was=was)
    assert rows(store) == []


def test_two_pages_do_not_overwrite_each_other(store):
    add(store, "c1")
    was = known(store, "c1")
    change(store, "edit", id="c1", label="close")
    with pytest.raises(Conflict) as conflict:
        change(store, "edit", id="c1", was=was, time_s=9.0, who="ben")
    assert conflict.value.click.label == "close"
    with pytest.raises(Conflict):
        change(store, "delete", id="c1", was=was)
    change(store, "delete", id="c1")
    with pytest.raises(Conflict) as gone:
        change(store, "edit", id="c1", time_s=3.0)
    assert gone.value.click is None


def test_many_threads_lose_nothing(store):
    def work(name: str) -> None:
        for k in range(25):
            add(store, f"{name}{k}", time_s=float(k), who=name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(store)) == 100
    assert store.version == 100


def test_what_another_program_wrote_is_kept(store):
    add(store, "c1")
    text = store.points_file.read_text()
    store.points_file.write_text(text + "close,b,5,,,ben,,,by hand\n")
    add(store, "c2", time_s=2.0)
    assert [(row["class"], row["video_id"], row["note"]) for row in rows(store)] == [
        ("open", "a", ""),
        ("open", "a", ""),
        ("close", "b", "by hand"),
    ]


def test_a_file_that_another_program_broke_is_not_overwritten(store):
    add(store, "c1")
    store.points_file.write_text("class,video_id,time_s\nopen,a,soon\n")
    with pytest.raises(PunctumError, match="line 2") as error:
        add(store, "c2")
    assert not isinstance(error.value, InputError)  # the change is not at fault: the page sends it again
    assert store.points_file.read_text().endswith("soon\n")
    store.points_file.write_text("class,video_id,time_s\nopen,a,4\n")
    add(store, "c2")
    assert [row["time_s"] for row in rows(store)] == ["1.000", "4.000"]


def test_a_write_that_fails_changes_nothing(store, monkeypatch):
    add(store, "c1")
    before = store.state()

    def full(*arguments: object, **more: object) -> None:
        raise PunctumError("write-failed", "no space")

    with monkeypatch.context() as patch:
        patch.setattr("punctum.runtime.labeling.together.atomic_write", full)
        with pytest.raises(PunctumError):
            add(store, "c2")
    assert store.state()["clicks"] == before["clicks"]
    add(store, "c2")
    assert {row["id"] for row in rows(store)} == {"c1", "c2"}


def test_the_file_keeps_its_other_columns_and_its_permissions(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("class;start_frame;video_id;time_s;Comment\nopen;3;a.mp4;1,5;hello\n")
    path.chmod(0o640)
    store = make(tmp_path)
    add(store, "c1", time_s=7.0)
    assert [(row["video_id"], row["time_s"], row["start_frame"], row["comment"]) for row in rows(store)] == [
        ("a", "1.500", "3", "hello"),
        ("a", "7.000", "", ""),
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    store.close()


def test_frame_numbers_become_seconds(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("class,video_id,point\nopen,a,50\n")
    store = ClickStore(tmp_path, path, ["a"], classes=("open",), seconds=lambda video, frame: frame / 25)
    (click,) = store.clicks.values()
    assert click.time_s == 2.0
    change(store, "edit", id=click.id, time_s=3.0)
    assert [(row["time_s"], row["point"]) for row in rows(store)] == [("3.000", "")]
    store.close()


def test_one_process_labels_a_folder(store, tmp_path):
    with pytest.raises(InputError) as error:
        make(tmp_path)
    assert error.value.code == "label-running"
    store.close()
    make(tmp_path).close()


def test_undo_of_a_deletion_keeps_who_and_when(store):
    add(store, "c1", who="ben", note="x")
    change(store, "delete", id="c1")
    add(store, "c1", note="x", by="ben", created="2025-05-05T00:00:00Z")
    assert [(row["annotator"], row["created"], row["note"]) for row in rows(store)] == [
        ("ben", "2025-05-05T00:00:00Z", "x")
    ]


def test_nothing_happens_is_kept_and_ends_with_a_click(store, tmp_path):
    change(store, "nothing", video="a", value=True)
    change(store, "finished", video="a", value=True)
    record = json.loads((tmp_path / "labeling.json").read_text())
    assert record["nothing"] == record["finished"] == {"a": {"ann": NOW}}
    add(store, "c1")
    assert json.loads((tmp_path / "labeling.json").read_text())["nothing"] == {}
    with pytest.raises(InputError, match="has clicks"):
        change(store, "nothing", video="a", value=True)
    change(store, "finished", video="a", value=False)
    assert json.loads((tmp_path / "labeling.json").read_text())["finished"] == {}


def test_nothing_happens_is_said_by_each_annotator(store, tmp_path):
    """Clicks of another annotator are no obstacle, which would give them away; the two are a conflict."""
    for name in "ab":
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    add(store, "c1", who="ann")
    event = change(store, "nothing", video="a", value=True, who="ben")
    assert event["nothing"] == {"a": {"ben": NOW}}
    with pytest.raises(InputError, match="has clicks of ann"):
        change(store, "nothing", video="a", value=True)
    add(store, "c2", time_s=5.0, who="ann")  # the mark of ben stays
    assert store.labeling.nothing == {"a": {"ben": NOW}}
    found = agreement(store)
    assert [(p["videos"], p["agreed"], p["alone"]) for p in found["pairs"]] == [(1, 0, 2)]
    assert found["conflicts"][0]["annotators"] == ["ann", "ben"]
    data = Dataset.open(tmp_path, need_features=False)
    assert (data.train, len(data.points()["a"]), data.partly()) == (("a",), 2, frozenset())  # the clicks stay
    add(store, "c3", time_s=7.0, who="ben")
    assert store.labeling.nothing == {}


def test_a_click_of_nobody_is_everybodys(tmp_path):
    (tmp_path / "points.csv").write_text("class,video_id,time_s\nopen,a,1\n")
    store = make(tmp_path)
    with pytest.raises(InputError, match="has clicks"):
        change(store, "nothing", video="a", value=True)
    store.close()


def test_a_change_that_was_sent_late_has_the_time_at_which_it_was_made(store):
    add(store, "c1", age_s=3725)
    event = change(store, "nothing", video="b", value=True, age_s=60)
    span = change(store, "background", id="n1", video="a", start_s=3.0, end_s=4.0, age_s=3600)
    assert [row["created"] for row in rows(store)] == ["2026-01-02T02:02:00Z"]
    assert event["nothing"] == {"b": {"ann": "2026-01-02T03:03:05Z"}}
    assert span["background"]["created"] == "2026-01-02T02:04:05Z"
    for wrong in (-1, "1", True, float("nan"), 1e12):
        with pytest.raises(InputError):
            add(store, "c2", age_s=wrong)


def test_classes_are_added_renamed_and_removed(store):
    change(store, "class", label="  knock ")
    assert store.classes == ["open", "close", "knock"]
    for wrong in ("Open", "", "x" * 101):
        with pytest.raises(InputError):
            change(store, "class", label=wrong)
    add(store, "c1")
    change(store, "rename", label="open", to="opening")
    assert [row["class"] for row in rows(store)] == ["opening"]
    with pytest.raises(InputError, match="has clicks"):
        change(store, "remove", label="opening")
    with pytest.raises(InputError):
        change(store, "rename", label="opening", to="close")
    change(store, "remove", label="close")
    assert store.classes == ["opening", "knock"]
    store.close()
    again = make(store.folder, classes=())
    assert again.classes == ["opening", "knock"]
    again.close()


def test_classes_of_a_data_set_are_fixed(tmp_path):
    store = ClickStore(tmp_path, tmp_path / "points.csv", ["a"], classes=("open",), fixed=True)
    for op, values in (("class", {"label": "x"}), ("rename", {"label": "open", "to": "x"})):
        with pytest.raises(InputError, match=r"dataset\.json"):
            change(store, op, **values)
    store.close()


def test_reaction_times_are_kept_by_person(store, tmp_path):
    change(store, "reaction", seconds=0.3)
    change(store, "reaction", seconds=0.25, who="ben")
    assert json.loads((tmp_path / "labeling.json").read_text())["reaction_s"] == {"ann": 0.3, "ben": 0.25}


def test_agreement_of_two_annotators(store):
    for k, (who, label, at) in enumerate(
        [("ann", "open", 1), ("ben", "open", 1.4), ("ann", "open", 5), ("ben", "close", 5.2), ("ann", "close", 9)]
    ):
        add(store, f"c{k}", label, time_s=at, who=who)
    add(store, "alone", video="b", who="ann")  # ben has not labeled it: no disagreement
    found = agreement(store)
    assert found["pairs"] == [
        {"annotators": ["ann", "ben"], "videos": 1, "share": 0.3333, "agreed": 1, "classes": 1, "alone": 1}
    ]
    assert [(c["time_s"], c["labels"]) for c in found["conflicts"]] == [(5.0, ["open", "close"]), (9.0, ["close"])]
    assert store.counts() == {"open": [3, 2], "close": [2, 1]}


BAD = [
    None,
    [],
    "x",
    {},
    {"op": "burn", "annotator": "ann"},
    {"op": "add", "annotator": "ann", "id": "../x", "label": "open", "video": "a", "time_s": 1},
    {"op": "add", "annotator": "ann", "id": "x", "label": "open", "video": "../a", "time_s": 1},
    {"op": "add", "annotator": "ann", "id": "x", "label": "=unknown", "video": "a", "time_s": 1},
    {"op": "add", "annotator": "", "id": "x", "label": "open", "video": "a", "time_s": 1},
    *(
        {"op": "add", "annotator": "ann", "id": "x", "label": "open", "video": "a", "time_s": time_s}
        for time_s in (-1, "1", None, True, float("nan"), float("inf"), 1e12)
    ),
    {"op": "add", "annotator": "ann", "id": "x", "label": "open", "video": "a", "time_s": 1, "note": "n" * 2000},
    {"op": "edit", "annotator": "ann", "id": "x", "was": "1"},
    {"op": "nothing", "annotator": "ann", "video": "a", "value": 1},
    {"op": "reaction", "annotator": "ann", "seconds": 30},
]


@pytest.mark.parametrize("record", BAD, ids=[str(k) for k in range(len(BAD))])
def test_bad_requests_change_nothing(store, record):
    with pytest.raises(InputError):
        store.apply(Change.parse(record))
    assert not store.points_file.exists()
    assert store.version == 0


def test_lines_and_control_characters_cannot_break_a_row(store):
    add(store, "c1", note="a\nopen,b,9\x00\u2028x")
    assert [(row["video_id"], row["note"]) for row in rows(store)] == [("a", "a open,b,9 x")]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12).map(str.strip)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT.filter(bool), TEXT.filter(bool), st.floats(0, 1e5), TEXT, TEXT), max_size=8))
def test_reading_returns_what_was_written(tmp_path_factory, content):
    clicks = [
        Click(f"c{k}", label, video, round(at, 3), round(at, 3), 2.0, who, NOW, note)
        for k, (label, video, at, who, note) in enumerate(content)
    ]
    path = tmp_path_factory.mktemp("clicks") / "points.csv"
    path.write_text(write_clicks(clicks), encoding="utf-8")
    found = {click.id: click for click in read_clicks(path)}
    assert found == {click.id: click for click in clicks}


def test_rows_that_were_copied_get_ids_of_their_own(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("class,video_id,time_s,id\nopen,a,1,x\nopen,a,2,x\nopen,a,3,\nopen,a,3,\n")
    found = read_clicks(path)
    assert len({click.id for click in found}) == 4


class TestFolder:
    def test_videos_without_anything(self, tmp_path):
        (tmp_path / "v.mp4").write_bytes(b"x")
        opened = open_folder(tmp_path, classes=["open", " close "])
        assert [path.name for path in opened.videos] == ["v.mp4"]
        assert opened.store.classes == ["open", "close"]
        assert opened.listed is None
        opened.store.close()

    def test_a_data_set(self, tmp_path):
        (tmp_path / "videos").mkdir()
        for name in ("v.mp4", "w.mp4"):
            (tmp_path / "videos" / name).write_bytes(b"x")
        (tmp_path / "dataset.json").write_text(json.dumps({"name": "d", "classes": ["open"], "fps": 10}))
        (tmp_path / "train.txt").write_text("v\n")
        (tmp_path / "points.csv").write_text("class,video_id,point\nopen,v,25\n")
        opened = open_folder(tmp_path)
        assert opened.store.fixed
        assert opened.listed == {"v"}
        assert [click.time_s for click in opened.store.clicks.values()] == [2.5]
        opened.store.close()

    @pytest.mark.parametrize(
        ("names", "classes", "code"),
        [
            ((), (), "video-folder-empty"),
            (("v.mp4", "v.avi"), (), "video-names"),
            (("v.mp4",), ("open", "Open"), "label-alike"),
        ],
    )
    def test_refusals(self, tmp_path, names, classes, code):
        for name in names:
            (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError) as error:
            open_folder(tmp_path, classes=classes)
        assert error.value.code == code

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        if os.geteuid() == 0:
            pytest.skip("root writes everywhere")
        (tmp_path / "v.mp4").write_bytes(b"x")
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(PunctumError, match="write"):
                open_folder(tmp_path)
        finally:
            tmp_path.chmod(0o700)
