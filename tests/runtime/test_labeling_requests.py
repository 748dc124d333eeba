"""Requests to `punctum label` that are for another folder, come at a bad moment, or that no page sends."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("av", reason="PyAV is not installed")
from punctum.runtime.labeling.library import Library
from punctum.runtime.labeling.media import video_id

from tests.helpers.asgi import ask
from tests.helpers.video_corpus import encode
from tests.runtime.test_labeling_server import HOST, Site


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("requests") / "my-videos"
    place.mkdir()
    encode(place / "plain.mp4", 50)
    return place


@pytest.fixture
def site(folder: Path):
    made = Site(folder)
    yield made
    made.opened.store.close()
    (folder / "points.csv").unlink(missing_ok=True)


CLICK = {"op": "add", "annotator": "ann", "id": "c1", "label": "open", "video": "plain", "time_s": 1.0}


@pytest.mark.parametrize("folder_id", ["0123456789abcdef", None, 3, ""])
def test_a_change_for_another_folder_is_refused(site, folder_id):
    answer = site.post("/api/change", {**CLICK, "folder": folder_id})
    record = json.loads(answer.body)
    assert (answer.status, record["code"], record["saved"]) == (409, "label-folder", False)
    assert str(site.opened.folder) in record["error"]
    assert site.opened.store.clicks == {}


def test_a_page_of_another_folder_gets_nothing(site, folder):
    ident = video_id(folder / "plain.mp4")
    site.post(f"/api/videos/{ident}/open")
    for path in ("/api/state", "/api/events", "/api/questions", f"/media/{ident}/video", f"/media/{ident}/thumbnail/0"):
        assert site.get(f"{path}?folder=0123456789abcdef").status == 409
        assert site.get(path, x_folder="0123456789abcdef").status == 409
    assert site.post("/api/train", {}, **{"x-folder": "0123456789abcdef"}).status == 409
    own = site.opened.store.identity
    assert site.get("/api/state", x_folder=own).status == 200
    assert json.loads(site.get("/api/state").body)["folder"] == own
    assert own in site.app.cookie


def test_without_the_token_no_folder_is_named(site):
    answer = ask(site.app, "/api/state", headers={"host": HOST, "x-folder": "0123456789abcdef"})
    assert answer.status == 403
    assert str(site.opened.folder).encode() not in answer.body


def test_a_change_waits_while_another_program_writes(site, folder):
    (folder / "points.csv").write_text("class,vid")
    answer = site.post("/api/change", CLICK)
    record = json.loads(answer.body)
    assert (answer.status, record["saved"]) == (503, False)
    assert "points.csv" in record["error"]
    (folder / "points.csv").write_text("class,video_id,time_s\nclose,plain,0.5\n")
    assert site.post("/api/change", CLICK).status == 200
    assert len(site.opened.store.clicks) == 2


def test_a_column_that_appears_twice_is_an_error_of_the_file(site, folder):
    (folder / "points.csv").write_text("class,video_id,time_s,note,note\nclose,plain,0.5,a,b\n")
    assert site.post("/api/change", CLICK).status == 503
    assert site.get("/api/state").status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"op": []},
        {"op": {}},
        {**CLICK, "time_s": 10**400},
        {**CLICK, "key": ["x"]},
        {**CLICK, "key": "x" * 65},
        {**CLICK, "label": ["open"]},
        {**CLICK, "video": "\ud800"},
        {"op": "undo", "annotator": "ann"},
        {"op": "undo", "annotator": "ann", "restore": []},
        {"op": "edit", "annotator": "ann", "id": "c1", "was": {"label": "open", "time_s": 10**400, "note": ""}},
    ],
)
def test_changes_that_cannot_be_are_answered(site, body):
    assert site.post("/api/change", body).status in (400, 409)


def test_a_click_far_beyond_the_end_is_refused(site, folder):
    assert site.post("/api/change", {**CLICK, "id": "early", "time_s": 9000.0}).status == 200  # its end is not known
    site.post(f"/api/videos/{video_id(folder / 'plain.mp4')}/open")
    answer = site.post("/api/change", {**CLICK, "time_s": 9000.0})
    assert (answer.status, "ends at 2.0 s" in json.loads(answer.body)["error"]) == (400, True)
    was = {"label": "open", "time_s": 9000.0, "note": ""}
    edit = {"op": "edit", "annotator": "ann", "id": "early", "was": was, "time_s": 8000.0}
    assert site.post("/api/change", edit).status == 400
    assert site.post("/api/change", {**edit, "time_s": 1.0}).status == 200


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "x", "\u0661", "1.0", "99999999"])
def test_thumbnails_that_cannot_be_are_not_found(site, folder, number):
    ident = video_id(folder / "plain.mp4")
    assert site.get(f"/media/{ident}/thumbnail/{number}").status == 404


def test_a_folder_whose_name_is_not_utf_8_can_be_labeled(tmp_path):
    place = tmp_path / os.fsdecode(b"caf\xe9")
    place.mkdir()
    (place / "v.mp4").write_bytes(b"x")
    site = Site(place)
    record = json.loads(site.get("/api/state").body)
    assert record["place"].endswith("caf\\xe9")
    assert "caf\\xe9" in record["learning"]["bundle"]
    site.opened.store.close()


def test_a_video_that_is_replaced_or_removed_is_looked_at_again(tmp_path):
    encode(tmp_path / "v.mp4", 10)
    site = Site(tmp_path)
    ident = video_id(tmp_path / "v.mp4")
    assert json.loads(site.post(f"/api/videos/{ident}/open").body)["state"] == "direct"
    (tmp_path / "v.mp4").write_bytes(b"no video")
    assert json.loads(site.post(f"/api/videos/{ident}/open").body)["state"] == "waiting"
    encode(tmp_path / "v.mp4", 20)
    assert json.loads(site.post(f"/api/videos/{ident}/open").body)["state"] == "direct"
    (tmp_path / "v.mp4").unlink()
    assert site.get(f"/media/{ident}/video").status == 404
    assert site.library.videos[ident].state == "waiting"
    site.opened.store.close()


def test_conversion_goes_on_after_a_folder_that_cannot_be_made(tmp_path):
    encode(tmp_path / "v.avi", 10, codec="mpeg4")
    (tmp_path / "w").mkdir()
    shutil.copy(tmp_path / "v.avi", tmp_path / "w.avi")
    work = tmp_path / "w"
    (work / "converted").write_text("in the way")
    library = Library([tmp_path / "v.avi", tmp_path / "w.avi"], work, notify=lambda event: None)
    library.start()
    try:

        def wait(state: str) -> None:
            end = time.monotonic() + 20
            while {video.state for video in library.videos.values()} != {state}:
                assert time.monotonic() < end, library.videos
                time.sleep(0.02)

        wait("failed")
        (work / "converted").unlink()
        for ident in library.videos:
            library.open(ident)
        wait("ready")
        shutil.rmtree(work)
        for ident in library.videos:
            library.lost(ident)
        wait("ready")
    finally:
        library.close()


def test_a_large_row_can_be_restored(site):
    """What the server itself sent with a deletion, it takes back."""
    restore = {"click": [{"note": "x" * 200_000}, None]}
    answer = site.post("/api/change", {"op": "undo", "annotator": "ann", "restore": restore})
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "label-change")  # read, and no click
    assert site.post("/api/skip", {"key": "x" * 100_000}).status == 413
