"""Model repositories in Triton's server: loaded, warmed, batched, and called by sessions on this side.

The server is real: the wheel nvidia-pytriton brings its program, and as it cannot be installed beside NumPy 2, it is
unpacked apart. Its ONNX Runtime backend is not in that wheel, and stood in for by one in Python, see `triton_stand_in`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc", reason="talking to Triton needs tritonclient[grpc]")
pytest.importorskip("onnxruntime", reason="running the graphs needs onnxruntime")

from punctum.export.triton import write_triton
from punctum.export.triton.client import main, open_backbone, open_localizer
from punctum.runtime import Bundle, Localizer
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.live import LiveOptions
from punctum.runtime.synthetic.sensors import make_sequence
from tritonclient import grpc

pytestmark = pytest.mark.slow

WHEEL = "nvidia-pytriton==0.7.0"
ASSETS = Path(__file__).parents[2] / "runtime" / "assets"


@dataclass(frozen=True)
class Server:
    url: str
    client: object
    process: subprocess.Popen
    repository: Path


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("triton")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--timeout", "5"]
    try:
        done = subprocess.run(
            [*command, "--retries", "0", "-d", str(folder), WHEEL], capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{WHEEL} did not come within two minutes")
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        pytest.skip(f"no wheel of {WHEEL} for this machine: {done.stderr.strip()[-200:]}")
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def server(unpacked: Path, tmp_path_factory) -> Iterator[Server]:
    root = unpacked / "pytriton" / "tritonserver"
    stub = root / "python_backend_stubs" / f"3.{sys.version_info.minor}" / "triton_python_backend_stub"
    if not stub.is_file():
        pytest.skip(f"this Triton has no Python backend for Python 3.{sys.version_info.minor}")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(unpacked / "nvidia_pytriton.libs")}
    for program in (stub, root / "bin" / "tritonserver"):
        program.chmod(0o755)
        told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, env=environment).stdout
        if "not found" in told:
            pytest.skip("the server misses " + ", ".join(x.split()[0] for x in told.splitlines() if "not found" in x))
    backends = root / "backends"
    shutil.copy(stub, backends / "python")
    (backends / "onnxruntime").mkdir()
    body = (Path(__file__).parent / "triton_stand_in.py").read_text()
    lines = body.replace("from __future__ import annotations\n", "", 1)
    (backends / "onnxruntime" / "model.py").write_text(f"import sys\n\nsys.path[:0] = {sys.path!r}\n{lines}")

    folder = tmp_path_factory.mktemp("repositories")
    write_triton(Bundle.load(ASSETS / "default"), folder / "video", queue_us=200_000)
    write_triton(Bundle.load(ASSETS / "demo"), folder / "sensors", name="my sensors")
    http, rpc = free_port(), free_port()
    command = [str(root / "bin" / "tritonserver"), f"--backend-directory={backends}", "--allow-metrics=false"]
    command += [f"--model-repository={folder / name}" for name in ("video", "sensors")]
    command += ["--http-address=127.0.0.1", f"--http-port={http}", "--grpc-address=127.0.0.1", f"--grpc-port={rpc}"]
    command += ["--disable-auto-complete-config", "--log-verbose=1"]
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    try:
        client = grpc.InferenceServerClient(f"127.0.0.1:{rpc}")
        end = time.monotonic() + 60
        while not is_ready(client):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"the server did not get ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield Server(f"127.0.0.1:{rpc}", client, process, folder)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_ready(client) -> bool:
    try:
        return client.is_server_ready()
    except grpc.InferenceServerException:
        return False


def test_the_server_loads_and_warms_every_model(server: Server):
    index = {m.name: m.state for m in server.client.get_model_repository_index().models}
    names = {"default_locator", "default_center", "default_backbone", "my-sensors_locator", "my-sensors_center"}
    assert index == dict.fromkeys(names, "READY")
    sizes = {name: server.client.get_model_config(name).config.max_batch_size for name in sorted(names)}
    assert sizes == {
        "default_backbone": 16,
        "default_center": 0,
        "default_locator": 64,
        "my-sensors_center": 0,
        "my-sensors_locator": 0,
    }
    log = (server.repository / "log").read_text()
    for name in names:
        folder = server.repository / ("sensors" if name.startswith("my") else "video")
        warm_ups = re.findall(r'model_warmup \{ name: "(.+?)"', (folder / name / "config.pbtxt").read_text())
        assert warm_ups
        for warm_up in warm_ups:
            assert f"is running warmup sample '{warm_up}'" in log
    lines = log.splitlines()
    assert [line for line in lines if line.startswith("E") and "CudaDriverHelper" not in line] == []


def test_events_are_those_of_the_engine_here(server: Server):
    sequence = make_sequence(seed=5, seconds=120)
    bundle = Bundle.load(ASSETS / "demo")
    remote, local = open_localizer(bundle, server.url, name="my sensors"), Localizer(bundle)
    events = remote.localize(sequence.features)
    assert events
    assert [e.to_json() for e in events] == [e.to_json() for e in local.localize(sequence.features)]
    assert remote.backend.actual == remote.backend.requested == f"triton:{server.url}"
    assert remote.backend.precision == "fp32"


def test_a_live_stream_says_the_same(server: Server):
    bundle = Bundle.load(ASSETS / "demo")
    sequence = make_sequence(seed=6, seconds=60)

    def told(localizer):
        session = localizer.session(stream="s", live=LiveOptions(max_delay_s=1.0))
        chunks = (sequence.features[low : low + 25] for low in range(0, len(sequence.features), 25))
        events = [event for chunk in chunks for event in session.push(chunk)]
        return [(e.phase, e.label, e.start, e.end, e.score) for e in events + session.flush()]

    assert told(open_localizer(bundle, server.url, name="my sensors")) == told(Localizer(bundle))


def test_windows_of_many_streams_share_a_run(server: Server):
    bundle = Bundle.load(ASSETS / "default")
    window = bundle.manifest.locator.left + bundle.manifest.locator.right + 1
    windows = np.random.default_rng(0).standard_normal((8, window, bundle.manifest.features.dim)).astype(np.float32)
    before = batches(server)
    localizers = [open_localizer(bundle, server.url) for _ in windows]
    with ThreadPoolExecutor(len(windows)) as threads:
        pairs = list(zip(localizers, windows, strict=True))
        answers = list(threads.map(lambda pair: pair[0].backend.locate(pair[1]), pairs))
    assert max(runs_since(before, server, len(windows))) > 1
    alone = Localizer(bundle).backend
    for given, (track, actionness) in zip(windows, answers, strict=True):
        expected = alone.locate(given)
        np.testing.assert_allclose(track, expected[0], atol=1e-5)
        np.testing.assert_allclose(actionness, expected[1], atol=1e-5)


def test_windows_of_other_lengths_do_not(server: Server):
    """The server joins requests of one shape alone: rows of zeros behind a shorter window would change its events."""
    bundle = Bundle.load(ASSETS / "default")
    lengths = [40, 41, 42, 43]
    rng = np.random.default_rng(3)
    windows = [rng.standard_normal((n, bundle.manifest.features.dim)).astype(np.float32) for n in lengths]
    before = batches(server)
    localizers = [open_localizer(bundle, server.url) for _ in windows]
    with ThreadPoolExecutor(len(windows)) as threads:
        pairs = list(zip(localizers, windows, strict=True))
        answers = list(threads.map(lambda pair: pair[0].backend.locate(pair[1]), pairs))
    assert runs_since(before, server, len(windows)) == {1: len(windows)}
    alone = Localizer(bundle).backend
    for given, (track, _) in zip(windows, answers, strict=True):
        np.testing.assert_allclose(track, alone.locate(given)[0], atol=1e-5)


def batches(server: Server) -> dict[int, int]:
    """Size of a run of the locator -> how many there were."""
    stats = server.client.get_inference_statistics("default_locator").model_stats[0]
    return {s.batch_size: s.compute_infer.count for s in stats.batch_stats}


def runs_since(before: dict[int, int], server: Server, windows: int) -> dict[int, int]:
    """Runs by size since `before`, once all windows are counted: the server counts a run after it has answered."""
    end = time.monotonic() + 10
    while True:
        runs = {size: count - before.get(size, 0) for size, count in batches(server).items()}
        if sum(size * count for size, count in runs.items()) >= windows or time.monotonic() > end:
            return {size: count for size, count in runs.items() if count}
        time.sleep(0.05)


def test_more_windows_than_the_server_takes_go_in_parts(server: Server):
    bundle = Bundle.load(ASSETS / "default")
    windows = np.random.default_rng(1).standard_normal((70, 40, bundle.manifest.features.dim)).astype(np.float32)
    track, _ = open_localizer(bundle, server.url).backend.locate_many(windows)
    expected, _ = Localizer(bundle).backend.locate_many(windows)
    np.testing.assert_allclose(track, expected, atol=1e-5)


def test_the_backbone_passes_its_fingerprint_over_the_wire(server: Server):
    bundle = Bundle.load(ASSETS / "default")
    backbone = open_backbone(bundle, server.url)
    clips = np.random.default_rng(2).random((19, *backbone.spec.clip_shape), np.float32)
    assert backbone.embed(clips).shape == (19, bundle.manifest.features.dim)


def test_the_copied_client_runs_alone(server: Server, tmp_path: Path):
    np.save(tmp_path / "x.npy", make_sequence(seed=7, seconds=30).features)
    script = server.repository / "sensors" / "client.py"
    command = [sys.executable, script, ASSETS / "demo", tmp_path / "x.npy", "--url", server.url, "--name", "my sensors"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"phase"') == len(done.stdout.splitlines()) > 0


def test_what_is_refused(server: Server, tmp_path: Path, capsys):
    demo = Bundle.load(ASSETS / "demo")
    with pytest.raises(InputError, match="no ready model demo_locator") as missing:
        open_localizer(demo, server.url)
    assert missing.value.code == "triton-model"
    with pytest.raises(InputError, match="serves default") as other:
        open_localizer(demo, server.url, name="default")
    assert other.value.code == "triton-bundle"
    with pytest.raises(InputError) as nobody:
        open_localizer(demo, f"127.0.0.1:{free_port()}", timeout_s=2)
    assert nobody.value.code == "triton-unreachable"
    assert main([str(ASSETS / "demo"), str(tmp_path / "no.npy"), "--url", server.url, "--name", "my sensors"]) == 2
    assert "error: " in capsys.readouterr().err
    with pytest.raises(PunctumError, match="features") as failed:
        open_localizer(demo, server.url, name="my sensors").backend.locate(np.zeros((50, 3), np.float32))
    assert failed.value.code == "triton-failed"
