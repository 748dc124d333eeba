"""Engines: what was asked for runs or the error names what is missing; placement, options, buffers, warm-up."""

from __future__ import annotations

import importlib.metadata
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")

import onnxruntime as ort
from punctum.runtime import Bundle, Localizer
from punctum.runtime.backends.auto import first_that_opens
from punctum.runtime.backends.onnxruntime import session as _session
from punctum.runtime.backends.onnxruntime.runner import BoundRunner, PlainRunner
from punctum.runtime.backends.onnxruntime.session import open_session, provider_options
from punctum.runtime.backends.open import open_backend
from punctum.runtime.backends.options import CPU, Device, EngineOptions, EngineSpec
from punctum.runtime.backends.placement import engine_record, fallback_nodes, placement_counts, session_placement
from punctum.runtime.cli._engine import EngineChoice, memory
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.session.engine import Shape
from punctum.runtime.synthetic.sensors import make_sequence
from punctum.runtime.warmup import stream_shapes, warm_up

ASSETS = Path(__file__).parents[2] / "runtime" / "assets"
AZURE = "AzureExecutionProvider"  # in the CPU wheel; it takes no ordinary node, as a provider that lost its libraries
no_gpu = pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="this ONNX Runtime has a CUDA provider"
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(ASSETS / "demo")


@pytest.fixture(scope="module")
def rows(bundle) -> np.ndarray:
    return make_sequence(5, seconds=40).features


def scored(backend, rows, classes, count=7):
    track, actionness = backend.locate(rows)
    tracks = np.concatenate([track, actionness[:, None]], axis=1)
    edges = np.sort(np.random.default_rng(0).uniform(0, len(rows) - 1, (count, 2)), axis=1).astype(np.float32)
    return backend.score(rows, tracks, edges, np.arange(count) % classes)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "kind", "index", "shown"),
    [
        ("cpu", "cpu", 0, "cpu"),
        ("auto", "auto", 0, "auto"),
        ("cuda", "cuda", 0, "cuda:0"),
        ("cuda:3", "cuda", 3, "cuda:3"),
        ("tensorrt", "tensorrt", 0, "tensorrt"),
        ("ort-tensorrt:1", "ort-tensorrt", 1, "ort-tensorrt:1"),
    ],
)
def test_words_for_devices(text, kind, index, shown):
    device = Device.parse(text)
    assert (device.kind, device.index, str(device)) == (kind, index, shown)


@pytest.mark.parametrize(
    "text", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "auto:1", "cuda:9999", "cuda:²"]
)
def test_words_that_are_no_device(text):
    with pytest.raises(InputError, match="device") as caught:
        Device.parse(text)
    assert "ort-tensorrt" in caught.value.allowed


@pytest.mark.parametrize(
    "wrong",
    [
        {"buckets": (8, 8)},
        {"buckets": (16, 8)},
        {"buckets": (0,)},
        {"buckets": tuple(range(1, 18))},
        {"gpu_mem_limit": 1},
    ],
)
def test_options_that_make_no_sense(wrong):
    with pytest.raises(InputError):
        EngineOptions(**wrong)


@pytest.mark.parametrize(
    ("text", "size"), [("2GiB", 2 << 30), ("512MB", 512_000_000), ("1.5 g", 1_500_000_000), ("7", 7)]
)
def test_sizes_of_memory(text, size):
    assert memory(text) == size


@pytest.mark.parametrize("text", ["", "two", "-1G", "1e9", "5 parsecs", "9" * 20])
def test_no_sizes_of_memory(text):
    with pytest.raises(InputError, match="gpu-memory"):
        memory(text)


def test_options_reach_the_engine():
    choice = EngineChoice("cuda", "fp16", 2, Path("engines"), "1GiB", latency_first=True)
    options = choice.options()
    assert (options.spinning, options.gpu_mem_limit, options.engines) == (True, 1 << 30, Path("engines"))
    told = provider_options(Device("cuda", 2), options)
    assert (told["device_id"], told["gpu_mem_limit"], told["use_tf32"]) == ("2", str(1 << 30), "0")
    settings = _session.session_options(ort, threads=3, options=options)
    assert settings.intra_op_num_threads == 3
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    cached = provider_options(Device("ort-tensorrt"), EngineOptions(cache=Path("kept")))
    assert (cached["trt_engine_cache_path"], cached["trt_timing_cache_enable"]) == ("kept", "1")


def test_a_spec_is_parsed_once_and_can_be_sent_to_another_process():
    spec = EngineSpec("cuda:1", "fp16", options=EngineOptions(engines=Path("engines")))
    assert (spec.device, spec.place, spec.precision, spec.threads) == ("cuda:1", Device("cuda", 1), "fp16", 1)
    assert pickle.loads(pickle.dumps(spec)) == spec
    moved = spec.on("cpu")
    assert (moved.place, moved.precision, moved.options) == (Device("cpu"), "fp16", spec.options)
    assert EngineSpec() == CPU
    for wrong in ({"device": "gpu"}, {"threads": 0}):
        with pytest.raises(InputError):
            EngineSpec(**wrong)


# ---------------------------------------------------------------- strict


