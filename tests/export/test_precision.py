"""Precision variants: what runs in which type, how far it is from fp32, what it costs, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="making variants needs onnx")
pytest.importorskip("onnxruntime", reason="making variants needs onnxruntime")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from punctum.export.precision import variants
from punctum.export.precision.accuracy import measure_reference
from punctum.export.precision.half import MAX_HALF, emulate_half, to_half
from punctum.export.precision.integer import to_int8
from punctum.export.precision.recordings import open_data
from punctum.export.precision.variants import VARIANTS, add_variants
from punctum.runtime import Bundle, Localizer
from punctum.runtime.backends.options import EngineSpec
from punctum.runtime.bundle.writer import seal_bundle
from punctum.runtime.cli import invoke
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.synthetic.sensors import make_sequence, write_demo_dataset

ASSETS = Path(__file__).parents[2] / "runtime" / "assets"
F32, F16 = TensorProto.FLOAT, TensorProto.FLOAT16


def network(*, scale: float = 1.0, hidden: int = 64, seed: int = 0) -> bytes:
    """x [N, 16] -> Gemm, Relu, Gemm, Softmax, CumSum over rows: something of every kind."""
    rng = np.random.default_rng(seed)
    weights = {
        "w": scale * rng.normal(0, 0.3, (16, hidden)),
        "b": rng.normal(0, 0.1, hidden),
        "v": rng.normal(0, 0.3, (hidden, 16)),
    }
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    stored.append(numpy_helper.from_array(np.array(0, np.int64), "axis"))
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
        helper.make_node("CumSum", ["p", "axis"], ["y"]),
    ]
    given = helper.make_tensor_value_info("x", F32, ["N", 16])
    made = helper.make_tensor_value_info("y", F32, ["N", 16])
    graph = helper.make_graph(nodes, "g", [given], [made], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


def run(graph: bytes, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def types(graph: bytes) -> dict[str, set[int]]:
    """Operator -> types of its first inputs."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    known = {v.name: v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.value_info)}
    known |= {t.name: t.data_type for t in model.graph.initializer}
    found: dict[str, set[int]] = {}
    for node in model.graph.node:
        found.setdefault(node.op_type, set()).add(known[node.input[0]])
    return found


# ---------------------------------------------------------------- fp16


def test_products_are_half_and_sums_are_not():
    found = types(to_half(network()))
    assert found["Gemm"] == found["MatMul"] == found["Relu"] == {F16}
    assert found["Softmax"] == found["CumSum"] == {F32}
    model = onnx.load_from_string(to_half(network()))
    ends = (*model.graph.input, *model.graph.output)
    assert {value.type.tensor_type.elem_type for value in ends} == {F32}


def test_small_products_and_large_constants_stay_as_they_are():
    assert types(to_half(network(hidden=8)))["Gemm"] == {F32}
    assert types(to_half(network(scale=1e7)))["Gemm"] == {F32}


@pytest.mark.parametrize("name", ["demo", "default"])
def test_time_stays_exact_in_real_graphs(name):
    bundle = Bundle.load(ASSETS / name)
    for part in ("locator", "center"):
        found = types(to_half(bundle.graph(part)))
        products = [found[op] for op in ("Conv", "Gemm", "MatMul") if op in found]
        assert any(F16 in kinds for kinds in products)
        for op in ("Softmax", "Sigmoid", "CumSum", "ReduceMean", "LayerNormalization", "Exp", "Floor", "Div"):
            assert F16 not in found.get(op, set()), (part, op)


def test_the_emulation_is_what_half_gives():
    """Rounding by arithmetic against NumPy's own float16, products summed in float32."""
    x = np.random.default_rng(1).normal(0, 1, (50, 16)).astype(np.float32)
    model = onnx.load_from_string(network())
    w, b, v = (numpy_helper.to_array(t).astype(np.float16).astype(np.float32) for t in model.graph.initializer[:3])

    def half(values):
        return values.astype(np.float16).astype(np.float32)

    z = half(half(np.maximum(half(half(x) @ w + b), 0)) @ v)
    p = np.exp(z - z.max(1, keepdims=True))
    expected = np.cumsum(p / p.sum(1, keepdims=True), axis=0)
    emulated = run(emulate_half(network()), x)
    np.testing.assert_allclose(emulated, expected, atol=0.05, rtol=2e-3)
    exact = run(network(), x)
    assert 0 < np.abs(emulated - exact).max() < 0.05 * len(x)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=16, max_size=16))
