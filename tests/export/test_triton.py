"""Model repositories for Triton: against Triton's own protobuf, against the graphs, and in ONNX Runtime."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="reading graphs needs onnx")
pytest.importorskip("onnxruntime", reason="running graphs needs onnxruntime")

import onnx
import onnxruntime as ort
from punctum.export.precision.half import to_half
from punctum.export.triton import write_triton
from punctum.runtime import Bundle
from punctum.runtime.bundle.precision import PrecisionRecord
from punctum.runtime.bundle.writer import save_bundle, seal_bundle
from punctum.runtime.cli import invoke
from punctum.runtime.errors import InputError

ASSETS = Path(__file__).parents[2] / "runtime" / "assets"
NUMPY = {"TYPE_FP32": np.float32, "TYPE_INT64": np.int64}
ONNX = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.INT64: "TYPE_INT64"}


def parsed(folder: Path):
    """config.pbtxt as Triton reads it, and its module."""
    pytest.importorskip("tritonclient.grpc", reason="Triton's protobuf comes with tritonclient[grpc]")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    text = (folder / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig()), model_config_pb2


@pytest.fixture(scope="module")
def halved() -> Bundle:
    """The shipped bundle with a variant in half precision."""
    bundle = Bundle.load(ASSETS / "default")
    parts = ("locator", "center")
    files = {part: f"{part}.fp16.onnx" for part in parts}
    graphs = {files[part]: to_half(bundle.graph(part), attention=False, name=part) for part in parts}
    record = PrecisionRecord(files=files, targets=("cuda",))
    draft = bundle.manifest.model_copy(update={"precision": {**bundle.manifest.precision, "fp16": record}})
    return seal_bundle(draft, {**bundle.content, **graphs}, bundle.source)


@pytest.fixture(scope="module")
def repositories(halved: Bundle, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("repositories")
    write_triton(halved, folder / "plain")
    write_triton(halved, folder / "half", precision="fp16", device="cuda", instances=3, name="Half one/2")
    write_triton(Bundle.load(ASSETS / "demo"), folder / "windows", queue_us=0)
    return {path.name: path for path in folder.iterdir()}


MODELS = [
    ("plain", "default_locator", 64),
    ("plain", "default_center", 0),
    ("plain", "default_backbone", 16),
    ("half", "Half-one-2_locator", 64),
    ("half", "Half-one-2_center", 0),
    ("half", "Half-one-2_backbone", 16),
    ("windows", "demo_locator", 0),
    ("windows", "demo_center", 0),
]


@pytest.mark.parametrize(("repository", "name", "most"), MODELS)
def test_the_configuration_is_what_the_graph_says(repositories, repository, name, most):
    folder = repositories[repository] / name
    config, pb = parsed(folder)
    assert (config.name, config.backend, config.max_batch_size) == (name, "onnxruntime", most)
    assert config.HasField("dynamic_batching") == bool(most)
    assert config.WhichOneof("scheduling_choice") in ("dynamic_batching", None)
    model = onnx.load(folder / "1" / "model.onnx")
    onnx.checker.check_model(model)
    for told, values in ((config.input, model.graph.input), (config.output, model.graph.output)):
        assert [t.name for t in told] == [v.name for v in values]
        for tensor, value in zip(told, values, strict=True):
            kind = value.type.tensor_type
            dims = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
            if most:
                assert dims.pop(0) == -1
            assert list(tensor.dims) == dims
            assert pb.DataType.Name(tensor.data_type) == ONNX[kind.elem_type]
            if getattr(tensor, "label_filename", ""):
                assert tensor.dims[-1] == len((folder / tensor.label_filename).read_text().splitlines())


@pytest.mark.parametrize(("repository", "name", "most"), MODELS)
def test_warm_ups_fit_and_run(repositories, repository, name, most):
    folder = repositories[repository] / name
    config, pb = parsed(folder)
    session = ort.InferenceSession(str(folder / "1" / "model.onnx"), providers=["CPUExecutionProvider"])
    assert config.model_warmup
    for warm_up in config.model_warmup:
        assert 1 <= warm_up.batch_size <= max(most, 1)
        feeds = {}
        for tensor in config.input:
            given = warm_up.inputs[tensor.name]
            assert given.data_type == tensor.data_type
            assert len(given.dims) == len(tensor.dims)
            assert all(d == n if n >= 0 else d > 0 for d, n in zip(given.dims, tensor.dims, strict=True))
            stack = (warm_up.batch_size,) if most else ()
            feeds[tensor.name] = np.zeros((*stack, *given.dims), NUMPY[pb.DataType.Name(tensor.data_type)])
        assert set(warm_up.inputs) == set(feeds)
        made = session.run([t.name for t in config.output], feeds)
        for tensor, array in zip(config.output, made, strict=True):
            assert array.dtype == NUMPY[pb.DataType.Name(tensor.data_type)]
            assert np.isfinite(array).all()
            dims = array.shape[1:] if most else array.shape
            assert all(n in (d, -1) for d, n in zip(dims, tensor.dims, strict=True))


def test_what_was_asked_for_is_in_it(repositories, halved):
    config, pb = parsed(repositories["half"] / "Half-one-2_locator")
    assert [(g.count, g.kind) for g in config.instance_group] == [(3, pb.ModelInstanceGroup.KIND_GPU)]
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator[0]
    assert (accelerator.name, dict(accelerator.parameters)) == ("cuda", {"use_tf32": "0"})
    # Given as parameters, or the backend takes its own defaults over those of the accelerator.
    told = {key: config.parameters[key].string_value for key in ("cudnn_conv_algo_search", "arena_extend_strategy")}
    assert told == {"cudnn_conv_algo_search": "1", "arena_extend_strategy": "1"}
    assert list(config.version_policy.specific.versions) == [1]
    assert config.parameters["punctum.bundle"].string_value == halved.id
    assert config.parameters["punctum.precision"].string_value == "fp16"
    model = (repositories["half"] / "Half-one-2_locator" / "1" / "model.onnx").read_bytes()
    assert model == halved.graph("locator", "fp16") != halved.graph("locator")
    config, pb = parsed(repositories["plain"] / "default_locator")
    assert [(g.count, g.kind) for g in config.instance_group] == [(1, pb.ModelInstanceGroup.KIND_CPU)]
    assert "cudnn_conv_algo_search" not in config.parameters
    assert config.parameters["intra_op_thread_count"].string_value == "1"
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    assert (repositories["plain"] / "default_center" / "labels.txt").read_text().split("\n")[:-1] == list(halved.labels)


def test_the_page_names_what_is_there(repositories):
    for folder in repositories.values():
        page = (folder / "README.md").read_text()
        told = json.loads((folder / "punctum.json").read_text())
        assert told["bundle"] in page
        for name in told["models"].values():
            assert (folder / name / "1" / "model.onnx").is_file()
            assert f"`{name}`" in page
        for block in re.findall(r"```python\n(.*?)```", page, re.S):
            compile(block, "page", "exec")
        compile((folder / "client.py").read_text(), "client.py", "exec")
    assert 'name="Half-one-2"' in (repositories["half"] / "README.md").read_text()
    assert "open_backbone" not in (repositories["windows"] / "README.md").read_text()


def test_odd_names_and_labels(tmp_path: Path):
    bundle = Bundle.load(ASSETS / "demo")
    labels = ('say "hi"', "back\\slash", "two\nlines", "größer", "x" * 300, "tab\tbed")
    draft = bundle.manifest.model_copy(update={"labels": labels, "name": 'a "b"\\ ü'})
    names = write_triton(seal_bundle(draft, bundle.content), tmp_path / "out")
    assert names == ["a-b_locator", "a-b_center"]
    config, _ = parsed(tmp_path / "out" / names[0])
    assert config.parameters["punctum.bundle"].string_value.startswith('a "b"\\ ü-1.0.0-')
    lines = (tmp_path / "out" / names[0] / "labels.txt").read_text().splitlines()
    assert lines == ['say "hi"', "back\\slash", "two lines", "größer", "x" * 300, "tab bed"]


def test_only_an_earlier_repository_is_replaced(tmp_path: Path):
    bundle = Bundle.load(ASSETS / "demo")
    out = tmp_path / "models"
    write_triton(bundle, out)
    with pytest.raises(InputError, match="`replace`"):
        write_triton(bundle, out)
    write_triton(bundle, out, name="second", replace=True)
    assert sorted(p.name for p in out.iterdir() if p.is_dir()) == ["second_center", "second_locator"]

    foreign = tmp_path / "foreign"
    (foreign / "resnet" / "1").mkdir(parents=True)
    (foreign / "resnet" / "1" / "model.onnx").write_bytes(b"mine")
    (tmp_path / "file").write_text("x")
    for path in (foreign, tmp_path / "file"):
        with pytest.raises(InputError, match="not a model repository"):
            write_triton(bundle, path, replace=True)
    (tmp_path / "empty").mkdir()
    write_triton(bundle, tmp_path / "empty")
    assert (foreign / "resnet" / "1" / "model.onnx").read_bytes() == b"mine"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"device": "tensorrt"}, "device-unknown"),
        ({"instances": 0}, "triton-instances"),
        ({"queue_us": -1}, "triton-queue"),
        ({"precision": "int8"}, "precision-missing"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options, code):
    with pytest.raises(InputError) as refused:
        write_triton(Bundle.load(ASSETS / "demo"), tmp_path / "out", **options)
    assert refused.value.code == code
    assert not list(tmp_path.iterdir())


def test_a_graph_that_fails_leaves_nothing(tmp_path: Path):
    """Sound for the checker, but with 1 / 0 on every input: the server would warm up with infinities."""
    bundle = Bundle.load(ASSETS / "demo")
    model = onnx.load_from_string(bundle.graph("center"))
    last = next(node for node in model.graph.node if "center" in node.output)
    last.output[:] = ["before" if name == "center" else name for name in last.output]
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "nought")
    model.graph.initializer.append(zero)
    model.graph.node.append(onnx.helper.make_node("Div", ["before", "nought"], ["center"]))
    content = {**bundle.content, bundle.manifest.center.file: model.SerializeToString()}
    with pytest.raises(InputError, match="not finite") as refused:
        write_triton(seal_bundle(bundle.manifest, content), tmp_path / "out")
    assert refused.value.code == "triton-graph"
    assert not list(tmp_path.iterdir())


def test_command(tmp_path: Path, halved: Bundle, capsys):
    save_bundle(halved, tmp_path / "bundle")
    out = tmp_path / "models"
    chosen = ["export", str(tmp_path / "bundle"), "--triton", str(out), "--precision", "fp16"]
    assert invoke(chosen) == 2
    assert "fp16 is made for cuda" in capsys.readouterr().err
    assert not out.exists()
    assert invoke([*chosen, "--device", "cuda"]) == 0
    assert "wrote default_locator, default_center, default_backbone" in capsys.readouterr().out
    assert json.loads((out / "punctum.json").read_text())["precision"] == "fp16"
    assert invoke(["export", str(tmp_path / "bundle"), "--triton", str(out)]) == 2
    assert "--replace" in capsys.readouterr().err
    assert invoke(["export", str(tmp_path / "bundle"), "--triton", str(out), "--replace"]) == 0
    assert json.loads((out / "punctum.json").read_text())["precision"] == "fp32"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["BUNDLE", "--triton", "OUT", "--out", "X"], "--out has no effect with --triton"),
        (["BUNDLE", "--triton", "OUT", "--max-map-drop", "1"], "--max-map-drop has no effect with --triton"),
        (["BUNDLE", "--out", "X", "--instances", "2"], "--instances has no effect without --triton"),
        (["BUNDLE"], "--out is missing"),
        (["FOLDER", "--triton", "OUT"], "is not a bundle"),
        (["MISSING", "--triton", "OUT"], "does not exist"),
    ],
)
def test_commands_that_lead_nowhere(tmp_path: Path, arguments, told, capsys):
    (tmp_path / "FOLDER").mkdir()
    paths = {"BUNDLE": ASSETS / "demo"} | {name: tmp_path / name for name in ("OUT", "X", "FOLDER", "MISSING")}
    assert invoke(["export", *(str(paths.get(a, a)) for a in arguments)]) == 2
    assert told in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["FOLDER"]
