"""punctum build with a real library and no GPU: every graph, in every precision, for two compute capabilities.

Of the second capability only fp16, or all with PUNCTUM_EXHAUSTIVE=1: precision and capability do not interact.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorrt_rtx_libs", reason="building engines without a GPU needs tensorrt-rtx-cu13-libs")
pytest.importorskip("tensorrt_rtx_bindings", reason="building engines needs tensorrt-rtx-cu13-bindings")
pytest.importorskip("onnx", reason="making variants needs onnx")
pytest.importorskip("onnxruntime", reason="making variants needs onnxruntime")

from punctum.export.precision.half import to_half
from punctum.export.precision.integer import to_int8
from punctum.export.precision.recordings import open_data
from punctum.export.precision.variants import VARIANTS, add_variants
from punctum.runtime import Bundle
from punctum.runtime.backends.open import open_backend
from punctum.runtime.backends.tensorrt import build_engines, check_engines
from punctum.runtime.backends.tensorrt.build import BuildRequest
from punctum.runtime.backends.tensorrt.check import malformed
from punctum.runtime.backends.tensorrt.cuda import gpu_here
from punctum.runtime.backends.tensorrt.key import Gpu
from punctum.runtime.backends.tensorrt.library import load_library, pick_capabilities
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.bundle.precision import PrecisionRecord
from punctum.runtime.bundle.writer import save_bundle, seal_bundle
from punctum.runtime.cli import invoke
from punctum.runtime.errors import InputError
from punctum.runtime.synthetic.sensors import write_demo_dataset

from tests.helpers.exhaustive import EXHAUSTIVE

pytestmark = pytest.mark.slow

ASSETS = Path(__file__).parents[2] / "runtime" / "assets"
CAPABILITIES = ("8.6", "12.0")
PRECISIONS = ("fp32", "fp16", "int8-trt")
BUILDS = (  # precisions, and the capabilities that they are built for
    [(PRECISIONS, CAPABILITIES)]
    if EXHAUSTIVE
    else [(("fp16",), CAPABILITIES), (("fp32", "int8-trt"), CAPABILITIES[:1])]
)
WANTED = {pair for build in BUILDS for pair in product(*build)}
CLIP = (4, 3, 12, 16)
ADA = Gpu("Some Ada", "8.6", "580.65.06", "13.0")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """The demo bundle in every precision."""
    folder = tmp_path_factory.mktemp("bundles")
    write_demo_dataset(folder / "data", videos=4, seed=3, seconds=30)
    demo = Bundle.load(ASSETS / "demo")
    data = open_data(demo, folder / "data", None)
    save_bundle(add_variants(demo, list(VARIANTS), data, max_map_drop=100), folder / "demo")
    return folder / "demo"


@pytest.fixture(scope="module")
def engines(bundle, tmp_path_factory) -> tuple[Path, list[dict]]:
    """All engines of the demo bundle, through the command, and what it said of them."""
    folder = tmp_path_factory.mktemp("engines")
    built = []
    for precisions, capabilities in BUILDS:
        told = io.StringIO()
        given = ["build", str(bundle), "--out", str(folder), "--library", "tensorrt_rtx", "--json"]
        if precisions != PRECISIONS:
            given += ["--precision", ",".join(precisions)]
        with contextlib.redirect_stdout(told):
            assert invoke([*given, "--compute-capability", ",".join(capabilities)]) == 0
        built += json.loads(told.getvalue())["engines"]
    return folder, built


def copy_of_one(engines: tuple[Path, list[dict]], folder: Path) -> str:
    """The key of the engine of the scorer in fp32, whose files are copied."""
    (key,) = (
        engine["key"]
        for engine in engines[1]
        if (engine["part"], engine["precision"], engine["compute_capability"]) == ("center", "fp32", "8.6")
    )
    for path in engines[0].glob(f"*{key}*"):
        shutil.copy(path, folder)
    return key


def convolution() -> bytes:
    """A backbone with products large enough to be worth a variant."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(0, 0.2, (16, 3, 3, 3, 3)),
        "v": rng.normal(0, 0.3, (16, 64)),
        "u": rng.normal(0, 1, (64, 8)),
    }
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    stored.append(numpy_helper.from_array(np.array([2, 3, 4], np.int64), "axes"))
    nodes = [
        helper.make_node("Transpose", ["clips"], ["turned"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Conv", ["turned", "w"], ["c"], kernel_shape=[3, 3, 3], pads=[1] * 6),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r", "axes"], ["m"], keepdims=0),
        helper.make_node("MatMul", ["m", "v"], ["h"]),
        helper.make_node("MatMul", ["h", "u"], ["features"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *size])
        for name, size in (("clips", CLIP), ("features", (8,)))
    ]
    graph = helper.make_graph(nodes, "backbone", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def test_every_graph_in_every_precision_for_every_capability(engines):
    folder, built = engines
    made = {(e["part"], e["precision"], e["compute_capability"]) for e in built}
    assert made == {(part, *pair) for part, pair in product(("locator", "center"), WANTED)}
    for engine in built:
        print(f"{engine['part']} {engine['precision']} {engine['compute_capability']}: {engine['seconds']} s")
        assert not engine["kept"]
        assert engine["seconds"] > 0
        assert (folder / engine["file"]).stat().st_size == engine["bytes"] > 10_000
        record = json.loads(next(folder.glob(f"*{engine['key']}.json")).read_text())
        assert record["key"]["capability"] == engine["compute_capability"]
        assert record["facts"]["layers"] > 5
        assert len(json.loads(record["key"]["profiles"])) == 2
    assert len({engine["key"] for engine in built}) == len(built)


def test_what_goes_in_is_the_same_in_every_precision(engines):
    folder, built = engines
    kinds: dict[tuple[str, str], set[str]] = {}
    for engine in built:
        record = json.loads(next(folder.glob(f"*{engine['key']}.json")).read_text())
        for name, (kind, *_) in record["facts"]["inputs"].items():
            kinds.setdefault((engine["part"], name), set()).add(kind)
    assert kinds["locator", "features"] == kinds["center", "segments"] == {"float"}
    assert kinds["center", "labels"] == {"int64"}


def test_a_backbone_in_every_precision_for_every_capability(tmp_path):
    graph = convolution()
    clips = [{"clips": np.random.default_rng(k).normal(0, 1, (1, *CLIP)).astype(np.float32)} for k in range(4)]
    files = {"fp16": to_half(graph, attention=True), "int8-trt": to_int8(graph, clips, style="tensorrt")}
    demo = Bundle.load(ASSETS / "demo")
    spec = BackboneSpec(
        fps=20.0, clip_frames=4, snippet_frames=2, height=12, width=16, mean=(0.4, 0.5, 0.4), std=(0.2, 0.2, 0.2)
    )
    names = {name: f"backbone.{name}.onnx" for name in files}
    records = {name: PrecisionRecord(files={"backbone": names[name]}, targets=("tensorrt",)) for name in files}
    content = {**demo.content, spec.file: graph, **{names[name]: data for name, data in files.items()}}
    made_up = seal_bundle(demo.manifest.model_copy(update={"backbone": spec, "precision": records}), content, "made")
    built = []
    for precisions, capabilities in BUILDS:
        request = BuildRequest(precisions, capabilities, library="tensorrt_rtx", parts=("backbone",))
        built += build_engines(made_up, tmp_path, request)
    assert {(b.record.key.precision, b.record.key.capability) for b in built} == WANTED
    (profile,) = json.loads(built[0].record.key.profiles)
    assert all(triple[0][0] == 1 and triple[2][0] == 16 for triple in profile.values())


@pytest.mark.slow
def test_the_backbone_that_ships(tmp_path):
    request = BuildRequest(capabilities=("8.9",), library="tensorrt_rtx", parts=("backbone",))
    (built,) = build_engines(Bundle.load(ASSETS / "default"), tmp_path, request)
    print(f"{built.record.file}: {built.seconds:.1f} s, {built.record.size / 1e6:.1f} MB")
    assert built.record.key.part == "backbone"
    assert not malformed(load_library("tensorrt_rtx"), (tmp_path / built.record.file).read_bytes())


def test_the_library_itself_finds_whole_engines_and_broken_ones(engines):
    folder, built = engines
    library = load_library("tensorrt_rtx")
    for engine in built:
        data = (folder / engine["file"]).read_bytes()
        assert not malformed(library, data)
    assert malformed(library, b"")
    assert malformed(library, b"\0" * len(data))
    assert malformed(library, data[4:])


def test_a_second_build_keeps_what_fits(bundle, engines):
    folder, built = engines
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.engine")}
    request = BuildRequest(precisions=("fp16",), capabilities=CAPABILITIES[:1], library="tensorrt_rtx")
    again = build_engines(Bundle.load(bundle), folder, request)
    assert [b.kept for b in again] == [True, True]
    assert {b.record.key.digest() for b in again} <= {engine["key"] for engine in built}
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.engine")} == before


def test_engines_of_other_flags_and_profiles_are_others(bundle, engines, tmp_path):
    loaded = Bundle.load(bundle)
    usual = copy_of_one(engines, tmp_path)
    given = {"precisions": ("fp32",), "capabilities": ("8.6",), "library": "tensorrt_rtx", "parts": ("center",)}
    requests = [BuildRequest(**given, tf32=True), BuildRequest(**given, proposals=(10, 100, 1000))]
    built = [build_engines(loaded, tmp_path, request)[0] for request in requests]
    assert len({usual, *(b.record.key.digest() for b in built)}) == 3
    assert not any(b.kept for b in built)
    assert len(json.loads(built[1].record.key.profiles)) == 3


def test_what_is_there_is_told(bundle, engines, capsys):
    folder, built = engines
    loaded = Bundle.load(bundle)
    states = check_engines(folder, loaded, gpu=ADA)
    assert {state.state for state in states if state.compute_capability == "8.6"} == {"usable"}
    others = [state for state in states if state.compute_capability == "12.0"]
    assert len(others) == sum(engine["compute_capability"] == "12.0" for engine in built) > 1
    assert all("compute capability 12.0" in state.reason and "8.6" in state.reason for state in others)
    assert all(
        "not built from" in state.reason for state in check_engines(folder, Bundle.load(ASSETS / "default"), gpu=ADA)
    )
    assert invoke(["build", str(bundle), "--check", str(folder)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(built)


@pytest.mark.parametrize("harm", ["cut", "flipped", "other"])
def test_a_damaged_engine_is_ignored_with_its_reason_and_building_heals_it(bundle, engines, tmp_path, harm):
    loaded = Bundle.load(bundle)
    copy_of_one(engines, tmp_path)
    request = BuildRequest(precisions=("fp32",), capabilities=("8.6",), library="tensorrt_rtx", parts=("center",))
    (built,) = build_engines(loaded, tmp_path, request)
    assert built.kept
    path = tmp_path / built.record.file
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "other": b"\0" * len(whole),
        }[harm]
    )
    (state,) = check_engines(tmp_path, loaded, gpu=ADA)
    assert state.state == "ignored"
    assert re.search("sha256 differs|bytes, not", state.reason)
    (healed,) = build_engines(loaded, tmp_path, request)
    assert not healed.kept
    assert {state.state for state in check_engines(tmp_path, loaded, gpu=ADA)} == {"usable"}


def test_capabilities_that_the_library_does_not_know():
    library = load_library("tensorrt_rtx")
    assert len(library.capabilities) > 3
    with pytest.raises(InputError, match=r"cannot build for 3\.5") as caught:
        pick_capabilities(library, ("3.5",), None)
    assert "8.6" in caught.value.allowed
    with pytest.raises(InputError, match="no GPU here"):
        pick_capabilities(library, (), None)
    # It would write an engine for the device here also where it cannot run one, as on an H200.
    for capability in ("9.0", "8.7"):
        with pytest.raises(InputError, match=f"does not run on the GPU here .*{capability}") as caught:
            pick_capabilities(library, (), capability)
        assert 'device="cuda"' in caught.value.next_step
    assert pick_capabilities(library, ("8.9",), "9.0") == ("8.9",)
    assert pick_capabilities(library, (), "8.9") == ("8.9",)


def test_a_graph_that_the_library_does_not_take(tmp_path):
    """RoiAlign is such an operator: the error names it, and nothing is left behind."""
    from onnx import TensorProto, helper

    kinds = [("features", TensorProto.FLOAT, ["N", 8]), ("segments", TensorProto.FLOAT, ["M", 2])]
    node = helper.make_node("NotAnOperator", ["features", "segments"], ["center"], name="odd", domain="com.example")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(*kind) for kind in kinds],
        [helper.make_tensor_value_info("center", TensorProto.FLOAT, ["M"])],
    )
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    demo = Bundle.load(ASSETS / "demo")
    odd = seal_bundle(demo.manifest, {**demo.content, "center.onnx": model.SerializeToString()}, "odd")
    request = BuildRequest(capabilities=("8.6",), library="tensorrt_rtx", parts=("center",))
    with pytest.raises(InputError, match="NotAnOperator") as caught:
        build_engines(odd, tmp_path / "out", request)
    assert caught.value.code == "engine-parse"
    assert not list((tmp_path / "out").glob("*.engine"))


def test_running_them_needs_a_gpu_and_says_so(bundle, engines):
    if gpu_here() is not None:
        pytest.skip("there is a GPU")
    with pytest.raises(InputError) as caught:
        open_backend(Bundle.load(bundle), device="tensorrt", precision="fp16")
    assert "driver" in caught.value.given.lower()