@settings(max_examples=60)
def test_rounding_is_that_of_float16(values):
    """The input of the first product, seen through an identity: every float32 to its nearest float16."""
    eye = np.zeros((16, 64), np.float32)
    eye[:, :16] = np.eye(16)
    back = np.eye(64, 16, dtype=np.float32)
    stored = [numpy_helper.from_array(eye, "w"), numpy_helper.from_array(back, "v")]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "v"], ["y"])]
    ends = [helper.make_tensor_value_info(name, F32, ["N", 16]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    x = np.array([values], np.float32)
    got = run(emulate_half(model.SerializeToString()), x)
    if np.abs(x).max() > MAX_HALF:
        assert not np.isfinite(got).all() or np.abs(x).max() < MAX_HALF + 16  # which float16 still rounds down
        return
    np.testing.assert_allclose(got, x.astype(np.float16).astype(np.float32), rtol=0, atol=6.1e-8)


def test_what_half_cannot_hold_is_no_number():
    x = np.full((3, 16), 1e4, np.float32)
    with np.errstate(all="ignore"):
        assert np.isnan(run(emulate_half(network(scale=50)), x)).any()
    assert np.isfinite(run(network(scale=50), x)).all()


# ---------------------------------------------------------------- int8


@pytest.mark.parametrize("style", ["cpu", "tensorrt"])
def test_pairs_around_products(style):
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.normal(0, 1, (20, 16)).astype(np.float32)} for _ in range(8)]
    made = to_int8(network(), feeds, style=style)
    assert made == to_int8(network(), feeds, style=style)
    model = onnx.load_from_string(made)
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    weights = [held[n.input[0]] for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in held]
    matrices = [w for w in weights if w.ndim == 2]
    assert len(matrices) == 2
    assert all(w.dtype == np.int8 for w in matrices)
    pairs = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    zeros = [held[n.input[2]] for n in pairs]
    if style == "cpu":  # two products of uint8 and seven bits fit into sixteen
        assert max(np.abs(w.astype(int)).max() for w in matrices) <= 64
        assert {z.dtype for z in zeros} == {np.dtype(np.uint8)}
    else:
        assert max(np.abs(w.astype(int)).max() for w in matrices) > 64
        assert {z.dtype for z in zeros} == {np.dtype(np.int8)}
        assert not any(z.any() for z in zeros)
        assert len(weights) == 2  # no quantized bias
    x = rng.normal(0, 1, (20, 16)).astype(np.float32)
    assert np.abs(run(made, x)[-1] - run(network(), x)[-1]).max() < 0.05 * len(x)
    kinds = {n.op_type for n in model.graph.node}
    assert {"Softmax", "CumSum"} <= kinds


def test_nothing_to_gain():
    x = np.zeros((2, 16), np.float32)
    assert to_int8(network(hidden=8), [{"x": x}], style="cpu") is None


@pytest.mark.parametrize("make", [to_half, emulate_half, lambda graph: to_int8(graph, [], style="cpu")])
@pytest.mark.parametrize("harm", [b"not a graph", b"", network()[:-40]])
def test_no_graph(make, harm):
    with pytest.raises(InputError, match="not a valid ONNX"):
        make(harm)


# ---------------------------------------------------------------- a bundle and its data


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "demo"
    write_demo_dataset(folder, videos=8, seed=3, seconds=40)
    return folder


@pytest.fixture(scope="module")
def made(data, tmp_path_factory) -> Path:
    """The demo bundle with all variants, through the command."""
    out = tmp_path_factory.mktemp("made") / "bundle"
    given = ["quantize", str(ASSETS / "demo"), str(data), "--out", str(out), "--max-map-drop", "20"]
    assert invoke([*given, "--precision", "fp16, int8,int8-trt,int8"]) == 0
    return out


