"""From a folder of videos and clicks to a bundle, stopped and continued at every stage."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from punctum.runtime import Dataset, InputError
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.training import recipes
from punctum.training.config import HiddenLayer, OptimConfig, TrainConfig
from punctum.training.data.videos import load_training_set
from punctum.training.effects import train_fields
from punctum.training.engine.trainer import train_run
from punctum.training.objectives.bank import WindowBank

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from punctum.export.exporter import OnnxExporter
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.datasets.labeled import RECORD, SCHEMA
from punctum.training import videos
from punctum.training.backbone.config import BackboneConfig
from punctum.training.backbone.footage import dataset_footage
from punctum.training.backbone.train import train_backbone
from punctum.training.candidates import Source
from punctum.training.videos import train_on_videos
from torch import nn

from .clips import make_videos


class Exporter(OnnxExporter):
    """Exports backbones with the same weights once: torch takes about ten seconds for each."""

    known: ClassVar[dict[str, dict[str, bytes]]] = {}

    def backbone_files(self, module: nn.Module, spec: BackboneSpec) -> dict[str, bytes]:
        digest = hashlib.sha256(f"{module}{spec.model_dump_json()}".encode())
        for name, value in module.state_dict().items():
            digest.update(name.encode() + value.numpy().tobytes())
        key = digest.hexdigest()
        if key not in self.known:
            self.known[key] = super().backbone_files(module, spec)
        return dict(self.known[key])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("clips") / "data")


@pytest.fixture(autouse=True)
def no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Augmented copies have tests of their own (test_augmented.py); here they would take most of the time."""
    monkeypatch.setattr(recipes, "AUGMENTED_COPIES", 0)


@pytest.fixture
def small(small: TrainConfig) -> TrainConfig:
    """With a scorer whose graph is written, not exported by torch, which takes several seconds a time."""
    assert small.center is not None
    return small.model_copy(update={"center": small.center.model_copy(update={"use_tracks": False})})


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
    exporter = Exporter()
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
    summary = train_on_videos(data, small, backbone, tmp_path / "run", exporter=Exporter(), quiet=True)
    assert summary["locator"]["videos"] == 6
    assert summary["bundle"].startswith("my-videos-")
    manifest = json.loads((tmp_path / "run" / "bundle" / "manifest.json").read_text())
    assert sorted(manifest["labels"]) == sorted(Dataset.open(clips, need_features=False).labels)
    assert (tmp_path / "run" / "data" / "features" / "v5.npy").is_file()
    assert not (tmp_path / "run" / "data" / "features" / "v6.npy").exists()
    assert check_dataset(folder).errors == []


@pytest.mark.slow
def test_several_backbones_are_compared_and_one_is_used(
    clips: Path, tmp_path: Path, small: TrainConfig, backbone: BackboneConfig, monkeypatch: pytest.MonkeyPatch
):
    """Stopped after the comparison and continued; then the same run without a stop."""
    data, exporter = Dataset.open(clips, need_features=False), Exporter()
    train_backbone(dataset_footage(data), backbone, tmp_path / "net", exporter=exporter, quiet=True)
    recipe = small.model_copy(update={"folds": 2})
    sources: list[Source] = ["shipped", tmp_path / "net"]
    with monkeypatch.context() as patch:
        patch.setattr(exporter, "export_bundle", _killed)
        with pytest.raises(KeyboardInterrupt):
            train_on_videos(data, recipe, sources, tmp_path / "run", exporter=exporter, quiet=True)
    again = train_on_videos(data, recipe, sources, tmp_path / "run", exporter=exporter, quiet=True, resume=True)
    whole = train_on_videos(data, recipe, sources, tmp_path / "whole", exporter=exporter, quiet=True)
    assert again["bundle"] == whole["bundle"] and again["choice"] == whole["choice"]
    rows = whole["choice"]["candidates"]
    assert [row["name"] for row in rows] == ["shipped", "net"] and rows[0]["gain"] == 0
    chosen = next(row for row in rows if row["name"] == whole["choice"]["chosen"])
    assert whole["backbone"]["digest"] == chosen["digest"]
    for other, message in ((sources[::-1], "same backbones"), (["shipped"], "same backbones")):
        with pytest.raises(InputError, match=message):
            train_on_videos(data, recipe, other, tmp_path / "run", exporter=exporter, quiet=True, resume=True)
    fresh = train_on_videos(data, recipe, "shipped", tmp_path / "run", exporter=exporter, quiet=True, fresh=True)
    assert "choice" not in fresh and not (tmp_path / "run" / "candidates").exists()


def test_backbones_that_cannot_be_compared(clips: Path, tmp_path: Path, small: TrainConfig, backbone: BackboneConfig):
    data, exporter = Dataset.open(clips, need_features=False), Exporter()
    for sources, recipe in (
        (["shipped", backbone], small.model_copy(update={"folds": 2})),
        (["shipped", tmp_path / "net"], small.model_copy(update={"folds": 0})),
    ):
        with pytest.raises(InputError) as caught:
            train_on_videos(data, recipe, sources, tmp_path / "run", exporter=exporter, quiet=True)
        assert caught.value.code == "backbone-compare"
        assert not (tmp_path / "run").exists()


