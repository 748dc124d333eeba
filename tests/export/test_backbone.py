"""A backbone into a bundle: from a folder, an ONNX file, a torch module; what does not fit the run is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="export needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")

import torch
from punctum.export.graphs.backbone import TOLERANCE, backbone_files, export_backbone, load_exported
from punctum.export.graphs.torch_module import import_module
from punctum.runtime import Bundle, InputError, Localizer, PunctumError
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.folder import SPEC_FILE
from punctum.runtime.cli import invoke
from punctum.runtime.synthetic.sensors import write_demo_dataset

from tests.helpers import backbones

pytestmark = pytest.mark.slow

DIM, FPS = 8, 20.0  # of the made run: eight channels, ten rows a second
MODULE = '''
from torch import nn


class Net(nn.Module):
    """The interface of a video network: a stem, pooling, flatten, a classifier `fc`."""

    def __init__(self, width=8, classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, width, 3, padding=1), nn.BatchNorm3d(width), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        return self.fc(self.avgpool(self.stem(x)).flatten(1))


def tiny(width=8, classes=5):
    import torch

    torch.manual_seed(0)
    return Net(width, classes)


class Picky(Net):
    def forward(self, x):
        return super().forward(x) if x.shape[0] == 3 else x.mean(dim=(2, 3, 4))


def nothing():
    return 7


def broken():
    raise RuntimeError("no weights here")
'''
SPEC = {
    "fps": FPS,
    "clip_frames": 4,
    "snippet_frames": 2,
    "height": 12,
    "width": 16,
    "mean": [0.43, 0.39, 0.38],
    "std": [0.23, 0.22, 0.22],
    "right_frames": 1,
    "torch": {"arguments": {"classes": 9}, "drop": "fc"},
}


SMALL = {
    "locator": {"hidden": [{"kernel": 3, "units": 8}], "members": 1},
    "partners": [],
    "center": {"embed": 4, "hidden": 8, "members": 1, "use_tracks": False},
    "locator_optim": {"epochs": 1},
    "center_optim": {"epochs": 1},
    "folds": 0,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_demo_dataset(folder / "data", videos=4, seed=3, seconds=20)
    config = folder / "config.json"
    config.write_text(json.dumps(SMALL))
    assert invoke(["train", str(folder / "data"), "--out", str(folder / "run"), "--config", str(config)]) == 0
    return folder / "run"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A working folder that holds the module and its spec."""
    monkeypatch.chdir(tmp_path)
    return write_module(tmp_path)


def write_module(folder: Path) -> Path:
    (folder / "tiny_video_net.py").write_text(MODULE)
    (folder / "spec.json").write_text(json.dumps(SPEC))
    return folder


def exported(run: Path, place: Path, *options: str) -> Bundle:
    assert invoke(["export", str(run), "--out", str(place / "bundle"), *options]) == 0
    return Bundle.load(place / "bundle")


@pytest.fixture(scope="module")
def with_module(run, tmp_path_factory) -> Bundle:
    with pytest.MonkeyPatch.context() as patch:
        folder = write_module(tmp_path_factory.mktemp("with_module"))
        patch.chdir(folder)
        return exported(run, folder, "--backbone", "tiny_video_net:tiny", "--backbone-spec", "spec.json")


def test_a_torch_module_by_its_import_path(run, place, with_module):
    bundle = with_module
    spec = bundle.manifest.backbone
    assert spec.fingerprint is not None
    assert spec.right_frames == 1
    made = VideoBackbone.open(bundle)
    assert made.dim == DIM
    features = bundle.manifest.features
    assert features.backbone_sha256 == made.digest
    assert features.backbone == "tiny_video_net:tiny"
    parity = json.loads(bundle.read("parity.json"))["backbone"]
    assert set(parity) == {"N=1", "N=2", "N=5"}
    assert max(parity.values()) < TOLERANCE
    assert bundle.manifest.precision["fp32"].parity["backbone"] == max(parity.values())
    # The graph is the module without its classifier, for any number of clips.
    module = import_module("tiny_video_net:tiny", {"drop": "fc"}).eval()
    clips = np.random.default_rng(0).normal(size=(7, *spec.clip_shape)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(clips)).numpy()
    np.testing.assert_allclose(made.embed(clips), expected, atol=1e-4)


def test_clips_that_reach_ahead_count_as_delay(run, place, with_module):
    before, after = Localizer(exported(run, place)), Localizer(with_module)
    assert after.look_ahead_s == pytest.approx(before.look_ahead_s + 1 / FPS)
    features = np.random.default_rng(1).normal(0, 2, (300, DIM)).astype(np.float32)
    a, b = before.localize(features), after.localize(features)
    assert a
    assert [e.emitted_at + 1 / FPS for e in a] == pytest.approx([e.emitted_at for e in b])
    assert [(e.start, e.end, e.score) for e in a] == [(e.start, e.end, e.score) for e in b]