def test_variants_carry_their_records(made, data):
    before, bundle = Bundle.load(ASSETS / "demo"), Bundle.load(made)
    assert set(bundle.manifest.precisions) == {"fp32", *VARIANTS}
    assert bundle.id != before.id
    for name, variant in VARIANTS.items():
        record = bundle.manifest.precision[name]
        assert record.targets == variant.targets
        assert set(record.files) == {"locator", "center"}
        assert 0 < record.parity["worst"] < 0.5
        assert {"locator", "center", "locator_data", "center_data"} <= set(record.parity)
        assert record.accuracy.videos == 2
        assert record.accuracy.truth == "annotations"
        assert record.accuracy.drop == pytest.approx(100 * (record.accuracy.reference_map - record.accuracy.map))
        assert record.accuracy.reference_map > 0.5
        assert (record.calibration is None) == (name == "fp16")
        assert ort.__version__ in record.engine
        for part in ("locator", "center"):
            assert bundle.graph(part, name) != bundle.graph(part)
            assert len(bundle.graph(part, name)) < 0.75 * len(bundle.graph(part))
    assert bundle.manifest.precision["int8"].calibration["videos"] == 6
    for part in ("locator", "center"):
        assert bundle.graph(part) == before.graph(part)


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_variants_stream_as_they_run_offline(made, precision):
    localizer = Localizer(Bundle.load(made), precision=precision)
    assert localizer.backend.precision == precision
    rows = make_sequence(77, seconds=40).features
    offline = localizer.localize(rows)
    live = [e for e in localizer.stream(rows[t : t + 7] for t in range(0, len(rows), 7)) if e.phase == "final"]
    assert [(e.label, e.id) for e in live] == [(e.label, e.id) for e in offline]
    for name in ("start", "end", "score"):
        np.testing.assert_allclose([getattr(e, name) for e in live], [getattr(e, name) for e in offline], atol=1e-4)


def test_making_one_again_changes_nothing(made, data, tmp_path):
    """From what it made itself: fp32 is the source, so nothing is quantized twice."""
    out = tmp_path / "again"
    assert invoke(["quantize", str(made), str(data), "--out", str(out), "--max-map-drop", "20", "--json"]) == 0
    assert Bundle.load(out).id == Bundle.load(made).id


