"""From a folder of videos and clicks to a bundle, stopped and continued at every stage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from punctum.runtime import Dataset, InputError
from punctum.training import recipes
from punctum.training.config import TrainConfig

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from punctum.export.exporter import OnnxExporter
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.datasets.labeled import RECORD, SCHEMA
from punctum.training import videos
from punctum.training.backbone.config import BackboneConfig
from punctum.training.videos import train_on_videos

from .clips import make_videos


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("clips") / "data")


@pytest.fixture
def backbone() -> BackboneConfig:
    optim = {"steps": 5, "rate": 2e-3}
    return BackboneConfig.model_validate(
        {
            "start": "random",
            "height": 24,
            "width": 32,
            "channels": 4,
            "dim": 16,
            "window": 16,
            "batch": 2,
            "optim": optim,
        }
    )


@pytest.mark.slow
def test_all_stages_stopped_and_continued_give_the_same_bundle(
    clips: Path, tmp_path: Path, small: TrainConfig, backbone: BackboneConfig, monkeypatch: pytest.MonkeyPatch
):
    data, run = Dataset.open(clips, need_features=False), tmp_path / "run"
    exporter = OnnxExporter()
    for place, stage in ((videos, "make_features"), (videos, "load_training_set"), (exporter, "export_bundle")):
        with monkeypatch.context() as patch:
            patch.setattr(place, stage, _killed)
            with pytest.raises(KeyboardInterrupt):
                train_on_videos(data, small, backbone, run, exporter=exporter, resume=run.exists(), quiet=True)
        assert not (run / "bundle").exists()
    with pytest.raises(InputError, match="`resume=True`"):
        train_on_videos(data, small, backbone, run, exporter=exporter, quiet=True)
    parts = train_on_videos(data, small, backbone, run, exporter=exporter, resume=True, quiet=True)
    with monkeypatch.context() as patch:  # nothing is left to do
        patch.setattr(exporter, "export_bundle", _killed)
        again = train_on_videos(data, small, backbone, run, exporter=exporter, resume=True, quiet=True)
    whole = train_on_videos(data, small, backbone, tmp_path / "whole", exporter=exporter, quiet=True)
    assert parts["bundle"] == again["bundle"] == whole["bundle"]
    assert (run / "data" / "features" / "v0.npy").is_file() and not (run / "data" / "features" / "v5.npy").exists()
    ready = Dataset.open(run / "data")  # an ordinary data set, for trying other recipes
    assert ready.train == data.train
    for video, points in data.points().items():
        assert [p.time_s for p in ready.points()[video]] == pytest.approx([p.time_s for p in points])

    # The bundle takes videos: judged on the data set of videos, and run on one of them.
    assert invoke(["eval", str(run / "bundle"), str(clips), "--json"]) == 0
    assert invoke(["eval", str(run / "bundle"), str(clips), "--online", "--max-delay", "1", "--json"]) == 0
    events = tmp_path / "events.jsonl"
    assert invoke(["run", str(run / "bundle"), str(clips / "videos" / "v5.mp4"), "--out", str(events)]) == 0
    assert events.is_file()


@pytest.mark.slow
def test_a_folder_of_videos_and_clicks_is_enough(
    clips: Path, tmp_path: Path, small: TrainConfig, backbone: BackboneConfig
):
    """The same videos and clicks without dataset.json and lists, as `punctum label` leaves them."""
    folder = tmp_path / "my-videos"
    shutil.copytree(clips / "videos", folder)
    shutil.copy(clips / "points.csv", folder)
    marks = {"schema": SCHEMA, "nothing": {"v5": {"ann": "now"}}, "classes": ["slide", "unused"]}
    (folder / RECORD).write_text(json.dumps(marks))
    data = Dataset.open(folder, need_features=False)
    assert (data.train, data.unlabeled) == (("v0", "v1", "v2", "v3", "v4", "v5"), 1)
    summary = train_on_videos(data, small, backbone, tmp_path / "run", exporter=OnnxExporter(), quiet=True)
    assert summary["locator"]["videos"] == 6
    assert summary["bundle"].startswith("my-videos-")
    manifest = json.loads((tmp_path / "run" / "bundle" / "manifest.json").read_text())
    assert sorted(manifest["labels"]) == sorted(Dataset.open(clips, need_features=False).labels)
    assert (tmp_path / "run" / "data" / "features" / "v5.npy").is_file()
    assert not (tmp_path / "run" / "data" / "features" / "v6.npy").exists()
    assert check_dataset(folder).errors == []


def _killed(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_another_folder_is_left_alone(clips: Path, tmp_path: Path, small: TrainConfig, backbone: BackboneConfig):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="other files"):
        data = Dataset.open(clips, need_features=False)
        train_on_videos(data, small, backbone, tmp_path, exporter=OnnxExporter(), quiet=True)


def test_a_run_that_was_killed_while_it_wrote_its_bundle_can_be_discarded(
    clips: Path, tmp_path: Path, small: TrainConfig, backbone: BackboneConfig, monkeypatch: pytest.MonkeyPatch
):
    for name in ("backbone", ".bundle.0123abcd", ".bundle.old.0123abcd/bundle"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(videos, "dataset_footage", _killed)
    data = Dataset.open(clips, need_features=False)
    with pytest.raises(KeyboardInterrupt):
        train_on_videos(data, small, backbone, tmp_path, exporter=OnnxExporter(), quiet=True, fresh=True)
    assert not list(tmp_path.iterdir())


def test_command_line_refusals(clips: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = str(tmp_path / "out")
    for arguments, word in (
        (["train", str(clips), "--out", out, "--proposals", "p.json"], "--proposals"),
        (["train", str(toy), "--out", out, "--minutes", "1"], "--minutes"),
        (["train", str(clips), "--out", out, "--minutes", "-1"], "--minutes"),
        (["train", str(clips), "--out", out, "--backbone", str(tmp_path / "none")], "backbone.json"),
    ):
        assert invoke(arguments) == 2
        assert word in capsys.readouterr().err


def test_few_clicks_get_a_small_recipe():
    few, many = recipes.for_videos(20), recipes.for_videos(1000)
    assert len(few.networks) == 1 and len(many.networks) == len(TrainConfig().networks)
    assert all(n.objective.edge_background == "before" for n in many.networks)
    assert json.loads(few.model_dump_json())["objective"]["edge_background"] == "before"
