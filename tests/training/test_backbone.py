"""The backbone alone: network, frames, losses, and a folder that can be continued."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from punctum.runtime import Dataset, InputError
from punctum.training.backbone.augment import augment
from punctum.training.backbone.config import Augmentation, BackboneConfig
from punctum.training.backbone.frames import FrameSpan, FrameStore, span_maps
from punctum.training.backbone.motion import CHANNELS, FLOWS, log_light, motion_maps
from punctum.training.backbone.net import BackboneNet
from punctum.training.backbone.task import BackboneModule, BackboneTask, vicreg
from punctum.training.data.labels import locate_clicks
from safetensors.torch import save

av = pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from punctum.export.exporter import OnnxExporter  # noqa: E402
from punctum.runtime.backbone.backbone import VideoBackbone  # noqa: E402
from punctum.runtime.backbone.folder import read_shipped  # noqa: E402
from punctum.runtime.datasets.extraction import read_features  # noqa: E402
from punctum.training.backbone.footage import dataset_footage, read_footage  # noqa: E402
from punctum.training.backbone.recipes import backbone_recipe, load_backbone_config  # noqa: E402
from punctum.training.backbone.spans import ClickedSpan  # noqa: E402
from punctum.training.backbone.train import SHIPPED, WEIGHTS, load_start, train_backbone  # noqa: E402
from punctum.training.engine.stop import StopSignal, TrainingInterrupted  # noqa: E402

from .clips import FakeExporter, frames, make_videos, write_video  # noqa: E402


def tiny(**changes: object) -> BackboneConfig:
    optim = {"steps": 6, "rate": 2e-3, "schedule": "one-cycle"}
    values = {
        "start": "random",
        "height": 24,
        "width": 32,
        "channels": 4,
        "dim": 16,
        "window": 16,
        "batch": 2,
        "save_every": 2,
    }
    return BackboneConfig.model_validate({"optim": optim, **values, **changes})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("clips") / "data")


def footage(clips: Path):
    return dataset_footage(Dataset.open(clips, need_features=False))


def span(count: int = 40, seed: int = 0) -> FrameSpan:
    values = np.random.default_rng(seed).integers(0, 65536, (count, 24, 32)).astype(np.uint16)
    return FrameSpan("v", 0.0, values)


def clicked(config: BackboneConfig, times: list[float], labels: list[int], **more: object) -> ClickedSpan:
    part = span(**more)
    snippets = len(part.frames) // config.snippet_frames
    where = locate_clicks(times, labels, snippets=snippets, stride_s=0.2, start_s=0.0, video="v")
    return ClickedSpan(part, where, True)


def test_features_do_not_depend_on_the_batch_and_survive_black():
    config = tiny()
    net = BackboneNet(config).eval()
    clips = torch.rand(5, *config.spec().clip_shape)
    with torch.no_grad():
        together, alone = net(clips), torch.cat([net(clips[i : i + 1]) for i in range(5)])
        assert together.shape == (5, config.features) == (5, 88)
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        assert torch.isfinite(net(torch.zeros(1, *config.spec().clip_shape))).all()
        assert torch.isfinite(net(-torch.ones(1, *config.spec().clip_shape))).all()


@pytest.mark.slow
def test_training_sees_the_clips_that_the_runtime_makes(clips: Path, tmp_path: Path):
    """Frames, clip borders and edges of training against the runtime's extractor, through the exported graph."""
    config = tiny(augmentation={name: 0 for name in Augmentation.model_fields if name != "mirror"} | {"mirror": False})
    exporter = OnnxExporter()
    train_backbone(footage(clips), config, tmp_path / "b", exporter=exporter, quiet=True, frames=tmp_path / "frames")
    backbone = VideoBackbone.load(tmp_path / "b")
    video = clips / "videos" / "v0.mp4"
    rows, _ = read_features(backbone, video)
    store = FrameStore(tmp_path / "frames", config.spec())
    (part,) = store.spans("v0")
    assert len(part.frames) == 80 and len(rows) == 40
    shown = np.asarray(part.frames, np.float32) / 65535
    for t in (0, 1, 20, 39):
        index = np.clip(np.arange(2 * t + 2 - config.clip_frames, 2 * t + 2), 0, len(shown) - 1)
        expected = backbone.embed(np.ascontiguousarray(shown[index][None, :, None]))
        np.testing.assert_allclose(rows[t], expected[0], atol=2e-3)
    module = BackboneModule(config, 2)
    task = BackboneTask(
        module,
        [ClickedSpan(part, locate_clicks([], [], snippets=40, stride_s=0.2, start_s=0, video="v"), True)],
        2,
        config,
    )
    window = task._window(0, 0, np.random.default_rng(0))
    assert len(window) == 2 * (config.window - 1) + config.reach
    ours = module.net.eval()
    with torch.no_grad():
        rows = ours.describe(window[None])[0]
        for t in (0, 3, 15):
            index = np.clip(np.arange(2 * t + 2 - config.clip_frames, 2 * t + 2), 0, 79)
            torch.testing.assert_close(
                rows[t], ours(torch.from_numpy(shown[index][None, :, None]))[0], atol=5e-3, rtol=1e-2
            )
    last = task._window(0, 24, np.random.default_rng(0))
    with torch.no_grad():
        ends = ours(torch.from_numpy(shown[80 - config.clip_frames :][None, :, None]))[0]
        torch.testing.assert_close(ours.describe(last[None])[0, -1], ends, atol=5e-3, rtol=1e-2)


