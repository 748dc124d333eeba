"""The backbone alone: network, frames, losses, and a folder that can be continued."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum.runtime import Dataset, InputError
from punctum.training.backbone.augment import augment
from punctum.training.backbone.config import Augmentation, BackboneConfig, load_backbone_config
from punctum.training.backbone.frames import FrameStore, Stretch
from punctum.training.backbone.net import BackboneNet
from punctum.training.backbone.task import BackboneModule, BackboneTask, ClickedStretch, vicreg
from punctum.training.labels import locate_clicks
from safetensors.torch import save

av = pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from punctum.runtime.video.backbone import VideoBackbone  # noqa: E402
from punctum.runtime.video.features import read_features  # noqa: E402
from punctum.training.backbone.train import train_backbone  # noqa: E402
from punctum.training.stop import StopSignal, TrainingInterrupted  # noqa: E402
from punctum.training.videos import backbone_recipe, dataset_footage, read_footage  # noqa: E402

from .clips import frames, make_videos, write_video  # noqa: E402


def tiny(**changes: object) -> BackboneConfig:
    optim = {"steps": 6, "rate": 2e-3, "schedule": "one-cycle"}
    values = {"height": 24, "width": 32, "channels": 4, "dim": 16, "window": 16, "batch": 2, "save_every": 2}
    return BackboneConfig.model_validate({"optim": optim, **values, **changes})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("clips") / "data")


def footage(clips: Path):
    return dataset_footage(Dataset.open(clips, need_features=False))


def stretch(count: int = 40, seed: int = 0) -> Stretch:
    values = np.random.default_rng(seed).integers(0, 65536, (count, 24, 32)).astype(np.uint16)
    return Stretch("v", 0.0, values)


def clicked(config: BackboneConfig, times: list[float], labels: list[int], **more: object) -> ClickedStretch:
    part = stretch(**more)
    snippets = len(part.frames) // config.snippet_frames
    where = locate_clicks(times, labels, snippets=snippets, stride_s=0.2, start_s=0.0, video="v")
    return ClickedStretch(part, where, True)


def test_features_do_not_depend_on_the_batch_and_survive_black():
    config = tiny()
    net = BackboneNet(config).eval()
    clips = torch.rand(5, *config.spec().clip_shape)
    with torch.no_grad():
        together, alone = net(clips), torch.cat([net(clips[i : i + 1]) for i in range(5)])
        assert together.shape == (5, config.features) == (5, 37)
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        assert torch.isfinite(net(torch.zeros(1, *config.spec().clip_shape))).all()
        assert torch.isfinite(net(-torch.ones(1, *config.spec().clip_shape))).all()


def test_training_sees_the_clips_that_the_runtime_makes(clips: Path, tmp_path: Path):
    """Frames, clip borders and edges of training against the runtime's extractor, through the exported graph."""
    config = tiny(augmentation={name: 0 for name in Augmentation.model_fields if name != "mirror"} | {"mirror": False})
    train_backbone(footage(clips), config, tmp_path / "b", quiet=True, frames=tmp_path / "frames")
    backbone = VideoBackbone.load(tmp_path / "b")
    video = clips / "videos" / "v0.mp4"
    rows, _ = read_features(backbone, video)
    store = FrameStore(tmp_path / "frames", config.spec())
    (part,) = store.stretches("v0")
    assert len(part.frames) == 80 and len(rows) == 40
    shown = np.asarray(part.frames, np.float32) / 65535
    for t in (0, 1, 20, 39):
        index = np.clip(np.arange(2 * t + 2 - config.clip_frames, 2 * t + 2), 0, len(shown) - 1)
        expected = backbone.embed(np.ascontiguousarray(shown[index][None, :, None]))
        np.testing.assert_allclose(rows[t], expected[0], atol=2e-3)
    module = BackboneModule(config, 2)
    task = BackboneTask(
        module,
        [ClickedStretch(part, locate_clicks([], [], snippets=40, stride_s=0.2, start_s=0, video="v"), True)],
        2,
        config,
    )
    window = task._window(0, 0, np.random.default_rng(0))
    clip = task._clips(window[None])[0, 3]
    expected = module.net.light(torch.from_numpy(shown[np.clip(np.arange(0, 8), 0, 79)]))
    torch.testing.assert_close(clip, expected, atol=1e-3, rtol=1e-3)


