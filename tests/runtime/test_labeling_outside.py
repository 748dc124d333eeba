"""What happens to the folder of `punctum label` from outside while it is open: nothing is lost without a word."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from punctum.runtime import InputError
from punctum.runtime.errors import PunctumError
from punctum.runtime.files import atomic
from punctum.runtime.labeling import together
from punctum.runtime.labeling.changes import Change
from punctum.runtime.labeling.clicks import read_clicks
from punctum.runtime.labeling.learner import Learner
from punctum.runtime.labeling.store import ClickStore

from tests.helpers.label_changes import as_sent

HEAD = "class,video_id,time_s,id\n"


def make(folder: Path, points: str = "points.csv") -> ClickStore:
    return ClickStore(folder, folder / points, ["a", "b"], classes=("open", "close"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "videos"
    made.mkdir()
    return made


@pytest.fixture
def store(folder: Path):
    made = make(folder)
    yield made
    made.close()


def change(store: ClickStore, op: str, **values: Any) -> dict[str, Any]:
    return store.apply(Change.parse({"annotator": "ann", **as_sent(store, op, **values)}))


def add(store: ClickStore, ident: str, **more: Any) -> Any:
    return change(store, "add", **({"id": ident, "label": "open", "video": "a", "time_s": 1.0} | more))


@pytest.mark.parametrize("then", ["nothing", "another", "file"])
def test_a_folder_that_was_moved_gets_no_clicks_at_its_old_place(store, folder, then):
    add(store, "c1")
    moved = folder.rename(folder.with_name("moved"))
    if then == "another":
        shutil.copytree(moved, folder)
    elif then == "file":
        folder.write_text("")
    with pytest.raises(PunctumError) as error:
        add(store, "c2")
    assert (error.value.code, error.value.exit_code) == ("label-gone", 1)  # it waits in the page
    with pytest.raises(PunctumError):
        store.refresh()
    assert [click["id"] for click in store.state()["clicks"]] == ["c1"]
    assert folder.exists() == (then != "nothing")
    if folder.is_dir():
        shutil.rmtree(folder)
    elif folder.exists():
        folder.unlink()
    moved.rename(folder)
    add(store, "c2")
    assert {click.id for click in read_clicks(folder / "points.csv")} == {"c1", "c2"}


def test_a_link_that_leads_elsewhere_now_is_noticed(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("one")
    store = make(link)
    add(store, "c1")
    link.unlink()
    link.symlink_to("two")
    with pytest.raises(PunctumError, match="another folder now"):
        add(store, "c2")
    store.close()
    assert not list((tmp_path / "two").iterdir())


def test_the_folder_of_a_linked_points_file_is_never_made(folder, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (folder / "points.csv").symlink_to(shared / "points.csv")
    store = make(folder)
    add(store, "c1")
    shared.rename(tmp_path / "unmounted")
    with pytest.raises(PunctumError, match="not there any more"):
        add(store, "c2")
    assert not shared.exists()
    store.close()


def test_training_makes_no_folder_where_the_folder_was(store, folder):
    learner = Learner(store, folder, folder / ".punctum-label")
    folder.rename(folder.with_name("moved"))
    learner.answer("q", None)
    learner.train()
    learner.look()
    learner.close()
    assert not folder.exists()


def test_a_folder_is_known_again_after_it_was_copied(store, folder):
    before = store.identity
    store.close()
    copy = shutil.copytree(folder, folder.with_name("copy"))
    other = make(copy)
    assert other.identity != before  # both may be there
    assert other.origin == store.origin
    other.close()
    shutil.rmtree(folder)
    copy.rename(folder)
    again = make(folder)
    assert again.identity == before
    again.close()
    shutil.rmtree(folder)
    folder.mkdir()
    other = make(folder)
    assert other.identity != before
    other.close()


@pytest.mark.parametrize("text", [None, HEAD, HEAD + "close,b,5,x\n"], ids=["removed", "emptied", "replaced"])
def test_clicks_that_another_program_removes_are_kept_in_a_copy(store, folder, text):
    add(store, "c1")
    add(store, "c2", time_s=2.0)
    if text is None:
        store.points_file.unlink()
    else:
        store.points_file.write_text(text)
    assert store.refresh()
    (notice,) = store.state()["notices"]
    assert "points.csv was" in notice
    assert "2 clicks gone" in notice
    (copy,) = (folder / ".punctum-label" / "before").iterdir()
    assert str(copy) in notice
    assert {click.id for click in read_clicks(copy)} == {"c1", "c2"}
    add(store, "c3")
    store.points_file.unlink()
    add(store, "c4")
    assert len(store.notices) == 2  # the first copy stays
    assert {click.id for click in read_clicks(copy)} == {"c1", "c2"}


def test_a_deletion_that_is_completed_later_is_no_loss(store, monkeypatch):
    add(store, "c1")
    change(store, "confirm", id="c1", value=True)
    real = together.atomic_write

    def full(path: Any, data: Any, **more: Any) -> None:
        if Path(path).name == "points.csv":
            raise PunctumError("write-failed", "no space")
        real(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr(together, "atomic_write", full)
        with pytest.raises(PunctumError):
            change(store, "delete", id="c1")
    assert store.refresh()
    assert store.clicks == {}
    assert store.notices == []


def test_rows_without_an_id_that_another_program_edits_are_not_gone(tmp_path):
    (tmp_path / "points.csv").write_text("class,video_id,time_s\nopen,a,1\nopen,b,2\n")
    store = make(tmp_path)
    (tmp_path / "points.csv").write_text("class,video_id,time_s\nopen,a,1.5\nopen,b,2\nclose,b,3\n")
    assert store.refresh()
    assert store.notices == []
    store.close()


def test_a_span_that_another_program_removes_is_kept_in_a_copy(store, folder):
    change(store, "background", id="n1", video="a", start_s=1.0, end_s=2.0)
    store.background_file.unlink()
    store.refresh()
    assert "background.csv was removed by another program: 1 span gone" in store.notices[0]
    assert "n1" in (folder / ".punctum-label" / "before" / "background.csv").read_text()


@pytest.mark.parametrize("op", ["add", "rename"])
def test_what_another_program_writes_during_a_save_is_kept(store, folder, monkeypatch, op):
    """It writes after the new content is on the disk, and before it has its name."""
    add(store, "c1")
    real, left = atomic.os.fsync, [True]

    def slow(handle: int) -> None:
        real(handle)
        if (
            left
            and stat.S_ISREG(os.fstat(handle).st_mode)
            and "points.csv" in str(Path(f"/proc/self/fd/{handle}").readlink())
        ):
            left.clear()
            with store.points_file.open("a") as stream:
                stream.write("close,b,7,,,ben,,mine,\n")

    monkeypatch.setattr(atomic.os, "fsync", slow)
    if op == "add":
        event = add(store, "c2", time_s=2.0)
        expected = {("c1", "open"), ("c2", "open"), ("mine", "close")}
    else:
        event = change(store, "rename", label="open", to="opening")
        expected = {("c1", "opening"), ("mine", "close")}
    assert not left
    assert event["reload"]
    assert {(click.id, click.label) for click in read_clicks(store.points_file)} == expected
    assert {(click.id, click.label) for click in store.clicks.values()} == expected
    assert json.loads((folder / "labeling.json").read_text())["classes"][0] == ("open" if op == "add" else "opening")
    assert not (folder / ".labeling-change.json").exists()


def test_a_program_that_never_stops_writing_is_named(store, monkeypatch):
    add(store, "c1")
    real = atomic.os.fsync

    def slow(handle: int) -> None:
        real(handle)
        with store.points_file.open("a") as stream:
            stream.write("close,b,7,,,ben,,,\n")

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", slow)
        with pytest.raises(PunctumError, match="Another program is writing") as error:
            add(store, "c2")
    assert not isinstance(error.value, InputError)
    add(store, "c2")
    assert {"c1", "c2"} <= {click.id for click in read_clicks(store.points_file)}


def test_everybody_who_may_write_to_the_folder_may_label_it(folder):
    before = os.umask(0o002)
    try:
        make(folder).close()
    finally:
        os.umask(before)
    for path in (folder / ".punctum-label").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o664, path


def test_two_folders_with_one_points_file(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    store = make(folder)
    add(store, "c1")
    (other / "points.csv").symlink_to(folder / "points.csv")
    with pytest.raises(InputError) as error:
        make(other)
    assert error.value.code == "label-running"
    store.close()
    second = make(other)
    with pytest.raises(InputError):
        make(folder)
    second.close()


@pytest.mark.parametrize(
    "name",
    [
        *("points.csv", "labeling.json", "background.csv", ".labeling-change.json"),
        *(".punctum-label/id", ".punctum-label/lock"),
    ],
)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_refused(folder, name, kind):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/full")
    else:
        path.mkdir()
    with pytest.raises(InputError) as error:
        make(folder)
    assert error.value.code == "file-special"
    assert name in error.value.given


def test_a_points_file_that_becomes_a_pipe_is_refused(store):
    add(store, "c1")
    store.points_file.unlink()
    os.mkfifo(store.points_file)
    with pytest.raises(PunctumError, match="a named pipe"):
        add(store, "c2")


def test_a_loop_of_links_is_named(folder):
    (folder / "points.csv").symlink_to("points.csv")
    with pytest.raises(InputError, match="loop of symbolic links"):
        make(folder)
