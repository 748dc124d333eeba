"""Parts that cannot be composed: each is refused by a code, with nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402
from punctum.export.parts.compose import compose_backbone  # noqa: E402
from punctum.export.parts.options import parse_part  # noqa: E402
from punctum.runtime import InputError  # noqa: E402
from punctum.runtime.cli import invoke  # noqa: E402

from tests.helpers.backbones import graph, spec  # noqa: E402
from tests.helpers.part_networks import SPEC, image_network, node  # noqa: E402


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def write(data: bytes, **changes: object) -> None:
    Path("net.onnx").write_bytes(data)
    Path("net.json").write_text(json.dumps({**SPEC, **changes}))


def folder(name: str, **changes: object) -> None:
    of = spec(**changes)
    Path(name).mkdir()
    (Path(name) / "backbone.onnx").write_bytes(graph(of))
    (Path(name) / "backbone.json").write_text(of.model_dump_json())


def refused(code: str, *texts: str, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        compose_backbone([parse_part(text) for text in texts], **options)
    assert caught.value.code == code, str(caught.value)
    assert caught.value.next_step
    return str(caught.value)


# --- hostile and unfit networks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "changes", "told"),
    [
        (lambda: image_network(height=21), {}, "takes [N, 3, 21, 24]"),
        (lambda: image_network(batch=2), {}, "takes exactly 2 at a time"),
        (lambda: image_network(), {"layout": "NHWC"}, "takes [N, 3, 20, 24]"),
        (lambda: image_network(), {"colour": "gray", "mean": [0], "std": [1]}, "[N, 1, 20, 24]"),
        (lambda: image_network(output_nodes=(node("Identity", ["r"], ["features"]),)), {}, "not pooled"),
        (lambda: image_network(), {"output": "nowhere"}, "has no tensor nowhere"),
        (lambda: image_network(output_nodes=(node("ReduceMean", ["pooled"], ["features"]),)), {}, "[1, 1] for 3"),
        (lambda: image_network(output_nodes=(node("Cast", ["pooled"], ["features"], to=10),)), {}, "float16"),
        (lambda: image_network(dim=70_000), {}, "at most 65,536"),
        (lambda: image_network(output_nodes=(node("Reshape", ["pooled", "many"], ["features"]),)), {}, "does not run"),
    ],
)
def test_networks_that_do_not_fit(data, changes, told):
    write(data(), **changes)
    assert told in refused("part-graph", "net.onnx")


def test_an_operator_that_no_engine_has():
    nodes = (node("Secret", ["pooled"], ["features"], domain="elsewhere"),)
    write(image_network(output_nodes=nodes, imports=(helper.make_opsetid("elsewhere", 1),)))
    with pytest.raises(InputError):
        compose_backbone([parse_part("net.onnx")])


def test_values_that_are_not_finite():
    write(image_network(output_nodes=(node("Mul", ["pooled", "nan"], ["features"]),)))
    assert "Part net returns NaN" in refused("features-not-finite", "net.onnx")


def test_features_that_depend_on_the_batch():
    nodes = (
        node("ReduceMean", ["pooled"], ["all"], keepdims=1),
        node("Sub", ["pooled", "all"], ["features"]),
    )
    write(image_network(output_nodes=nodes))
    refused("backbone-batch", "net.onnx")


def test_several_inputs_and_no_output():
    model = onnx.load_from_string(image_network())
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"]))
    write(model.SerializeToString())
    assert "several inputs" in refused("part-graph", "net.onnx")
    model = onnx.load_from_string(image_network())
    model.graph.output.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, None))
    write(model.SerializeToString())
    assert "features, pooled" in refused("part-graph", "net.onnx")


def test_another_type_of_input():
    model = onnx.load_from_string(image_network())
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    model.graph.node.insert(0, node("Cast", ["x"], ["cast"], to=1))
    model.graph.node[1].input[0] = "cast"
    write(model.SerializeToString())
    assert "double" in refused("part-graph", "net.onnx")


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x08\x09"])
def test_files_that_are_not_onnx(data):
    write(data)
    refused("graph-unreadable", "net.onnx")


def test_weights_in_another_file():
    """Those beside the graph are taken in; those anywhere else are refused."""
    model = onnx.load_from_string(image_network())
    weights = next(t for t in model.graph.initializer if t.name == "w")
    raw = weights.raw_data
    for place in ("net.data", "../net.data", "/etc/hostname"):
        weights.ClearField("raw_data")
        del weights.external_data[:]
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=place)
        write(model.SerializeToString())
        if place == "net.data":
            Path("net.data").write_bytes(raw)
            whole = compose_backbone([parse_part("net.onnx")]).backbone.graph
            assert raw in whole
        else:
            Path("../net.data").write_bytes(raw)
            refused("backbone-weights", "net.onnx")


def test_an_operator_set_that_cannot_be_converted():
    """Two networks of one domain in two versions cannot be in one graph."""
    for name, version in (("a", 1), ("b", 3)):
        nodes = (node("Scaler", ["pooled"], ["features"], domain="ai.onnx.ml", offset=[0.0] * 6, scale=[2.0] * 6),)
        data = image_network(output_nodes=nodes, imports=(helper.make_opsetid("ai.onnx.ml", version),))
        Path(f"{name}.onnx").write_bytes(data)
        Path(f"{name}.json").write_text(json.dumps(SPEC))
    assert compose_backbone([parse_part("a.onnx")]).backbone.dim == 6
    refused("part-opset", "a.onnx", "b.onnx")


# --- parts that do not fit each other -------------------------------------------------------------------------------


def test_strides_rates_and_sizes():
    folder("a")
    folder("b", snippet_frames=3)
    assert "0.3 s" in refused("part-stride", "a", "b")
    folder("c", fps=7 * 10.0, snippet_frames=14)
    folder("d", fps=13 * 10.0, snippet_frames=26)
    refused("part-rate", "c", "d")
    assert "cannot have: a clip and a snippet" in refused("part-clip", "a", size=(16_000, 16_000))
    assert "cannot have: clip_frames: " in refused("part-clip", "a,give=change,lag=100000")


def test_too_many_columns_and_parts():
    write(image_network(dim=40_000))
    assert "80,000" in refused("part-count", "net.onnx,give=both")
    refused("part-count", *["motion"] * 65)


def test_components():
    write(image_network())
    assert "6 columns" in refused("part-components", "net.onnx,components=7")


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("net.onnx,color=red", "has the option color"),
        ("net.onnx,frames=first", "frames=first"),
        ("net.onnx,give=both,give=change", "give twice"),
        ("net.onnx,components=0", "components=0"),
        ("net.onnx,components=9999999999", "components=9999999999"),
        ("net.onnx,lag=2", "lag, which has no effect"),
        ("net.onnx,name=a b", "name=a b"),
        ("net.onnx,license=", "license="),
        (",frames=last", "names no source"),
        ("clips,frames=mean", "network of clips"),
        ("clips,spec=x.json", "spec does not apply"),
        ("motion,license=MIT", "license does not apply"),
        ("motion,weights=random", "weights=random does not apply"),
        ("net.onnx,weights=random", "weights=random does not apply"),
        ("open-nsfw-resnet50,weights=random", "weights=random does not apply"),
    ],
)
def test_options_that_are_wrong_or_have_no_effect(text, told):
    write(image_network())
    folder("clips")
    assert told in refused("part-option", text)


def test_sources_that_do_not_exist():
    assert "efficientnet-lite0" in refused("part-missing", "efficientnet-lite1")
    Path("alone.onnx").write_bytes(image_network())
    assert "alone.json" in refused("backbone-spec", "alone.onnx")
    refused("weights-missing", "efficientnet-lite0")
    Path("empty").mkdir()
    refused("backbone-missing", "empty")


@pytest.mark.parametrize(
    "changes", [{"layout": "CHW"}, {"image": "first"}, {"output": 3}, {"flatten": 1}, {"fps": "x"}, {"std": [0, 0, 0]}]
)
def test_wrong_specs(changes):
    write(image_network(), **changes)
    refused("backbone-spec", "net.onnx")


def test_a_path_with_commas():
    Path("a,b").mkdir()
    Path("a,b/net.onnx").write_bytes(image_network())
    Path("a,b/other.json").write_text(json.dumps(SPEC))
    options = parse_part("a,b/net.onnx,spec=a,b/other.json,frames=last")
    assert (options.source, options.spec, options.frames) == ("a,b/net.onnx", "a,b/other.json", "last")
    assert compose_backbone([options]).backbone.dim == 6


# --- the commands -----------------------------------------------------------------------------------------------------


def test_the_command_says_what_comes_next_and_warns_of_many_columns(capsys, monkeypatch):
    write(image_network())
    call = ["backbones", "compose", "--part", "net.onnx", "--out", "made"]
    assert invoke(call) == 0
    said = capsys.readouterr().err
    assert "Next: punctum train VIDEOS --backbone shipped --backbone made" in said and "note" not in said
    monkeypatch.setattr("punctum.export.cli.backbones.MANY", 6)
    assert invoke([*call, "--replace"]) == 0
    assert "the 6 columns of net; components=64" in capsys.readouterr().err


def test_the_command_writes_a_folder_or_nothing(capsys):
    write(image_network())
    assert invoke(["backbones", "compose", "--part", "net.onnx", "--part", "nowhere", "--out", "made"]) == 2
    assert "part-missing" in capsys.readouterr().err
    assert not Path("made").exists()
    assert invoke(["backbones", "compose", "--part", "net.onnx,license=MIT", "--out", "made", "--time"]) == 0
    told = capsys.readouterr().out
    assert "6 features every 0.2 s" in told
    assert "columns 0 to 5, frames=middle, MIT" in told
    assert "ms per frame" in told
    assert sorted(p.name for p in Path("made").iterdir()) == ["backbone.json", "backbone.onnx"]
    assert invoke(["backbones", "compose", "--part", "net.onnx", "--out", "made"]) == 2
    capsys.readouterr()
    assert (
        invoke(
            ["backbones", "compose", "--part", "net.onnx", "--size", "30x40", "--out", "made", "--replace", "--json"]
        )
        == 0
    )
    record = json.loads(capsys.readouterr().out)
    assert record["dim"] == 6
    assert json.loads(Path("made/backbone.json").read_text())["height"] == 30
    assert invoke(["backbones", "compose", "--part", "made", "--out", "made", "--replace"]) == 2
    assert "output-is-input" in capsys.readouterr().err


def test_options_of_the_command(capsys):
    write(image_network())
    for arguments, told in (
        (["--part", "net.onnx", "--footage", "x.mp4"], "--footage has no effect"),
        (["--part", "net.onnx,components=2"], "add --footage"),
        (["--part", "net.onnx", "--size", "big"], "--size is big"),
        (["--part", "net.onnx", "--size", "0x4"], "--size is 0x4"),
        (["--part", "net.onnx,lag=1"], "--part net.onnx,lag=1 has lag"),
    ):
        assert invoke(["backbones", "compose", *arguments, "--out", "made"]) == 2
        assert told in capsys.readouterr().err
        assert not Path("made").exists()


def test_the_list(capsys):
    assert invoke(["backbones"]) == 0
    told = capsys.readouterr().out
    assert "efficientnet-lite0: appearance" in told
    assert "18.8 MB, not on this machine, license Apache-2.0" in told
    assert invoke(["backbones", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["motion"]["at_hand"]
    assert not rows["efficientnet-lite0"]["at_hand"]
    assert "ms_per_frame" not in rows["motion"]


def test_motion_is_composed_alone_without_loss():
    made = compose_backbone([parse_part("motion")])
    assert made.parity == {"motion": 0.0}
    assert np.isfinite(made.backbone.spec.fingerprint.mean)


@pytest.mark.slow
def test_costs_are_measured_without_weights(capsys):
    assert invoke(["backbones", "list", "--time"]) == 0
    told = capsys.readouterr().out
    assert told.count("ms per frame") == 2  # motion, and EfficientNet-Lite0 with random weights
    assert invoke(["backbones", "list", "--time", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows if row["ms_per_frame"]] == ["motion", "efficientnet-lite0"]
