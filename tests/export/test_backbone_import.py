"""Networks from elsewhere as backbones: image networks, weights in a file of their own, networks that mix clips."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
from punctum.export.graphs.backbone import load_exported  # noqa: E402
from punctum.export.graphs.images import middle_frame  # noqa: E402
from punctum.runtime import InputError  # noqa: E402
from punctum.runtime.backbone.backbone import VideoBackbone  # noqa: E402
from punctum.runtime.backbone.fingerprint import check_clips_apart, make_fingerprint  # noqa: E402
from punctum.runtime.backbone.folder import read_backbone  # noqa: E402
from punctum.runtime.bundle.backbone_spec import BackboneSpec  # noqa: E402
from punctum.runtime.cli import invoke  # noqa: E402

pytestmark = pytest.mark.slow

SPEC = {
    "fps": 12.5,
    "clip_frames": 6,
    "snippet_frames": 4,
    "right_frames": 1,
    "height": 20,
    "width": 24,
    "mean": [0.43, 0.39, 0.37],
    "std": [0.22, 0.22, 0.21],
}
MODULES = """
import torch
from torch import nn


class Clips(nn.Module):
    def __init__(self, tracked=True):
        super().__init__()
        torch.manual_seed(0)
        self.c = nn.Conv3d(3, 8, 3, padding=1)
        self.b = nn.BatchNorm3d(8, track_running_stats=tracked)

    def forward(self, x):
        return torch.relu(self.b(self.c(x))).mean((2, 3, 4))


def mixed():
    return Clips(tracked=False)


class Centered(Clips):
    def forward(self, x):
        return super().forward(x - x.mean())


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.c = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        return torch.relu(self.c(x)).mean((2, 3))


class Neither(nn.Module):
    def forward(self, x):
        raise ValueError("a reason that only this network knows")