def test_windows_beyond_a_short_stretch_repeat_its_edges():
    config = tiny(window=32)
    task = BackboneTask(BackboneModule(config, 1), [clicked(config, [1.0], [0], count=10)], 1, config)
    rng = np.random.default_rng(0)
    for _ in range(20):
        first = task._first(0, rng)
        assert -27 <= first <= 0
        assert task._window(0, first, rng).shape == (64 + 6, 24, 32)
    loss, terms = task.step_loss(0, rng)
    assert torch.isfinite(loss) and set(terms) >= {"click"}


def test_a_step_is_a_function_of_its_number():
    config = tiny(view_weight=0.5)
    torch.manual_seed(0)
    task = BackboneTask(BackboneModule(config, 2), [clicked(config, [1.0, 3.0], [0, 1])], 2, config)
    losses = []
    for _ in range(2):
        torch.manual_seed(5)
        loss, terms = task.step_loss(3, np.random.default_rng(7))
        losses.append(float(loss.detach()))
        assert set(terms) == {"click", "motion", "views"}
    assert losses[0] == losses[1]


def test_unlabelled_footage_teaches_no_class():
    config = tiny()
    part = ClickedStretch(stretch(), locate_clicks([], [], snippets=20, stride_s=0.2, start_s=0.0, video="v"), False)
    task = BackboneTask(BackboneModule(config, 2), [part, clicked(config, [2.0], [1])], 2, config)
    assert task.targets is not None and not task.targets[0].any() and task.targets[1].any()
    alone = BackboneTask(BackboneModule(config, 0), [part], 0, config)
    assert alone.module.click is None
    assert set(alone.step_loss(0, np.random.default_rng(0))[1]) == {"motion"}


