"""Commands for clips and pictures: answered once each, in time, with a reason where there is no file."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.site.media import camera as module
from punctum.runtime.site.media.camera import MOST_WAITING, CameraMedia, Settings
from punctum.runtime.site.media.pictures import Kept, decode_jpeg

from tests.helpers import site_media as helper
from tests.helpers import video_corpus as corpus


class Made:
    """A CameraMedia and its answers."""

    def __init__(self, **settings: Any) -> None:
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.media = CameraMedia(Settings(**settings), self.answers.put)

    def answer(self, limit_s: float = 10.0) -> dict[str, Any]:
        return self.answers.get(timeout=limit_s)

    def ask(self, **header: Any) -> dict[str, Any]:
        refused = self.media.handle({"request": 1, **header})
        return self.answer() if refused is None else refused


@pytest.fixture
def made() -> Iterator[Made]:
    one = Made()
    yield one
    one.media.close()


def test_waits_for_the_end_of_the_clip(made: Made, tmp_path: Path) -> None:
    path = corpus.encode(tmp_path / "a.mp4", 100)
    helper.read(path, made.media.ring)
    assert (
        made.media.handle({"type": "clip", "request": 3, "start_s": 3.0, "end_s": 5.0, "path": f"{tmp_path}/c.mp4"})
        is None
    )
    with pytest.raises(queue.Empty):
        made.answers.get(timeout=0.3)
    helper.read(path, made.media.ring, start_s=4.0)
    answer = made.answer()
    assert answer["ok"] and answer["request"] == 3 and answer["why"] == "" and answer["end_s"] >= 5.0
    assert answer["bytes"] == Path(answer["path"]).stat().st_size


def test_does_not_wait_for_ever(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_S", 0.2)
    helper.read(corpus.encode(tmp_path / "a.mp4", 50), made.media.ring)
    answer = made.ask(type="clip", start_s=1.0, end_s=2.3, path=f"{tmp_path}/c.mp4")
    assert answer["ok"] and "no later video has arrived" in answer["why"]


@pytest.mark.parametrize("how", ["end", "close"])
def test_the_end_of_the_source_ends_the_waiting(made: Made, how: str, tmp_path: Path) -> None:
    helper.read(corpus.encode(tmp_path / "a.mp4", 50), made.media.ring)
    for k in range(3):
        made.media.handle({"type": "clip", "request": k, "start_s": 1.0, "end_s": 600.0, "path": f"{tmp_path}/{k}.mp4"})
    getattr(made.media, how)()
    assert [made.answer()["request"] for _ in range(3)] == [0, 1, 2]
    if how == "close":
        made.media.close()
        late = made.ask(type="live_picture", path=f"{tmp_path}/l.jpg")
        assert not late["ok"] and "stopped" in late["why"]


def test_a_clip_that_waits_holds_up_no_other(made: Made, tmp_path: Path) -> None:
    helper.read(corpus.encode(tmp_path / "a.mp4", 50), made.media.ring)
    made.media.handle({"type": "clip", "request": 1, "start_s": 1.0, "end_s": 60.0, "path": f"{tmp_path}/1.mp4"})
    made.media.handle({"type": "clip", "request": 2, "start_s": 0.5, "end_s": 1.5, "path": f"{tmp_path}/2.mp4"})
    assert made.answer()["request"] == 2


def test_refuses_beyond_the_bound(made: Made, tmp_path: Path) -> None:
    headers = [
        {"type": "clip", "request": k, "start_s": 1.0, "end_s": 2.0, "path": f"{tmp_path}/{k}.mp4"}
        for k in range(MOST_WAITING + 2)
    ]
    refused = [answer for header in headers if (answer := made.media.handle(header)) is not None]
    assert [answer["request"] for answer in refused] == [MOST_WAITING, MOST_WAITING + 1]
    assert "waiting already" in refused[0]["why"] and made.media.stats()["media_refused"] == 2
    made.media.close()
    answers = [made.answer() for _ in range(MOST_WAITING)]
    assert all(not answer["ok"] and answer["why"].startswith("no clip: ") for answer in answers)


BAD: list[dict[str, Any]] = [
    {"type": "clip"},
    {"type": "clip", "start_s": 0, "end_s": 1},
    {"type": "clip", "start_s": float("nan"), "end_s": 1, "path": "x"},
    {"type": "clip", "start_s": 0, "end_s": float("inf"), "path": "x"},
    {"type": "clip", "start_s": 2, "end_s": 1, "path": "x"},
    {"type": "clip", "start_s": 0, "end_s": 1e9, "path": "x"},
    {"type": "clip", "start_s": None, "end_s": 1, "path": "x"},
    {"type": "picture", "at_s": "soon", "path": "x"},
    {"type": "picture", "at_s": 1.0, "path": 7},
    {"type": "picture", "at_s": 1.0, "path": "x", "width": -4},
    {"type": "live_picture", "path": ""},
    {"type": "film", "path": "x"},
]


@pytest.mark.parametrize("header", BAD)
def test_bad_commands_are_answered(made: Made, header: dict[str, Any]) -> None:
    answer = made.media.handle(header)
    assert answer is not None and not answer["ok"] and answer["path"] is None and "cannot be read" in answer["why"]


def test_a_file_that_cannot_be_written(made: Made, tmp_path: Path) -> None:
    helper.read(corpus.encode(tmp_path / "a.mp4", 30), made.media.ring)
    made.media.offer_frame(np.zeros((96, 128, 3), np.uint8), 1.0, 1.0)
    for header in (
        {"type": "clip", "start_s": 0.2, "end_s": 0.8},
        {"type": "picture", "at_s": 0.5},
        {"type": "live_picture"},
    ):
        answer = made.ask(**header, path=str(tmp_path / "missing" / "x"))
        assert not answer["ok"] and "cannot be written" in answer["why"]


def test_source_without_packets_has_pictures_but_no_clips(made: Made, tmp_path: Path) -> None:
    nothing = made.ask(type="live_picture", path=f"{tmp_path}/l.jpg")
    assert not nothing["ok"] and "none yet" in nothing["why"]
    for k in range(60):
        made.media.offer_frame(corpus.picture(k), k / 10, 1.0)
        while made.media._to_keep is not None:
            time.sleep(0.002)
    clip = made.ask(type="clip", start_s=1.0, end_s=2.0, path=f"{tmp_path}/c.mp4")
    assert clip["why"] == "no clip: the source delivers no compressed video"
    picture = made.ask(type="picture", at_s=3.05, path=f"{tmp_path}/p.jpg", width=64)
    image = decode_jpeg(Path(picture["path"]).read_bytes())
    assert image.shape == (48, 64, 3) and picture["start_s"] == 3.0 and corpus.number(image) == 30
    far = made.ask(type="picture", at_s=-30.0, path=f"{tmp_path}/q.jpg")
    assert not far["ok"] and far["why"].startswith("no picture: ")
    live = made.ask(type="live_picture", path=f"{tmp_path}/l.jpg")
    assert corpus.number(decode_jpeg(Path(live["path"]).read_bytes())) == 59


def test_what_is_switched_off_is_refused(tmp_path: Path) -> None:
    made = Made(clips=False, pictures=False)
    assert made.media.tap() is None
    assert "`clips` is off" in made.ask(type="clip", start_s=0, end_s=1, path="x")["why"]
    assert "`pictures` is off" in made.ask(type="picture", at_s=0, path="x")["why"]
    made.media.close()


def test_ends_where_the_supervisor_has_gone(tmp_path: Path) -> None:
    def send(header: dict[str, Any]) -> None:
        raise BrokenPipeError

    media = CameraMedia(Settings(), send)
    media.offer_frame(np.zeros((96, 128, 3), np.uint8), 1.0, 1.0)
    media.handle({"type": "live_picture", "path": f"{tmp_path}/l.jpg"})
    began = time.monotonic()
    media.close()
    assert time.monotonic() - began < 10 and not any(t.name == "punctum-media" for t in threading.enumerate())


def test_kept_pictures_are_bounded() -> None:
    kept = Kept(seconds=10.0, megabytes=0.001)
    for k in range(100):
        kept.add(float(k), bytes(100))
    assert kept.nearest(0.0) == (90.0, bytes(100)) and kept.nearest(1e9) == (99.0, bytes(100))
    kept.add(5.0, b"back")
    assert kept.nearest(99.0) == (5.0, b"back")