"""


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks_of_a_test.py").write_text(MODULES)
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    return tmp_path


def spec_file(work: Path, **changes) -> Path:
    (work / "s.json").write_text(json.dumps(SPEC | changes))
    return work / "s.json"


def module(name: str):
    import importlib.util

    found = importlib.util.spec_from_file_location("of_a_test", "networks_of_a_test.py")
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return getattr(made, name)().eval()


@functools.cache
def files_of(name: str, shape: tuple[int, ...], external: bool) -> dict[str, bytes]:
    """A network of `MODULES` as torch exports it: net.onnx, and its weights where they are external. Each made once."""
    with tempfile.TemporaryDirectory() as folder:
        torch.onnx.export(
            module(name),
            (torch.randn(2, *shape),),
            f"{folder}/net.onnx",
            input_names=["clips"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim("N", min=1, max=64)},),
            external_data=external,
            dynamo=True,
            verbose=False,
        )
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def to_onnx(name: str, path: Path, shape: tuple[int, ...], *, external: bool = False) -> Path:
    for file, data in files_of(name, shape, external).items():
        (path if file == "net.onnx" else path.parent / file).write_bytes(data)
    return path


def clips(count: int) -> np.ndarray:
    """In layout NTCHW."""
    return np.random.default_rng(3).normal(0, 1, (count, 6, 3, 20, 24)).astype(np.float32)


def expected(how: str) -> np.ndarray:
    """Features of image networks, frame by frame with torch."""
    network, given = module("Images"), torch.from_numpy(clips(5))
    with torch.no_grad():
        if how == "middle":  # snippets of 4 frames whose clip reaches one frame further
            return network(given[:, 6 - 1 - 4 + 2]).numpy()
        return torch.stack([network(clip).mean(0) for clip in given]).numpy()


def test_weights_beside_an_onnx_file_are_taken_in(work, monkeypatch, capsys):
    (work / "there").mkdir()
    file = to_onnx("Clips", work / "there" / "net.onnx", (3, 6, 20, 24), external=True)
    assert Path(f"{file}.data").is_file(), "this torch keeps the weights inside"
    assert invoke(["export-backbone", str(file), "--spec", "spec.json", "--out", "bb"]) == 0, capsys.readouterr().err
    Path(f"{file}.data").unlink()
    monkeypatch.chdir("/")  # nowhere near the weights
    made = VideoBackbone.load(work / "bb")
    given = clips(4).transpose(0, 2, 1, 3, 4)
    monkeypatch.chdir(work)
    with torch.no_grad():
        np.testing.assert_allclose(made.embed(given), module("Clips")(torch.from_numpy(given)).numpy(), atol=1e-5)


def test_weights_that_are_missing_or_elsewhere(work):
    file = to_onnx("Clips", work / "net.onnx", (3, 6, 20, 24), external=True)
    model = onnx.load(str(file), load_external_data=False)
    Path(f"{file}.data").rename(work / "gone")
    with pytest.raises(InputError, match=r"net\.onnx\.data") as error:
        load_exported(str(file), work / "spec.json")
    assert error.value.code == "backbone-weights"
    for place in ("/etc/hostname", "../gone", "sub/../../gone"):
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = place
        (work / "inner").mkdir(exist_ok=True)
        (work / "inner" / "net.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(InputError) as error:
            load_exported(str(work / "inner" / "net.onnx"), work / "spec.json")
        assert error.value.code == "backbone-weights"


def test_a_backbone_folder_with_weights_beside_it_is_refused(work):
    file = to_onnx("Clips", work / "net.onnx", (3, 6, 20, 24), external=True)
    (work / "bb").mkdir()
    (work / "bb" / "backbone.json").write_text(json.dumps(SPEC))
    (work / "bb" / "backbone.onnx").write_bytes(file.read_bytes())
    (work / "bb" / "net.onnx.data").write_bytes(Path(f"{file}.data").read_bytes())
    for read in (read_backbone, VideoBackbone.load, lambda folder: load_exported(str(folder))):
        with pytest.raises(InputError, match="external data") as error:
            read(work / "bb")
        assert error.value.code == "graph-external-data"


def test_session_options_in_the_metadata_are_left_out(work):
    file = to_onnx("Clips", work / "net.onnx", (3, 6, 20, 24))
    model = onnx.load(str(file))
    model.metadata_props.add(key="ort_config", value="{}")
    file.write_bytes(model.SerializeToString())
    assert b"ort_config" not in load_exported(str(file), work / "spec.json").graph


@pytest.mark.parametrize("how", ["middle", "mean"])
@pytest.mark.parametrize("source", ["module", "onnx"])
def test_image_networks(work, source, how):
    name = "networks_of_a_test:Images"
    if source == "onnx":
        name = str(to_onnx("Images", work / "net.onnx", (3, 20, 24), external=how == "mean"))
    made = load_exported(name, spec_file(work, image=how))
    assert (made.image, made.spec.layout, made.dim) == (how, "NTCHW", 8)
    backbone = VideoBackbone.from_graph(made.graph, made.spec)
    np.testing.assert_allclose(backbone.embed(clips(5)), expected(how), atol=1e-5)
    np.testing.assert_allclose(backbone.embed(clips(5)[:1]), expected(how)[:1], atol=1e-5)


@pytest.mark.parametrize("layout", [None, "NCHW"])
def test_image_networks_are_recognized(work, capsys, layout):
    file = spec_file(work, **({} if layout is None else {"layout": layout}))
    for source in ("networks_of_a_test:Images", str(to_onnx("Images", work / "net.onnx", (3, 20, 24)))):
        assert load_exported(source, file).image == "middle"
    assert invoke(["export-backbone", "net.onnx", "--spec", str(file), "--out", "bb"]) == 0
    assert "middle frame of each snippet" in capsys.readouterr().out
    VideoBackbone.load(work / "bb")


def test_image_networks_of_older_opsets_and_with_four_axes_out(work):
    from onnx import TensorProto, helper

    for opset in (13, 20):
        nodes = [helper.make_node("GlobalAveragePool", ["in"], ["out"])]
        take = [helper.make_tensor_value_info("in", TensorProto.FLOAT, ["N", 3, "H", "W"])]
        give = [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 3, 1, 1])]
        model = helper.make_model(
            helper.make_graph(nodes, "g", take, give), opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
        (work / "net.onnx").write_bytes(model.SerializeToString())
        made = load_exported(str(work / "net.onnx"), spec_file(work, image="mean"))
        rows = VideoBackbone.from_graph(made.graph, made.spec).embed(clips(4))
        np.testing.assert_allclose(rows, clips(4).mean((1, 3, 4)), atol=1e-6)


def test_image_networks_that_do_not_fit(work):
    file = str(to_onnx("Images", work / "net.onnx", (3, 20, 24)))
    for changes, said in (
        ({"height": 30}, "takes"),
        ({"image": "last"}, '"middle" or "mean"'),
        ({"clip_frames": 2, "right_frames": 0, "snippet_frames": 8}, "middle frame of a snippet of 8"),
    ):
        with pytest.raises(InputError, match=said):
            load_exported(file, spec_file(work, **changes))
    model = onnx.load(file)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    (work / "one.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="exactly 1 images"):
        load_exported(str(work / "one.onnx"), spec_file(work))
    with pytest.raises(InputError, match="takes clips"):
        load_exported(str(to_onnx("Clips", work / "c.onnx", (3, 6, 20, 24))), spec_file(work, image="mean"))


@pytest.mark.parametrize(
    ("clip", "snippet", "right", "frame"), [(8, 4, 0, 6), (1, 1, 0, 0), (6, 4, 1, 3), (4, 7, 0, 0)]
)
def test_the_middle_frame_is_that_of_the_snippet(clip, snippet, right, frame):
    values = SPEC | {"clip_frames": clip, "snippet_frames": snippet, "right_frames": right}
    assert middle_frame(BackboneSpec.model_validate(values)) == frame


@pytest.mark.parametrize("name", ["mixed", "Centered"])
def test_features_that_depend_on_the_batch_are_refused(work, capsys, name):
    assert invoke(["export-backbone", f"networks_of_a_test:{name}", "--spec", "spec.json", "--out", "bb"]) == 2
    assert "backbone-batch" in capsys.readouterr().err
    assert not (work / "bb").exists()


def test_features_that_depend_on_the_batch_are_refused_where_they_run(work):
    """A graph that came another way, with a fingerprint that it meets."""
    made = load_exported("networks_of_a_test:Clips", work / "spec.json")
    VideoBackbone.from_graph(made.graph, made.spec)
    check_clips_apart(VideoBackbone.from_graph(made.graph, made.spec))
    file = to_onnx("mixed", work / "mixed.onnx", (3, 6, 20, 24))
    free = VideoBackbone.from_graph(file.read_bytes(), BackboneSpec.model_validate(SPEC))
    spec = free.spec.model_copy(update={"fingerprint": make_fingerprint(free)})
    with pytest.raises(InputError) as error:
        VideoBackbone.from_graph(file.read_bytes(), spec)
    assert error.value.code == "backbone-batch"


def test_the_engine_gives_its_reason(work, capsys):
    file = to_onnx("Clips", work / "net.onnx", (3, 6, 20, 24))
    model = onnx.load(str(file))
    model.ir_version = 99
    file.write_bytes(model.SerializeToString())
    assert invoke(["export-backbone", "net.onnx", "--spec", "spec.json", "--out", "bb"]) == 2
    assert "IR version: 99" in capsys.readouterr().err


def test_the_network_gives_its_reason(work, capsys):
    assert invoke(["export-backbone", "networks_of_a_test:Neither", "--spec", "spec.json", "--out", "bb"]) == 2
    assert "a reason that only this network knows" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"no graph", b"\x08\x07", b"\x3a\x7f"])
def test_files_that_are_no_onnx(work, data):
    (work / "x.onnx").write_bytes(data)
    with pytest.raises(InputError) as error:
        load_exported(str(work / "x.onnx"), work / "spec.json")
    assert error.value.code == "graph-unreadable"


@pytest.mark.parametrize("text", ["[]", "3", '{"torch": 3, "fps": 1}', '{"image": []}', "{", '{"layout": "NCHW"}'])
def test_spec_files_that_are_no_specs(work, text):
    (work / "s.json").write_text(text)
    with pytest.raises(InputError):
        load_exported("networks_of_a_test:Clips", work / "s.json")