def test_windows_beyond_a_short_span_repeat_its_edges():
    config = tiny(window=32)
    task = BackboneTask(BackboneModule(config, 1), [clicked(config, [1.0], [0], count=10)], 1, config)
    rng = np.random.default_rng(0)
    for _ in range(20):
        first = task._first(0, rng)
        assert -27 <= first <= 0
        assert task._window(0, first, rng).shape == (78, CHANNELS, 12, 16)
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


def test_unlabeled_footage_teaches_no_class():
    config = tiny()
    part = ClickedSpan(span(), locate_clicks([], [], snippets=20, stride_s=0.2, start_s=0.0, video="v"), False)
    task = BackboneTask(BackboneModule(config, 2), [part, clicked(config, [2.0], [1])], 2, config)
    assert task.targets is not None and not task.targets[0].any() and task.targets[1].any()
    alone = BackboneTask(BackboneModule(config, 0), [part], 0, config)
    assert alone.module.click is None
    assert set(alone.step_loss(0, np.random.default_rng(0))[1]) == {"motion"}


def test_augmentation_keeps_shape_and_seed():
    maps = torch.randn(7, CHANNELS, 12, 16)
    one, two, other = (augment(maps, Augmentation(), np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.shape == maps.shape and torch.isfinite(one).all()
    assert torch.equal(one, two) and not torch.equal(one, other)


def moving(right: float, down: float, count: int = 6, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    """Light [1, T, H, W] of a soft texture that moves by so many pixels a frame."""
    y, x = torch.meshgrid(torch.arange(size[0]).float(), torch.arange(size[1]).float(), indexing="ij")
    shown = []
    for t in range(count):
        u, v = x - right * t, y - down * t
        shown.append(torch.sin(u / 3) * torch.cos(v / 4) + torch.sin((u + v) / 5) + 0.5 * torch.cos((u - 2 * v) / 6))
    return 0.3 * torch.stack(shown)[None]


@pytest.mark.parametrize(("right", "down"), [(0.0, 0.0), (0.8, 0.0), (-0.6, 0.4), (0.0, -1.0)])
def test_maps_of_motion_tell_which_way_and_how_fast(right: float, down: float):
    maps = motion_maps(moving(right, down))[0]
    assert maps.shape == (5, CHANNELS, 24, 32)
    inner = maps[:, :, 4:-4, 4:-4].median(0).values.flatten(1).median(1).values
    for (x, y), cell in zip(FLOWS, (1.0, 2.0), strict=True):
        slower = 1 / (1 + (right**2 + down**2) ** 0.5 / cell / 4)
        assert float(inner[x]) == pytest.approx(right / cell * slower, rel=0.25, abs=0.12)
        assert float(inner[y]) == pytest.approx(down / cell * slower, rel=0.25, abs=0.12)
    brighter = motion_maps(moving(right, down) + torch.arange(6.0).view(1, 6, 1, 1))[0]
    torch.testing.assert_close(brighter, maps, atol=2e-3, rtol=1e-3)


def test_a_mirrored_picture_moves_the_other_way():
    still = {name: 0 for name in Augmentation.model_fields if name != "mirror"}
    rule = Augmentation.model_validate(still | {"mirror": True})
    light = moving(0.5, 0.3)
    maps, mirrored = motion_maps(light)[0], motion_maps(light.flip(3))[0]
    seen = set()
    for seed in range(8):
        made = augment(maps, rule, np.random.default_rng(seed))
        same, turned = torch.allclose(made, maps, atol=1e-3), torch.allclose(made, mirrored, atol=1e-2)
        assert same or turned
        seen.add(same)
    assert seen == {True, False}


def test_maps_are_kept_and_are_those_of_whole_spans(tmp_path: Path):
    part = span(300)
    whole = span_maps(part, 0.01)
    assert whole.shape == (301, CHANNELS, 12, 16) and whole.dtype == np.float16
    light = log_light(torch.from_numpy(np.asarray(part.frames, np.float32) / 65535)[None], 0.01)
    expected = motion_maps(torch.cat([light[:, :1], light, light[:, -1:]], dim=1))[0]
    np.testing.assert_allclose(whole, expected.numpy().astype(np.float16), atol=2e-2)
    file = tmp_path / "v.0.u16"
    file.write_bytes(part.frames.tobytes())
    kept = span_maps(FrameSpan("v", 0.0, part.frames, file), 0.01)
    assert np.array_equal(kept, whole) and len(list(tmp_path.glob("*.f16"))) == 1
    span_maps(FrameSpan("v", 0.0, part.frames, file), 0.02)
    assert len(list(tmp_path.glob("*.f16"))) == 1  # those of another recipe are replaced


def test_views_that_agree_and_differ_between_clips_cost_less():
    rng = torch.Generator().manual_seed(0)
    good = torch.randn(64, 8, generator=rng)
    assert vicreg(good, good) < vicreg(good, good.flip(0)) < vicreg(torch.zeros(64, 8), torch.zeros(64, 8)) + 3
    assert vicreg(torch.zeros(64, 8), torch.zeros(64, 8)) > vicreg(good, good)


@pytest.mark.slow
def test_training_starts_from_what_ships(clips: Path, tmp_path: Path):
    config = BackboneConfig.model_validate({"batch": 2, "optim": {"steps": 1, "rate": 1e-9, "weight_decay": 0.0}})
    train_backbone(footage(clips), config, tmp_path / "b", exporter=FakeExporter(), quiet=True)
    net, learned = BackboneNet(config), BackboneNet(config)
    load_start(net, SHIPPED)
    load_start(learned, tmp_path / "b" / WEIGHTS)
    for (name, ours), theirs in zip(net.named_parameters(), learned.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0, msg=name)


def test_shipped_weights_are_those_of_the_shipped_backbone():
    spec, graph = read_shipped()
    opened = VideoBackbone.from_graph(graph, spec)
    assert spec.fingerprint is not None
    net = BackboneNet(BackboneConfig())
    load_start(net, SHIPPED)
    clips = np.random.default_rng(0).random((2, *net.config.spec().clip_shape), np.float32)
    with torch.no_grad():
        rows = net.eval()(torch.from_numpy(clips)).numpy()
    np.testing.assert_allclose(opened.embed(clips), rows, atol=2e-3, rtol=1e-3)


def test_weights_of_other_sizes_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="the weights that ship"):
        load_start(BackboneNet(BackboneConfig(channels=8)), SHIPPED)
    (tmp_path / "w").write_bytes(b"\xff" * 20)
    for file in (tmp_path / "w", tmp_path / "absent"):
        with pytest.raises(InputError, match="cannot start"):
            load_start(BackboneNet(BackboneConfig()), file)


def test_planned_steps_follow_footage_and_time():
    config = BackboneConfig()
    assert config.planned_steps(1280) == round(config.epochs * 1280 / (config.batch * config.window))
    assert config.planned_steps(10**7) < config.planned_steps(10**8) + 1 == config.planned_steps(10**9) + 1
    assert config.planned_steps(12800, clicks=50) == 150 and config.planned_steps(1280, clicks=5000) == 60
    half = config.model_copy(update={"minutes": config.minutes / 2})
    assert half.planned_steps(10**8) == pytest.approx(config.planned_steps(10**8) / 2, rel=0.01)


def test_continues_to_the_same_bits_after_a_stop(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config, given = tiny(), footage(clips)
    # The weights stand for the graph, which takes seconds to export.
    exporter = FakeExporter(lambda net: {"backbone.json": b"{}", "backbone.onnx": save(dict(net.state_dict()))})
    whole = train_backbone(given, config, tmp_path / "whole", exporter=exporter, quiet=True)
    assert whole["training"]["steps"] == 6 and not (tmp_path / "whole" / "state").exists()
    assert sorted(p.name for p in (tmp_path / "whole").iterdir()) == [
        "backbone.json", "backbone.onnx", "config.json", "log.jsonl", "summary.json", "weights.safetensors",
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
            train_backbone(given, config, tmp_path / "parts", exporter=exporter, quiet=True)
    assert not (tmp_path / "parts" / "backbone.onnx").exists()
    with pytest.raises(InputError, match="`resume=True`"):
        train_backbone(given, config, tmp_path / "parts", exporter=exporter, quiet=True)
    with pytest.raises(InputError, match="another recipe"):
        train_backbone(given, tiny(seed=1), tmp_path / "parts", resume=True, exporter=exporter, quiet=True)
    train_backbone(given, config, tmp_path / "parts", resume=True, exporter=exporter, quiet=True)
    for name in ("backbone.onnx", "backbone.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = train_backbone(given, config, tmp_path / "parts", resume=True, exporter=exporter, quiet=True)
    assert again["training"]["steps"] == 6  # finished before: nothing is done


def test_kept_frames_are_not_decoded_again_unless_the_video_changed(clips: Path, tmp_path: Path, monkeypatch):
    store, video = FrameStore(tmp_path, tiny().spec()), tmp_path / "clip.mp4"
    video.write_bytes((clips / "videos" / "v1.mp4").read_bytes())
    assert store.add("clip", video)
    before = np.array(store.spans("clip")[0].frames)
    from punctum.training.backbone import frames as module

    monkeypatch.setattr(module, "_decode", lambda *_: pytest.fail("decoded again"))
    assert store.add("clip", video)
    monkeypatch.undo()
    write_video(video, frames(9)[0])
    assert store.add("clip", video)
    assert not np.array_equal(before, store.spans("clip")[0].frames)


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
        train_backbone(plain, tiny(), tmp_path / "out", exporter=FakeExporter(), quiet=True)
    for bad in ({"size": "big"}, {"size": "8x8"}, {"minutes": -1.0}, {"epochs": float("nan")}):
        with pytest.raises(InputError):
            backbone_recipe(**bad)
    (tmp_path / "recipe.json").write_text(json.dumps({"hight": 3}))
    with pytest.raises(InputError, match="hight"):
        load_backbone_config(tmp_path / "recipe.json")
    with pytest.raises(InputError, match="odd"):
        (tmp_path / "recipe.json").write_text(json.dumps({"head_kernel": 4}))
        load_backbone_config(tmp_path / "recipe.json")