def _killed(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_another_folder_is_left_alone(clips: Path, tmp_path: Path, small: TrainConfig, backbone: BackboneConfig):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="other files"):
        data = Dataset.open(clips, need_features=False)
        train_on_videos(data, small, backbone, tmp_path, exporter=Exporter(), quiet=True)


def test_a_run_that_was_killed_while_it_wrote_its_bundle_can_be_discarded(
    clips: Path, tmp_path: Path, small: TrainConfig, backbone: BackboneConfig, monkeypatch: pytest.MonkeyPatch
):
    for name in ("backbone", ".bundle.0123abcd", ".bundle.old.0123abcd/bundle"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(videos, "dataset_footage", _killed)
    data = Dataset.open(clips, need_features=False)
    with pytest.raises(KeyboardInterrupt):
        train_on_videos(data, small, backbone, tmp_path, exporter=Exporter(), quiet=True, fresh=True)
    assert not list(tmp_path.iterdir())


def test_command_line_refusals(clips: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = str(tmp_path / "out")
    for arguments, word in (
        (["train", str(clips), "--out", out, "--proposals", "p.json"], "--proposals"),
        (["train", str(toy), "--out", out, "--minutes", "1"], "--minutes"),
        (["train", str(clips), "--out", out, "--minutes", "-1"], "--minutes"),
        (["train", str(clips), "--out", out, "--backbone", str(tmp_path / "none")], "backbone.json"),
        (["train", str(toy), "--out", out, "--backbone", "shipped"], "--backbone"),
        (["train", str(clips), "--out", out, "--backbone", "shipped", "--minutes", "1"], "--minutes"),
        (["train", str(clips), "--out", out, *("--backbone", "shipped", "--backbone", str(tmp_path))], "backbone.json"),
        (["train", str(clips), "--out", out, "--backbone", "shipped", "--backbone", "shipped"], "twice"),
    ):
        assert invoke(arguments) == 2
        assert word in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_few_clicks_get_copies_of_every_network():
    few, many, seen = recipes.for_videos(20), recipes.for_videos(1000), recipes.for_videos(20, clicks_seen=True)
    shapes = [n.locator.hidden for n in TrainConfig().networks]
    assert [n.locator.hidden for n in many.networks] == shapes
    assert [n.locator.hidden for n in few.networks] == [shape for shape in shapes for _ in range(recipes.COPIES)]
    assert [n.locator.hidden for n in seen.networks] == shapes[:1] * recipes.COPIES
    assert all(n.objective.edge_background == "before" for r in (few, many, seen) for n in r.networks)
    assert all(n.optim.least_steps == recipes.LEAST_STEPS and n.locator.members == 1 for n in few.networks)
    assert all(n.optim.least_steps == 1 and n.locator.members == 2 for n in many.networks)
    assert json.loads(few.model_dump_json())["partners"][0]["objective"]["edge_background"] == "before"
    assert not list(train_fields(few))
    assert not list(train_fields(recipes.with_epochs(few, 3)))


def test_copies_of_a_network_see_different_windows(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Otherwise they would make the same errors."""
    drawn: list[Any] = []
    anywhere = WindowBank.anywhere

    def recorded(self: WindowBank, count: int, rng: np.random.Generator) -> Any:
        drawn.append(anywhere(self, count, rng))
        return drawn[-1]

    monkeypatch.setattr(WindowBank, "anywhere", recorded)
    few = recipes.for_videos(20, clicks_seen=True)
    network = few.networks[0].model_copy(
        update={
            "locator": few.locator.model_copy(update={"hidden": (HiddenLayer(kernel=3, units=8),)}),
            "optim": few.locator_optim.model_copy(update={"epochs": 1, "least_steps": 7}),
        }
    )
    changes = {"locator": network.locator, "locator_optim": network.optim, "partners": (network,)}
    recipe = few.model_copy(update=changes | {"center": None, "folds": 0})
    data = load_training_set(Dataset.open(toy))
    summary = train_run(data, recipe, tmp_path / "run", quiet=True)
    assert {summary["stages"][name]["steps"] for name in ("locator", "locator2")} == {7}
    first, second = drawn[:7], drawn[7:]
    assert len(second) == 7
    assert not any(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("options", "by_epochs", "steps"),
    [({}, 30, 30), ({"least_steps": 60}, 30, 60), ({"least_steps": 60}, 90, 90), ({"steps": 5}, 90, 5)],
)
def test_epochs_amount_to_at_least_so_many_steps(options: dict[str, int], by_epochs: int, steps: int):
    assert OptimConfig(**options).length(by_epochs) == steps
