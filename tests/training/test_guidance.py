"""A round of training for the labeling page: what it finds, what it keeps, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from punctum.runtime import InputError
from punctum.runtime.datasets.background import FILE as BACKGROUND
from punctum.runtime.labeling.round_result import read_round
from punctum.training.config import TrainConfig
from punctum.training.guidance import guided_recipe, run_round

from tests.helpers.video_corpus import encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos a, b and c with clicks, p labeled in part, u not labeled, and one that cannot be read."""
    place = tmp_path_factory.mktemp("round") / "my-videos"
    place.mkdir()
    for name in "abcpu":
        encode(place / f"{name}.mp4", 150, size=(96, 128))
    (place / "broken.mp4").write_bytes(b"nothing")
    rows = [f"{('open', 'close')[k % 2]},{video},{1 + 2 * k}" for video in "abc" for k in range(2)]
    (place / "points.csv").write_text("class,video_id,time_s\n" + "\n".join([*rows, "open,p,2"]) + "\n")
    (place / BACKGROUND).write_text("video_id,start_s,end_s,class\na,4,5,open\np,4,5,\n")
    (place / "labeling.json").write_text(json.dumps({"schema": "punctum.labeling/1", "partly": {"p": {"ann": "now"}}}))
    return place


def test_a_round_finds_events_everywhere_and_touches_no_label(folder: Path, tmp_path: Path):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    messages: list[dict[str, Any]] = []
    steps = {"locator_steps": 3, "center_steps": 3}
    found = run_round(folder, tmp_path / "work", state="a" * 20, send=messages.append, **steps)
    assert read_round(tmp_path / "work") is not None
    assert {name: video.held_out for name, video in found.videos.items()} == {
        **dict.fromkeys("abc", True),
        **dict.fromkeys("pu", False),
    }
    assert found.videos["a"].duration_s == pytest.approx(6.0, abs=0.3)
    assert (found.round, found.clicks, found.labels) == (1, 7, ("close", "open"))
    assert next(m["problem"] for m in messages if "problem" in m).startswith("broken.mp4 is left out")
    assert {m["stage"] for m in messages if "stage" in m} == {"features", "training", "other videos"}
    assert sum("result" in m for m in messages) == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    # the next round reads no video again, and the run before is kept for an export that is under way
    messages.clear()
    (tmp_path / "work" / "run-of-mine").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    (tmp_path / "work" / ("run-" + "d" * 16)).symlink_to(tmp_path / "mine")
    again = run_round(folder, tmp_path / "work", state="b" * 20, send=messages.append, **steps)
    assert again.round == 2
    assert not any(m.get("stage") == "features" for m in messages)
    others = ["run-" + "d" * 16, "run-of-mine"]  # of somebody else
    assert sorted(p.name for p in (tmp_path / "work").glob("run-*")) == ["run-" + "a" * 16, "run-" + "b" * 16, *others]
    run_round(folder, tmp_path / "work", state="c" * 20, **steps)
    assert sorted(p.name for p in (tmp_path / "work").glob("run-*")) == ["run-" + "b" * 16, "run-" + "c" * 16, *others]
    assert (tmp_path / "mine" / "notes.txt").exists()


def test_a_click_that_lies_outside_its_video_is_an_error_in_words(folder: Path, tmp_path: Path):
    (folder / "late.csv").write_text("class,video_id,time_s\nopen,a,1\nopen,b,99\n")
    try:
        with pytest.raises(InputError) as error:
            run_round(folder, tmp_path / "work", state="a" * 20, points="late.csv")
    finally:
        (folder / "late.csv").unlink()
    assert error.value.code == "point-outside-video"
    assert read_round(tmp_path / "work") is None


def test_a_learning_folder_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path):
    own = tmp_path / "mine" / ("run-" + "e" * 16)
    own.mkdir(parents=True)
    (tmp_path / "work").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="symbolic link") as error:
        run_round(folder, tmp_path / "work", state="a" * 20)
    assert error.value.code == "label-learning"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [own.name]


def test_labeled_videos_that_cannot_be_read_are_said_to_be(folder: Path, tmp_path: Path):
    (folder / "broken.csv").write_text("class,video_id,time_s\nopen,broken,1\n")
    messages: list[dict[str, Any]] = []
    try:
        with pytest.raises(InputError, match=r"None of the 1 video with clicks .* can be read") as error:
            run_round(folder, tmp_path / "work", state="a" * 20, points="broken.csv", send=messages.append)
    finally:
        (folder / "broken.csv").unlink()
    assert error.value.code == "label-unreadable"
    assert any(m.get("problem", "").startswith("broken.mp4 is left out") for m in messages)


def test_the_recipe_is_small():
    recipe = guided_recipe(30)
    assert recipe.partners == ()
    assert recipe.locator_optim.steps is not None
    assert recipe.center_optim.steps is not None
    assert recipe.locator == TrainConfig().locator
    assert recipe.locator_optim.least_steps == 1
