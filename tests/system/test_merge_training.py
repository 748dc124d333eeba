"""Reviews of two cameras and two folders that were labeled by hand become one data set, which training takes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from punctum.runtime import Dataset
from punctum.runtime.cli import invoke
from punctum.runtime.diagnosis.held_out import FILE as HELD_OUT
from punctum.runtime.site.store.rows import Review
from punctum.runtime.site.store.store import Store

from tests.helpers.site import event
from tests.training import clips

pytestmark = pytest.mark.slow
LATE_S = 100.0  # media time of the start of each clip


def review(store: Store, camera: str, number: int, verdict: str | None = None, **fields: object) -> None:
    """An event of a camera with its clip, and what a person says about it."""
    images, actions = clips.frames(100 + number)
    label, start, end = actions[0]
    path = store.folder / "media" / camera / f"{number}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    clips.write_video(path, images)
    ident = f"{camera}/{label}/{number}"
    shown = event(number, stream=camera, label=label, start=LATE_S + start, end=LATE_S + end)
    store.add(camera, "default", [replace(shown, id=ident)], [], 1.0)
    store.add_media(camera, ident, "clip", str(path), path.stat().st_size, LATE_S, LATE_S + clips.SECONDS)
    if verdict is not None:
        store.review(camera, ident, Review(verdict, by="ann", unix=1777700000.0 + number, **fields))  # type: ignore[arg-type]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "state") as store:
        for number in (0, 1, 2):
            review(store, "hall", number, "right")
        review(store, "yard", 4, "wrong")
        review(store, "yard", 5, "wrong")
    return tmp_path / "state" / "reviews"


@pytest.fixture
def labeled(tmp_path: Path) -> list[Path]:
    """Two folders as `punctum label` leaves them: videos and clicks, without lists."""
    made = clips.make_videos(tmp_path / "made", train=6, test=0)
    lines = (made / "points.csv").read_text().splitlines()
    folders = []
    for name, some in (("garage", ("v0", "v1", "v2")), ("shop", ("v3", "v4", "v5"))):
        place = tmp_path / name
        place.mkdir()
        for video in some:
            shutil.copy(made / "videos" / f"{video}.mp4", place)
        rows = [line for line in lines[1:] if line.split(",")[1] in some]
        (place / "points.csv").write_text("\n".join([lines[0], *rows]) + "\n")
        folders.append(place)
    return folders


def test_reviews_and_labeled_folders_are_trained_on_together(reviews, labeled, tmp_path, capsys):
    out, run = tmp_path / "all", tmp_path / "run"
    inputs = [*sorted(reviews.iterdir()), *labeled]
    assert [path.name for path in inputs] == ["hall", "yard", "garage", "shop"]
    assert invoke(["data", "merge", *map(str, inputs), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "hall: 3 videos (3 labeled in part), 3 clicks, 0 background spans" in told.out
    assert "yard: 2 videos (2 labeled in part), 0 clicks, 0 background spans, 2 withheld spans" in told.out
    assert "2 withheld spans became background" in told.out
    assert "4 groups in groups.csv" in told.out
    data = Dataset.open(out, need_features=False)
    assert len(data.train) == 11
    assert len(data.partly()) == 5
    assert sum(map(len, data.background().values())) == 2
    assert invoke(["data", "check", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["errors"], found["summary"]["groups of training videos"]) == (0, 4)
    small = ["--epochs", "1", "--threads", "1", "--augmented-copies", "0"]
    assert invoke(["train", str(out), "--out", str(run), *small]) == 0, capsys.readouterr().err
    assert (run / "bundle" / "manifest.json").is_file()
    videos = json.loads((run / "locator" / HELD_OUT).read_text())["videos"]
    folds = [{videos[name]["fold"] for name in some} for some in (("v0", "v1", "v2"), ("v3", "v4", "v5"))]
    assert sorted(map(len, folds)) == [1, 1], "a folder was not held out as a whole"
    assert folds[0] != folds[1]
    # More reviews, and once more.
    with Store.open(tmp_path / "state") as store:
        review(store, "yard", 6, "right")
    before = (out / "points.csv").read_text().splitlines()
    assert invoke(["data", "merge", *map(str, inputs), "--out", str(out), "--replace"]) == 0
    after = (out / "points.csv").read_text().splitlines()
    assert (len(after), set(before) <= set(after)) == (len(before) + 1, True)