def test_augmentation_keeps_shape_range_and_seed():
    images = torch.rand(7, 24, 32)
    one, two, other = (augment(images, Augmentation(), np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.shape == images.shape and float(one.min()) >= 0 and float(one.max()) <= 1
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_views_that_agree_and_differ_between_clips_cost_less():
    rng = torch.Generator().manual_seed(0)
    good = torch.randn(64, 8, generator=rng)
    assert vicreg(good, good) < vicreg(good, good.flip(0)) < vicreg(torch.zeros(64, 8), torch.zeros(64, 8)) + 3
    assert vicreg(torch.zeros(64, 8), torch.zeros(64, 8)) > vicreg(good, good)


def test_planned_steps_follow_footage_and_time():
    config = BackboneConfig()
    assert config.planned_steps(1280) == round(config.epochs * 1280 / 128)
    assert config.planned_steps(10**7) < config.planned_steps(10**8) + 1 == config.planned_steps(10**9) + 1
    assert config.planned_steps(12800, clicks=50) == 150 and config.planned_steps(1280, clicks=5000) == 200
    half = config.model_copy(update={"minutes": config.minutes / 2})
    assert half.planned_steps(10**8) == pytest.approx(config.planned_steps(10**8) / 2, rel=0.01)


def test_continues_to_the_same_bits_after_a_stop(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config, given = tiny(), footage(clips)
    fast = {"backbone.json": b"{}"}  # the weights stand for the graph, which takes seconds to export
    monkeypatch.setattr(
        "punctum.training.backbone.train._export",
        lambda module, config: fast | {"backbone.onnx": save(dict(module.state_dict()))},
    )
    whole = train_backbone(given, config, tmp_path / "whole", quiet=True)
    assert whole["training"]["steps"] == 6 and not (tmp_path / "whole" / "state").exists()
    assert sorted(p.name for p in (tmp_path / "whole").iterdir()) == [
        "backbone.json", "backbone.onnx", "config.json", "log.jsonl", "summary.json",
    ]  # fmt: skip

    real = BackboneTask.step_loss
    signals: list[StopSignal] = []
    enter = StopSignal.__enter__
    monkeypatch.setattr(StopSignal, "__enter__", lambda self: signals.append(self) or enter(self))

    def stopping(self, step, rng):
        signals[-1].requested = step == 2
        return real(self, step, rng)

    with monkeypatch.context() as patch:
        patch.setattr(BackboneTask, "step_loss", stopping)
        with pytest.raises(TrainingInterrupted):
            train_backbone(given, config, tmp_path / "parts", quiet=True)
    assert not (tmp_path / "parts" / "backbone.onnx").exists()
    with pytest.raises(InputError, match="--resume"):
        train_backbone(given, config, tmp_path / "parts", quiet=True)
    with pytest.raises(InputError, match="another recipe"):
        train_backbone(given, tiny(seed=1), tmp_path / "parts", resume=True, quiet=True)
    train_backbone(given, config, tmp_path / "parts", resume=True, quiet=True)
    for name in ("backbone.onnx", "backbone.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = train_backbone(given, config, tmp_path / "parts", resume=True, quiet=True)
    assert again["training"]["steps"] == 6  # finished before: nothing is done


def test_kept_frames_are_not_decoded_again_unless_the_video_changed(clips: Path, tmp_path: Path, monkeypatch):
    store, video = FrameStore(tmp_path, tiny().spec()), tmp_path / "clip.mp4"
    video.write_bytes((clips / "videos" / "v1.mp4").read_bytes())
    assert store.add("clip", video)
    before = np.array(store.stretches("clip")[0].frames)
    from punctum.training.backbone import frames as module

    monkeypatch.setattr(module, "_stretches", lambda *_: pytest.fail("decoded again"))
    assert store.add("clip", video)
    monkeypatch.undo()
    write_video(video, frames(9)[0])
    assert store.add("clip", video)
    assert not np.array_equal(before, store.stretches("clip")[0].frames)


def test_what_cannot_be_learned_from_is_refused(clips: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no video"):
        read_footage(tmp_path / "empty")
    plain = read_footage(clips / "videos")
    assert plain.points is None and len(plain.videos) == 7
    with pytest.raises(InputError, match=r"none\.csv"):
        read_footage(clips / "videos", points="none.csv")
    table = tmp_path / "clicks.csv"
    table.write_text("class,video_id,point\nslide,v0,10\n")
    with pytest.raises(InputError, match="time_s"):
        read_footage(clips / "videos", points=str(table))
    table.write_text("class,video_id,time_s\nslide,v9,1.0\n")
    with pytest.raises(InputError, match="v9"):
        read_footage(clips / "videos", points=str(table))
    table.write_text("class,video_id,time_s\nslide,v0,1.0\ndrop,v1,2.5\n")
    made = read_footage(clips / "videos", points=str(table))
    assert made.labels == ("drop", "slide") and made.points is not None and made.points["v0"][0].label == 1
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(InputError, match="other files"):
        train_backbone(plain, tiny(), tmp_path / "out", quiet=True)
    for bad in ({"size": "big"}, {"size": "8x8"}, {"minutes": -1.0}, {"epochs": float("nan")}):
        with pytest.raises(InputError):
            backbone_recipe(**bad)
    (tmp_path / "recipe.json").write_text(json.dumps({"hight": 3}))
    with pytest.raises(InputError, match="hight"):
        load_backbone_config(tmp_path / "recipe.json")
    with pytest.raises(InputError, match="odd"):
        (tmp_path / "recipe.json").write_text(json.dumps({"head_kernel": 4}))
        load_backbone_config(tmp_path / "recipe.json")
