"""Videos that change, never answer, or are asked for by many windows at once."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("starlette", reason="starlette is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.labeling import server
from punctum.runtime.labeling.folder import open_folder
from punctum.runtime.labeling.library import Library
from punctum.runtime.labeling.media import video_id

from tests.helpers.labeling import LabelServer
from tests.helpers.video_corpus import encode
from tests.runtime.test_labeling_server import Site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "videos"
    place.mkdir()
    for name in "ab":
        encode(place / f"{name}.mp4", 20)
    return place


def test_the_rest_of_a_video_comes_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that a browser holds open takes one of its few connections, and clicks could not be saved."""
    monkeypatch.setattr(server, "_PART", 99)
    site = Site(folder)
    ident, data = video_id(folder / "a.mp4"), (folder / "a.mp4").read_bytes()
    site.post(f"/api/videos/{ident}/open")
    got = b""
    while len(got) < len(data):
        part = site.get(f"/media/{ident}/video", range=f"bytes={len(got)}-")
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", part.headers["content-range"])
        assert part.status == 206 and match is not None
        assert (int(match[1]), int(match[3])) == (len(got), len(data))
        assert 0 < len(part.body) <= 100
        got += part.body
    assert got == data
    assert len(site.get(f"/media/{ident}/video", range="bytes=10-500").body) == 100
    assert site.get(f"/media/{ident}/video", range="bytes=-50").body == data[-50:]
    assert site.get(f"/media/{ident}/video", range=f"bytes={len(data)}-").status == 416
    site.opened.store.close()


def test_a_pipe_in_place_of_a_video_holds_nothing_up(folder: Path) -> None:
    opened = open_folder(folder, classes=["x"])
    library = Library(opened.videos, folder / "work", notify=lambda event: None)
    (folder / "a.mp4").unlink()
    os.mkfifo(folder / "a.mp4")
    library.start()
    pipe = library.open(video_id(folder / "a.mp4"))
    other = library.open(video_id(folder / "b.mp4"))
    assert pipe is not None and other is not None and other.state == "direct"
    end = time.monotonic() + 20
    while pipe.state != "failed" and time.monotonic() < end:
        time.sleep(0.02)
    assert (pipe.state, pipe.why) == ("failed", "it is a named pipe")
    library.close()
    opened.store.close()


def test_a_video_that_never_answers_holds_up_no_other(folder: Path) -> None:
    opened = open_folder(folder, classes=["x"])
    library = Library(opened.videos, folder / "work", notify=lambda event: None)
    slow = library.videos[video_id(folder / "a.mp4")]
    with slow.busy:  # as while its drive is read
        other = library.open(video_id(folder / "b.mp4"))
    assert other is not None and other.state == "direct"
    opened.store.close()


def test_another_video_of_the_same_name_has_other_thumbnails(folder: Path) -> None:
    site = Site(folder)
    ident = video_id(folder / "a.mp4")
    before = json.loads(site.post(f"/api/videos/{ident}/open").body)["version"]
    assert json.loads(site.post(f"/api/videos/{ident}/open").body)["version"] == before != ""
    encode(folder / "a.mp4", 30)
    assert json.loads(site.post(f"/api/videos/{ident}/open").body)["version"] != before
    site.opened.store.close()


def test_connections_without_a_request_hold_nothing_up(folder: Path) -> None:
    """They need no token, and would take the files that saving needs."""
    served = LabelServer(folder, "--classes", "x", "--train-after", "0", port=0)
    served.start()
    assert served.port is not None and served.process is not None
    idle = [socket.create_connection(("127.0.0.1", served.port), timeout=5) for _ in range(150)]
    for one in idle:
        try:
            one.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        except OSError:  # closed for a newer one
            continue
    end = time.monotonic() + 10
    while (held := len([*Path(f"/proc/{served.process.pid}/fd").iterdir()])) > 100 and time.monotonic() < end:
        time.sleep(0.05)
    assert held <= 100
    for one in idle:
        one.close()
    assert served.stop() == 0


def test_names_that_lists_cannot_tell_apart(folder: Path) -> None:
    encode(folder / "a.mov.mp4", 5)
    with pytest.raises(InputError, match="without file endings they have one name"):
        open_folder(folder, classes=["x"])


def test_training_and_export_say_why_they_do_not_begin(folder: Path) -> None:
    site = Site(folder)
    answer = site.post("/api/train")
    assert (answer.status, "at least" in answer.body.decode()) == (400, True)
    (folder / "bundle").mkdir()
    (folder / "bundle" / "notes.txt").write_text("mine")
    assert "contains other files" in site.learner._exports.begin("run-0", 1, 0.5)
    site.opened.store.close()
