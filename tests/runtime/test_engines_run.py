"""The native backend end to end without a GPU: real ctypes calls into a stub driver, engines played over ONNX Runtime.

That a run on hardware is fast, or possible, is not shown here. That copies, streams, graphs, profiles and cuts give
what ONNX Runtime gives, is.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from punctum.runtime import Bundle, Localizer
from punctum.runtime.backends.onnxruntime.backend import OnnxBackend
from punctum.runtime.backends.open import open_engine
from punctum.runtime.backends.options import EngineOptions, EngineSpec
from punctum.runtime.backends.tensorrt import library as libraries
from punctum.runtime.backends.tensorrt.backbone import open_backbone_engine
from punctum.runtime.backends.tensorrt.backend import TensorRTBackend
from punctum.runtime.backends.tensorrt.build import BuildRequest, build_engines
from punctum.runtime.backends.tensorrt.cuda import Cuda, driver_version
from punctum.runtime.backends.tensorrt.session import MAX_GRAPHS
from punctum.runtime.backends.tensorrt.store import EngineStore
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.session.engine import Shape
from punctum.runtime.synthetic.sensors import make_sequence

from tests.helpers import fake_tensorrt, stub_driver

HERE = Path(__file__).parent
ASSETS = HERE.parent.parent / "runtime" / "assets"
EXACT = 2e-6
"""The same graph runs under both backends; cutting may only move the last bits."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    return stub_driver.compile_stub(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def stub(compiled, tmp_path):
    """A driver of its own for each test: a library from another file has other counters."""
    return stub_driver.StubDriver(Path(shutil.copy(compiled, tmp_path / "libcuda-stub.so")))


@pytest.fixture
def machine(stub, monkeypatch):
    """A machine with tensorrt 10 and the stub's GPU; call it with another version to have that."""
    opened = Cuda.open.__func__

    def have(version="10.13.3.9", **play):
        found = fake_tensorrt.fake_library(stub.library, version, **play)
        monkeypatch.setattr(libraries, "_import", lambda name, _: found if name == "tensorrt" else None)
        monkeypatch.setattr(Cuda, "open", classmethod(lambda cls, path=stub.path: opened(cls, path)))
        return found

    have()
    return have


@pytest.fixture(scope="module")
def demo():
    return Bundle.load(ASSETS / "demo")


@pytest.fixture(scope="module")
def default():
    return Bundle.load("default")


def in_folder(folder, precision="fp32"):
    return EngineSpec("tensorrt", precision, options=EngineOptions(engines=folder))


def open_native(bundle, folder):
    return TensorRTBackend.open(bundle.graphs(), in_folder(folder))


def opened(bundle, folder, **request):
    build_engines(bundle, folder, BuildRequest(**request))
    return open_native(bundle, folder), OnnxBackend.open(bundle.graphs())


def case(bundle, length, count, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (length, bundle.manifest.features.dim)).astype(np.float32)
    segments = np.sort(rng.uniform(0, max(length - 1, 1), (count, 2)), axis=1).astype(np.float32)
    segments[:, 1] += 0.05
    return features, segments, rng.integers(0, len(bundle.labels), count)


def close(got, expected):
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, atol=EXACT)


@pytest.mark.parametrize("version", ["10.13.3.9", "11.4.1.2"])
def test_both_majors_answer_as_onnx_runtime(machine, default, tmp_path, version):
    machine(version)
    native, reference = opened(default, tmp_path / "engines")
    assert (native.requested, native.actual, native.precision) == ("tensorrt", "tensorrt", "fp32")
    for length, count in ((1, 1), (7, 3), (66, 40), (300, 500), (900, 3)):
        features, segments, labels = case(default, length, count)
        tracks = reference.locate(features)
        close(native.locate(features), tracks)
        joined = np.concatenate([tracks[0], tracks[1][:, None]], axis=1)
        close(native.score(features, joined, segments, labels), reference.score(features, joined, segments, labels))
    assert f"tensorrt {version} on Stub GPU" in native.placement()["locator"]