def test_truth_is_not_needed_and_then_fp32_is_the_measure(data, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(data, plain)
    (plain / "gt.json").unlink()
    bundle = Bundle.load(ASSETS / "demo")
    reference = measure_reference(bundle, open_data(bundle, plain, None))
    assert reference.least_score > 0
    assert reference.reference_map > 0.95
    (plain / "test.txt").unlink()
    with pytest.raises(InputError, match="test"):
        measure_reference(bundle, open_data(bundle, plain, None))


@pytest.mark.slow
def test_one_that_loses_too_much_is_refused_and_leaves_nothing(data, tmp_path, monkeypatch, capsys):
    usual = variants.measure_reference
    monkeypatch.setattr(variants, "measure_reference", lambda *a, **k: replace(usual(*a, **k), reference_map=1.0))
    out = tmp_path / "out"
    given = ["quantize", str(ASSETS / "demo"), str(data), "--out", str(out), "--precision", "fp16,int8"]
    assert invoke([*given, "--max-map-drop", "0.001"]) == 1
    said = capsys.readouterr().err
    assert "int8 loses" in said
    assert "fp16 loses" in said
    assert "--max-map-drop" in said
    assert not out.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_network_beyond_half_is_refused_by_name(data, tmp_path):
    """Weights so large that sums leave fp16: an error, never a variant that gives NaN."""
    bundle = Bundle.load(ASSETS / "demo")
    model = onnx.load_from_string(bundle.graph("locator"))
    first = next(t for t in model.graph.initializer if np.prod(t.dims) >= 512 and t.data_type == F32)
    values = numpy_helper.to_array(first)
    first.CopyFrom(numpy_helper.from_array((values * (6e4 / np.abs(values).max())).astype(np.float32), first.name))
    content = {**bundle.content, "locator.onnx": model.SerializeToString()}
    wild = seal_bundle(bundle.manifest, content, bundle.source)
    with pytest.raises(PunctumError) as caught:
        add_variants(wild, ["fp16"], open_data(wild, data, None), max_map_drop=100)
    assert caught.value.code == "precision-overflow"
    assert "fp16" in caught.value.given


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    pytest.importorskip("av", reason="videos need PyAV")
    from punctum.runtime.synthetic.video import write_videos

    folder = tmp_path_factory.mktemp("videos") / "videos"
    write_videos(folder, count=3, seed=9, seconds=6.0, size=(120, 160), fps=20.0)
    return folder


@pytest.mark.slow
def test_a_backbone_has_a_fingerprint_of_its_own(videos):
    from punctum.runtime.backbone.backbone import VideoBackbone

    bundle = Bundle.load(ASSETS / "default")
    data = open_data(bundle, videos, None)
    made = add_variants(bundle, ["int8"], data, max_map_drop=100)
    record = made.manifest.precision["int8"]
    assert set(record.files) == {"locator", "center", "backbone"}
    assert record.parity["backbone_data"] > 0
    assert record.fingerprint != made.manifest.backbone.fingerprint
    assert VideoBackbone.open(made, EngineSpec(precision="int8")).precision == "int8"
    assert VideoBackbone.open(made).precision == "fp32"
    # Another graph under that name has other features than those that were recorded.
    swapped = made.content | {record.files["backbone"]: emulate_half(_noisy(made.graph("backbone")))}
    with pytest.raises(InputError, match="differs from those of the export"):
        VideoBackbone.open(seal_bundle(made.manifest, swapped, "swapped"), EngineSpec(precision="int8"))


def _noisy(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.data_type == F32 and np.prod(tensor.dims) >= 512:
            values = numpy_helper.to_array(tensor)
            values = values + rng.normal(0, values.std(), values.shape).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    return model.SerializeToString()


@pytest.mark.slow
def test_a_backbone_that_costs_too_much_stays_fp32(videos, monkeypatch):
    bundle = Bundle.load(ASSETS / "default")
    usual = variants.AccuracyReference.measure

    def measure(self, trial, name):
        found = usual(self, trial, name)
        return found.model_copy(update={"drop": 9.0 if "backbone" in trial.manifest.precision[name].files else 0.1})

    monkeypatch.setattr(variants.AccuracyReference, "measure", measure)
    said: list[str] = []
    made = add_variants(bundle, ["int8"], open_data(bundle, videos, None), report=said.append)
    assert set(made.manifest.precision["int8"].files) == {"locator", "center"}
    assert "trying without it" in said[0]
    assert made.graph("backbone", "int8") == bundle.graph("backbone")


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--precision", "int4"], "fp16"),
        (["--precision", " , "], "comma-separated"),
        (["--precision", "fp32"], "fp32 is always present"),
        (["--max-map-drop", "nan"], "points of mAP"),
        (["--max-map-drop", "-1"], "points of mAP"),
        (["--split", "split_9"], "split_9"),
    ],
)
def test_options_that_make_no_sense(data, tmp_path, capsys, options, says):
    assert invoke(["quantize", str(ASSETS / "demo"), str(data), "--out", str(tmp_path / "out"), *options]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_data_that_does_not_fit(data, tmp_path):
    bundle = Bundle.load(ASSETS / "demo")

    def harmed(name, change) -> Path:
        folder = tmp_path / name
        shutil.copytree(data, folder)
        change(folder)
        return folder

    def rename(folder):
        for file in ("dataset.json", "gt.json", "points.csv"):
            (folder / file).write_text((folder / file).read_text().replace("swipe", "swap"))

    with pytest.raises(InputError, match="swipe"):
        open_data(bundle, harmed("labels", rename), None)

    def louder(folder):
        for file in (folder / "features").iterdir():
            np.save(file, np.load(file) * 10)

    with pytest.raises(InputError, match="Training features of"):
        add_variants(bundle, ["int8"], open_data(bundle, harmed("louder", louder), None))

    def narrower(folder):
        told = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps(told | {"feature_dim": 5}))

    with pytest.raises(InputError, match="dimension 5"):
        open_data(bundle, harmed("narrower", narrower), None)
    with pytest.raises(InputError, match="no training videos"):
        add_variants(
            bundle, ["int8"], open_data(bundle, harmed("untrained", lambda f: (f / "train.txt").write_text("")), None)
        )


def test_nothing_is_replaced_unasked(made, data, capsys):
    before = Bundle.load(made).id
    assert invoke(["quantize", str(ASSETS / "demo"), str(data), "--out", str(made)]) == 2
    assert "exists" in capsys.readouterr().err
    assert Bundle.load(made).id == before