@no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "ort-tensorrt"])
def test_a_device_that_is_not_here_is_an_error_that_names_what_is_missing(bundle, device):
    with pytest.raises(InputError) as caught:
        Localizer(bundle, device=device)
    error = caught.value
    assert (error.code, error.exit_code) == ("device-unavailable", 2)
    name = "CUDA" if "cuda" in device else "TensorRT"
    assert f"no {name} provider" in error.given
    assert "onnxruntime-gpu" in error.next_step


def test_a_provider_that_takes_no_node_is_refused(bundle, monkeypatch):
    """The real thing: this provider opens, and leaves every node to the CPU, as one without its libraries does."""
    if AZURE not in ort.get_available_providers():
        pytest.skip(f"{AZURE} is not in this build")
    monkeypatch.setitem(_session.PROVIDERS, "cuda", AZURE)
    monkeypatch.setattr(_session, "provider_options", lambda device, options: {})
    with pytest.raises(InputError) as caught:
        open_session(bundle.graph("locator"), "locator.onnx", EngineSpec("cuda"))
    assert caught.value.code == "device-partial"
    assert "Conv" in caught.value.given
    assert "leaves" in caught.value.given


def test_a_provider_that_falls_away_is_refused(bundle, monkeypatch):
    """ONNX Runtime ignores a provider that it cannot open, so what it opened has to be read back."""

    class Fallen:
        get_available_providers = staticmethod(lambda: ["CUDAExecutionProvider"])
        set_default_logger_severity = staticmethod(lambda level: None)

        def __getattr__(self, name):
            return getattr(ort, name)

        def InferenceSession(self, graph, settings, **_):
            return ort.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(_session, "import_onnxruntime", lambda purpose: Fallen())
    with pytest.raises(InputError) as caught:
        open_session(bundle.graph("locator"), "locator.onnx", EngineSpec("cuda"))
    assert caught.value.code == "device-unavailable"


@pytest.mark.parametrize("device", ["auto", "tensorrt"])
def test_one_graph_needs_a_device_by_name(bundle, device):
    with pytest.raises(InputError, match="device"):
        open_session(bundle.graph("locator"), "locator.onnx", EngineSpec(device))


@pytest.mark.parametrize("threads", [0, -1])
def test_threads(bundle, threads):
    with pytest.raises(InputError, match="threads"):
        open_backend(bundle, threads=threads)


def test_a_precision_that_is_not_in_the_bundle(bundle):
    for device in ("cpu", "auto"):
        with pytest.raises(InputError, match="int8") as caught:
            open_backend(bundle, device=device, precision="int8")
        assert "fp32" in caught.value.allowed


@pytest.mark.parametrize("harm", [b"", b"not a graph", b"\x08\x07"])
def test_a_graph_that_does_not_load(harm):
    with pytest.raises(InputError, match="annot load the-graph"):
        open_session(harm, "the-graph")


def test_a_second_gpu_for_native_engines(bundle):
    with pytest.raises(InputError) as caught:
        open_backend(bundle, device="tensorrt:1")
    assert "CUDA_VISIBLE_DEVICES=1" in caught.value.next_step


# ---------------------------------------------------------------- auto


@no_gpu
def test_auto_says_what_it_took_and_why(bundle):
    backend = open_backend(bundle, device="auto")
    assert (backend.requested, backend.actual) == ("auto", "cpu")
    for word in ("auto took cpu", "not tensorrt:", "not cuda:"):
        assert word in backend.choice
    assert engine_record(backend)["choice"] == backend.choice


def test_auto_takes_the_first_that_opens_and_hides_no_fault_of_the_bundle():
    tried = []

    def open_on(device):
        tried.append(device)
        if device == "tensorrt":
            raise InputError("device-unavailable", "no driver")
        return device.upper()

    assert first_that_opens(open_on) == ("CUDA", "cuda", "auto took cuda (not tensorrt: no driver)")
    assert tried == ["tensorrt", "cuda"]

    def broken(device):
        raise InputError("graph-unreadable", device)

    with pytest.raises(InputError, match="tensorrt"):
        first_that_opens(broken)

    def nowhere(device):
        raise InputError("device-unavailable", device)

    with pytest.raises(InputError, match="cpu"):
        first_that_opens(nowhere)


# ---------------------------------------------------------------- what runs


def test_placement_is_data(bundle):
    backend = open_backend(bundle)
    placed = backend.placement()
    assert set(placed) == {"locator", "center"}
    for graph in placed.values():
        assert set(graph) == {"CPUExecutionProvider"}
    assert placement_counts(backend) == {
        "CPUExecutionProvider": sum(sum(g["CPUExecutionProvider"].values()) for g in placed.values())
    }
    assert engine_record(backend) == {"requested": "cpu", "actual": "cpu", "precision": "fp32"}


def test_work_on_rows_fallback_nodes_and_arithmetic_on_sizes_does_not(bundle):
    assert fallback_nodes({"CPUExecutionProvider": {"Shape": 3, "Gather": 1, "Conv": 2}}) == {"Conv": 2}
    assert fallback_nodes({"CUDAExecutionProvider": {"Conv": 2}, "CPUExecutionProvider": {"Cast": 9}}) == {}
    plain = ort.InferenceSession(bundle.graph("locator"), providers=["CPUExecutionProvider"])
    assert session_placement(plain) == {}  # not recorded: not known, and no error