def test_events_are_those_of_onnx_runtime(machine, demo, tmp_path):
    """The whole way, on the bundle whose locator takes one window at a time."""
    native, reference = opened(demo, tmp_path / "engines")
    features = make_sequence(3, seconds=40).features
    spec = demo.manifest
    found = [
        Localizer.from_parts(
            backend,
            labels=demo.labels,
            dim=spec.features.dim,
            stride_s=spec.features.stride_s,
            post=spec.post,
            receptive_field=(spec.locator.left, spec.locator.right),
        ).localize(features)
        for backend in (native, reference)
    ]
    assert len(found[0]) > 3
    for a, b in zip(*found, strict=True):
        assert (a.label, a.phase) == (b.label, b.phase)
        assert a.start == pytest.approx(b.start, abs=1e-4)
        assert a.end == pytest.approx(b.end, abs=1e-4)
        assert a.score == pytest.approx(b.score, abs=1e-4)


def test_what_no_profile_covers_is_cut_without_a_trace(machine, default, tmp_path):
    """Long windows, many windows, many proposals: with engines far too small for them."""
    native, reference = opened(default, tmp_path / "engines", lengths=(70, 100), proposals=(8, 16))
    for length in (100, 101, 135, 136, 137, 400):
        features, _, _ = case(default, length, 0, seed=length)
        close(native.locate(features), reference.locate(features))
    windows = np.stack([case(default, 40, 0, seed=k)[0] for k in range(150)])
    close(native.locate_many(windows), reference.locate_many(windows))
    long = np.stack([case(default, 130, 0, seed=k)[0] for k in range(3)])
    close(native.locate_many(long), reference.locate_many(long))
    features, segments, labels = case(default, 90, 50)
    tracks = np.random.default_rng(1).random((90, len(default.labels) + 1)).astype(np.float32)
    close(native.score(features, tracks, segments, labels), reference.score(features, tracks, segments, labels))
    dim = default.manifest.features.dim
    with pytest.raises(InputError, match=rf"features \[1025, {dim}\].*to \[1024, {dim}\]") as caught:
        native.score(*_window(default, 1025, 2))
    assert caught.value.code == "engine-shape"


def _window(bundle, length, count):
    features, segments, labels = case(bundle, length, count)
    return features, np.zeros((length, len(bundle.labels) + 1), np.float32), segments, labels


def test_nothing_to_do_runs_nothing(machine, stub, default, demo, tmp_path):
    """No proposals, no snippets, no windows: answers of the right shapes, and the GPU is not asked."""
    for name, bundle in (("default", default), ("demo", demo)):
        native, _ = opened(bundle, tmp_path / name)
        dim, classes, before = bundle.manifest.features.dim, len(bundle.labels), stub.runs
        assert [part.shape for part in native.score(*_window(bundle, 5, 0))] == [(0, classes), (0,), (0,)]
        assert [part.shape for part in native.locate(np.zeros((0, dim), np.float32))] == [(0, classes), (0,)]
        for shape in ((0, 4, dim), (2, 0, dim), (0, 0, dim)):
            track, actionness = native.locate_many(np.zeros(shape, np.float32))
            assert (track.shape, actionness.shape) == ((*shape[:2], classes), shape[:2])
        assert stub.runs == before


def test_a_bundle_without_a_scorer_gives_ones(machine, demo, tmp_path):
    alone = Bundle(demo.manifest.model_copy(update={"center": None}), demo.source, demo.content)
    native, reference = opened(alone, tmp_path / "engines")
    close(native.score(*_window(demo, 9, 4)), reference.score(*_window(demo, 9, 4)))
    assert "center" not in native.placement()


