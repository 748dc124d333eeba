"""`data check` on videos: what opens and decodes, where it ends, and what training would refuse."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from punctum.runtime import Dataset, PunctumError
from punctum.runtime.datasets.check import check_dataset

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

from punctum.training.backbone.config import BackboneConfig
from punctum.training.backbone.footage import dataset_footage
from punctum.training.backbone.train import train_backbone

from .clips import FakeExporter, frames, make_videos, write_video

RECIPE = BackboneConfig.model_validate(
    {"start": "random", "height": 16, "width": 16, "channels": 4, "dim": 8, "window": 8, "batch": 1}
    | {"optim": {"steps": 1}}
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("clips") / "data", train=3, test=1)


def cut(folder: Path, share: float) -> None:
    path = folder / "videos" / "v1.mp4"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def fragment(folder: Path) -> None:
    """Half of a transport stream: its header says nothing of the length."""
    images, _ = frames(1)
    write_video(folder / "videos" / "v1.ts", images)
    (folder / "videos" / "v1.mp4").unlink()
    data = (folder / "videos" / "v1.ts").read_bytes()
    (folder / "videos" / "v1.ts").write_bytes(data[: len(data) // 2])


def click(row: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with (folder / "points.csv").open("a") as stream:
            stream.write(row + "\n")

    return spoil


SPOILT: dict[str, Callable[[Path], object]] = {
    "whole": lambda f: None,
    "empty": lambda f: (f / "videos" / "v1.mp4").write_bytes(b""),
    "text": lambda f: (f / "videos" / "v1.mp4").write_text("hello " * 99),
    "without its index": lambda f: cut(f, 0.9),
    "without anything": lambda f: cut(f, 0.01),
    "gone": lambda f: (f / "videos" / "v1.mp4").unlink(),
    "twice": lambda f: shutil.copy(f / "videos" / "v1.mp4", f / "videos" / "v1.mov"),
    "cut stream": fragment,
    "click beyond": click("slide,v0,99"),
    "click just beyond": click("slide,v0,9.3"),
    "click before": click("slide,v0,-1"),
    "click at the end": click("slide,v0,8.0"),
    "click of no class": click("jump,v0,1"),
    "a file's name in the points": click("slide,v0.mp4,1"),
    "no clicks": lambda f: (f / "points.csv").write_text("class,video_id,time_s\n"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_training_on_videos_refuses_the_check_reports(made, tmp_path, name):
    # What is refused is refused before the export, which takes seconds and has its own tests.
    folder = Path(shutil.copytree(made, tmp_path / "d"))
    SPOILT[name](folder)
    report = check_dataset(folder)
    codes = {f.code for f in report.errors}
    try:
        footage = dataset_footage(Dataset.open(folder, need_features=False))
        train_backbone(footage, RECIPE, tmp_path / "b", exporter=FakeExporter(), quiet=True)
    except PunctumError as error:
        assert error.code in codes, (error.code, codes)
        assert error.exit_code == 2
    else:
        accepted = {"whole", "cut stream", "click at the end", "a file's name in the points"}
        assert (name in accepted) == (not codes), codes


def test_lengths_of_files_and_of_the_truth(made, tmp_path):
    folder = Path(shutil.copytree(made, tmp_path / "d"))
    assert check_dataset(folder).findings == []
    fragment(folder)
    (found,) = [f for f in check_dataset(folder).findings if f.code == "video-duration"]
    assert "v1 lasts 8.00 s" in found.message


def test_a_file_that_breaks_off_is_noticed(made, tmp_path):
    import av

    folder = Path(shutil.copytree(made, tmp_path / "d"))
    path = folder / "videos" / "v1.mkv"
    images, _ = frames(1)
    write_video(path, images)
    (folder / "videos" / "v1.mp4").unlink()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])  # Matroska states the length at the beginning
    with av.open(str(path)) as container:
        assert container.duration > 7e6
    (found,) = [f for f in check_dataset(folder).findings if f.code == "video-truncated"]
    assert found.severity == "warning" and "8.0 s" in found.message