def test_options_do_not_change_answers(bundle, rows):
    usual = open_backend(bundle)
    expected = (*usual.locate(rows), *scored(usual, rows, len(bundle.labels)))
    for options in (EngineOptions(arena=False), EngineOptions(mem_pattern=True), EngineOptions(spinning=True)):
        other = open_backend(bundle, options=options, threads=2)
        for a, b in zip(expected, (*other.locate(rows), *scored(other, rows, len(bundle.labels))), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_buckets_do_not_change_events(bundle, rows):
    plan = Localizer(bundle).plan
    window = plan.left + plan.right
    usual = Localizer(bundle)
    padded = Localizer(bundle, options=EngineOptions(buckets=(window + 8, window + 64, 512)))
    for size in (3, 50):
        for live in (False, True):
            found = [
                list(one.stream(rows[t : t + size] for t in range(0, len(rows), size))) if live else one.localize(rows)
                for one in (usual, padded)
            ]
            a, b = ([e for e in events if e.phase == "final"] for events in found)
            assert [e.label for e in a] == [e.label for e in b]
            assert len(a) > 3
            for name in ("start", "end", "score"):
                np.testing.assert_allclose([getattr(e, name) for e in a], [getattr(e, name) for e in b], atol=1e-4)


# ---------------------------------------------------------------- buffers


@pytest.fixture
def bound():
    session = open_session(Bundle.load(ASSETS / "default").graph("locator"), "locator.onnx")
    return PlainRunner(session), BoundRunner(ort, session, place="cpu", max_bindings=2)


def test_bound_buffers_give_the_same(bound):
    plain, through = bound
    rng = np.random.default_rng(0)
    names, dim = ["class_track", "actionness"], Bundle.load(ASSETS / "default").manifest.features.dim
    kept = []
    for length in (5, 90, 5, 33, 5, 90, 1):  # more shapes than are kept, and shapes that come back
        feeds = {"features": rng.normal(0, 1, (1, length, dim)).astype(np.float32)}
        for a, b in zip(plain.run(names, feeds), got := through.run(names, feeds), strict=True):
            np.testing.assert_array_equal(a, b)
        kept.append(([x.copy() for x in got], got))
    for before, after in kept:  # no later run writes into what was handed out
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)
    strided = rng.normal(0, 1, (1, 20, 2 * dim)).astype(np.float32)[:, :, ::2]
    np.testing.assert_array_equal(
        plain.run(names, {"features": strided})[0], through.run(names, {"features": strided})[0]
    )


def test_bound_buffers_survive_a_failed_run_and_threads(bound):
    plain, through = bound
    dim = Bundle.load(ASSETS / "default").manifest.features.dim
    for wrong in ({"features": np.zeros((1, 4, dim + 1), np.float32)}, {"other": np.zeros((1, 4, dim), np.float32)}):
        with pytest.raises(PunctumError) as caught:
            through.run(["class_track"], wrong)
        assert caught.value.code == "engine-failed"
    cases = [np.random.default_rng(k).normal(0, 1, (1, 8 + k % 3, dim)).astype(np.float32) for k in range(24)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda x: through.run(["class_track"], {"features": x})[0], cases))
    for case, got in zip(cases, found, strict=True):
        np.testing.assert_array_equal(plain.run(["class_track"], {"features": case})[0], got)


# ---------------------------------------------------------------- warm-up


class Recorded:
    """An engine that notes the sizes of its runs."""

    def __init__(self, inner):
        self.inner, self.sizes = inner, []

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def locate(self, features):
        self.sizes.append(len(features))
        return self.inner.locate(features)


def test_warm_up_runs_the_shapes_that_a_stream_brings(bundle, rows):
    buckets = (200, 400)
    localizer = Localizer(bundle, options=EngineOptions(buckets=buckets))
    shapes = stream_shapes(localizer, None)
    window = localizer.plan.left + localizer.plan.right + localizer.session().hop
    assert {shape.length for shape in shapes if not shape.proposals} == {window, *buckets}
    assert any(shape.proposals > 1 for shape in shapes)
    assert all(shape.length > 0 and shape.windows == 1 for shape in shapes)
    watched = Recorded(localizer.backend)
    localizer = localizer.with_backend(watched)
    warm_up(localizer)
    assert watched.sizes  # the made-up stream went through
    watched.sizes.clear()
    localizer.localize(rows)
    assert watched.sizes


def test_warm_takes_any_shape(bundle):
    backend = open_backend(bundle)
    backend.warm([Shape(1), Shape(40, windows=3), Shape(30, proposals=5), Shape(1, proposals=1)])


def test_the_floor_of_onnx_runtime_is_kept():
    """Placement, and with it strictness on a GPU, needs what 1.24 brought."""
    try:
        version = importlib.metadata.version("onnxruntime")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("another wheel brings onnxruntime")
    assert tuple(map(int, version.split(".")[:2])) >= (1, 24)