def test_warm_shapes_replay_a_recorded_graph(machine, stub, default, tmp_path):
    native, reference = opened(default, tmp_path / "engines")
    native.warm([Shape(66), Shape(66, windows=3), Shape(40, proposals=6)])
    assert stub.graphs == 3
    assert native.placement()["locator"]["tensorrt 10.13.3.9 on Stub GPU"]["recorded"] == 2
    launched = stub.launches
    for seed in range(3):  # a replay reads the buffers anew
        features, segments, labels = case(default, 66, 6, seed)
        close(native.locate(features), reference.locate(features))
        stack = np.stack([features, features[::-1], features * 2])
        close(native.locate_many(stack), reference.locate_many(stack))
        tracks = np.random.default_rng(seed).random((40, len(default.labels) + 1)).astype(np.float32)
        given = (features[:40], tracks, np.minimum(segments, 39), labels)
        close(native.score(*given), reference.score(*given))
    assert stub.launches == launched + 9
    other, _, _ = case(default, 67, 0)  # not warmed: runs without a graph, and disturbs none
    close(native.locate(other), reference.locate(other))
    assert stub.launches == launched + 9
    native.warm([Shape(66)])  # again: nothing new
    assert stub.graphs == 3
    native.warm([Shape(5000), Shape(66, windows=200)])  # beyond the profiles: run in parts, not recorded
    assert stub.graphs == 3


def test_few_graphs_are_kept(machine, stub, default, tmp_path):
    native, reference = opened(default, tmp_path / "engines")
    native.warm([Shape(length) for length in range(30, 30 + MAX_GRAPHS + 4)])
    assert stub.graphs == MAX_GRAPHS
    features, _, _ = case(default, 30, 0)
    close(native.locate(features), reference.locate(features))


def test_an_engine_that_cannot_be_recorded_still_runs(machine, stub, default, tmp_path):
    native, reference = opened(default, tmp_path / "engines")
    stub.set("refuse_capture", 1)
    native.warm([Shape(66)])
    features, _, _ = case(default, 66, 0)
    close(native.locate(features), reference.locate(features))
    assert (stub.graphs, stub.launches) == (0, 0)
    assert native.placement()["locator"]["tensorrt 10.13.3.9 on Stub GPU"]["recorded"] == 0


def test_memory_is_reused_and_given_back(machine, stub, default, tmp_path):
    native, _ = opened(default, tmp_path / "engines")
    native.locate(case(default, 900, 0)[0])
    native.locate(case(default, 50, 0)[0])
    native.score(*_window(default, 300, 400))
    held = stub.blocks
    for length in range(1, 120, 7):
        native.locate(case(default, length, 0)[0])
        native.score(*_window(default, length, length))
    assert stub.blocks - held <= 2 * 7  # the small scoring profile's first use: seven tensors, on both sides
    native.close()
    native.close()
    assert (stub.blocks, stub.graphs, stub.streams) == (0, 0, 0)
    with pytest.raises(InputError, match="was closed"):
        native.locate(case(default, 5, 0)[0])


def test_threads_share_a_backend(machine, default, tmp_path):
    native, reference = opened(default, tmp_path / "engines")
    native.warm([Shape(40)])
    wrong = []

    def work(seed):
        for length in (40, 66, 40, 90):
            features, _, _ = case(default, length, 0, seed)
            got, expected = native.locate(features), reference.locate(features)
            if not np.allclose(got[0], expected[0], atol=EXACT):
                wrong.append((seed, length))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_backbone_takes_any_number_of_clips(machine, default, tmp_path):
    from punctum.runtime.backbone.backbone import VideoBackbone

    build_engines(default, tmp_path / "engines")
    engine = open_backbone_engine(default.graphs(), in_folder(tmp_path / "engines"))
    reference = VideoBackbone.open(default)
    spec = default.manifest.backbone
    assert engine.get_inputs()[0].name == spec.input
    assert engine.get_inputs()[0].type == "tensor(float)"
    clips = np.random.default_rng(0).random((21, *spec.clip_shape), np.float32)
    np.testing.assert_allclose(engine.run([spec.output], {spec.input: clips})[0], reference.embed(clips), atol=1e-4)