def test_folders_and_files(run, place):
    spec = backbones.spec(fps=FPS)
    graph = backbones.graph(spec, dim=DIM)
    folder = place / "learned"
    folder.mkdir()
    (folder / "backbone.onnx").write_bytes(graph)
    (folder / SPEC_FILE).write_text(spec.model_dump_json())
    from_folder = exported(run, place, "--backbone", str(folder))
    from_file = load_exported(str(folder / "backbone.onnx"), folder / SPEC_FILE)
    assert from_folder.manifest.backbone == from_file.spec
    assert from_file.graph == graph
    assert from_folder.read("backbone.onnx") == graph
    assert from_folder.manifest.features.backbone == "learned"
    assert "backbone" not in json.loads(from_folder.read("parity.json"))


def test_backbone_files_are_a_backbone_folder(place):
    module = import_module("tiny_video_net:tiny", {"drop": "fc"})
    spec = backbones.spec(layout="NCTHW")
    for name, data in backbone_files(module, spec).items():
        (place / name).write_bytes(data)
    made = VideoBackbone.load(place)
    assert made.spec.fingerprint is not None
    assert made.dim == 8


@pytest.mark.parametrize(
    ("arguments", "change", "code"),
    [
        (["--backbone", "tiny_video_net:tiny"], {}, "backbone-spec"),
        (["--backbone-spec", "spec.json"], {}, "backbone-spec"),
        (["--backbone", "nowhere"], {}, "backbone-missing"),
        (["--backbone", "no_such_package:net"], {}, "backbone-import"),
        (["--backbone", "tiny_video_net:absent"], {}, "backbone-import"),
        (["--backbone", "tiny_video_net:nothing"], {"torch": {}}, "backbone-import"),
        (["--backbone", "tiny_video_net:broken"], {"torch": {}}, "backbone-import"),
        (["--backbone", "tiny_video_net:tiny"], {"torch": {"drop": "head"}}, "backbone-drop"),
        (["--backbone", "tiny_video_net:tiny"], {"torch": {"weights": 1}}, "backbone-spec"),
        (["--backbone", "tiny_video_net:tiny"], {"layout": "NTCHW"}, "backbone-module"),
        (["--backbone", "tiny_video_net:tiny"], {"torch": {}}, "backbone-dimension"),
        (["--backbone", "tiny_video_net:tiny"], {"fps": 25}, "backbone-stride"),
        (["--backbone", "tiny_video_net:tiny"], {"std": [0, 1, 1]}, "backbone-spec"),
        (["--backbone", "spec.json"], {}, "graph-unreadable"),
    ],
)
def test_what_does_not_fit_is_named(run, place, capsys, arguments, change, code):
    (place / "spec.json").write_text(json.dumps(SPEC | change))
    if ("--backbone" in arguments and code != "backbone-spec") or change:
        arguments = [*arguments, "--backbone-spec", "spec.json"]
    assert invoke(["export", str(run), "--out", str(place / "bundle"), *arguments]) == 2
    captured = capsys.readouterr()
    assert f"[{code}]" in captured.err
    assert "Traceback" not in captured.err
    assert not (place / "bundle").exists()


def test_another_backbone_than_the_one_of_the_features(run, place):
    from punctum.runtime import FeatureSpec

    loaded = load_exported("tiny_video_net:tiny", "spec.json")
    features = FeatureSpec(dim=DIM, stride_s=2 / FPS)
    loaded.check_fits(features.model_copy(update={"backbone_sha256": loaded.digest}))
    with pytest.raises(InputError) as error:
        loaded.check_fits(features.model_copy(update={"backbone_sha256": "0" * 64}))
    assert error.value.code == "backbone-differs"


def test_a_module_as_a_folder_for_training(place, capsys):
    assert invoke(["export-backbone", "tiny_video_net:tiny", "--spec", "spec.json", "--out", "net"]) == 0
    assert "8 features every 0.1 s" in capsys.readouterr().out
    made = load_exported("net")
    direct = load_exported("tiny_video_net:tiny", "spec.json")
    assert (made.dim, made.digest, made.spec) == (direct.dim, direct.digest, direct.spec)
    for arguments, code in (
        (["tiny_video_net:tiny", "--spec", "spec.json", "--out", "net"], "output-exists"),
        (["net", "--spec", "spec.json", "--out", "other"], "backbone-folder"),
        (["tiny_video_net:nothing", "--spec", "spec.json", "--out", "other"], "backbone-import"),
        (["tiny_video_net:tiny", "--spec", "absent.json", "--out", "other"], ""),
    ):
        assert invoke(["export-backbone", *arguments]) == 2
        assert code in capsys.readouterr().err
        assert not Path("other").exists()
    assert load_exported("net").digest == made.digest


def test_a_module_that_treats_numbers_of_clips_differently_is_caught(place):
    module = import_module("tiny_video_net:Picky", {"arguments": {"classes": 3}})
    with pytest.raises(PunctumError):
        backbone_files(module, backbones.spec())


def test_export_leaves_no_trace_of_this_machine(place):
    module = import_module("tiny_video_net:tiny", {})
    graph = export_backbone(module, backbones.spec())
    assert str(place).encode() not in graph
    assert b"site-packages" not in graph