def test_memory_runs_out(machine, stub, default, tmp_path):
    native, reference = opened(default, tmp_path / "engines")
    stub.set("fail_in", 2)
    with pytest.raises(PunctumError, match="CUDA_ERROR_OUT_OF_MEMORY: out of memory") as caught:
        native.locate(case(default, 66, 0)[0])
    assert caught.value.code == "cuda-failed"
    features, _, _ = case(default, 66, 0)  # memory is there again: so is the backend
    close(native.locate(features), reference.locate(features))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("devices", 0, "shows no GPU"), ("error", 100, "cuInit returned CUDA_ERROR_NO_DEVICE")],
)
def test_no_gpu_is_said_so(machine, stub, default, tmp_path, name, value, says):
    stub.set(name, value)
    with pytest.raises(InputError, match=says) as caught:
        open_native(default, tmp_path)
    assert caught.value.code == "device-unavailable"


def test_no_driver_is_said_so(default, tmp_path):
    with pytest.raises(InputError, match=r"no NVIDIA driver: .*nowhere") as caught:
        Cuda.open("libcuda-nowhere.so")
    assert (caught.value.code, caught.value.exit_code) == ("device-unavailable", 2)


def test_the_device_is_described(stub, tmp_path):
    gpu = stub.open().gpu
    assert (gpu.name, gpu.capability, gpu.cuda) == ("Stub GPU", "8.9", "13.1")
    told = tmp_path / "version"
    told.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\nGCC 11.4\n")
    assert driver_version(told) == "540.4.0"
    assert driver_version(tmp_path / "absent") == ""


def test_engines_of_another_machine_are_passed_over_with_the_reason(machine, stub, default, tmp_path):
    folder = tmp_path / "engines"
    build_engines(default, folder)
    stub.set("capability", 87)
    with pytest.raises(InputError, match=r"built for compute capability 8.9, this machine has 8.7") as caught:
        open_native(default, folder)
    assert caught.value.code == "engine-missing"
    assert "punctum build" in caught.value.next_step
    stub.set("capability", 89)
    machine("10.14.0.1")
    with pytest.raises(InputError, match=r"built with tensorrt 10.13.3.9, this machine has tensorrt 10.14.0.1"):
        open_native(default, folder)
    before = sorted(path.name for path in folder.iterdir())
    build_engines(default, folder, BuildRequest(lengths=(100,)))
    assert len(list(folder.iterdir())) > len(before)  # built when asked to, beside the old ones
    assert open_native(default, folder).ignored  # the old ones, still there


def test_a_damaged_engine_is_not_loaded(machine, default, tmp_path):
    folder = tmp_path / "engines"
    built = {b.record.key.part: folder / b.record.file for b in build_engines(default, folder)}
    path = built["locator"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="sha256 differs"):
        open_native(default, folder)


def test_an_engine_that_the_library_refuses(machine, default, tmp_path):
    """Whole by its hash, yet no engine: the library's own words reach the user."""
    folder = tmp_path / "engines"
    record = next(b.record for b in build_engines(default, folder) if b.record.key.part == "locator")
    EngineStore(folder).put(record.key, b"no engine at all", {})
    with pytest.raises(PunctumError, match="magic tag does not match") as caught:
        open_native(default, folder)
    assert caught.value.code == "engine-unreadable"


def test_no_folder_no_precision(machine, default, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no folder") as caught:
        open_native(default, tmp_path / "absent")
    assert "punctum build" in caught.value.next_step
    with pytest.raises(InputError) as caught:
        open_engine(default, in_folder(tmp_path, "fp4"))
    assert caught.value.code == "precision-missing"
    assert "--precision fp4" not in caught.value.next_step  # which no command can add
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=f"no folder {tmp_path}/punctum/engines/{default.id}"):
        TensorRTBackend.open(default.graphs(), EngineSpec("tensorrt"))


def test_open_backend_reaches_it(machine, default, tmp_path):
    from punctum.runtime.backends.open import open_backend

    build_engines(default, tmp_path / "engines")
    backend = open_backend(default, device="tensorrt", options=EngineOptions(engines=tmp_path / "engines"))
    assert isinstance(backend, TensorRTBackend)
    assert backend.choice == ""
