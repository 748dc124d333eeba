"""The checks of `gpu.py`: each is a function that returns rows, or raises `Skip` with the reason.

Every check runs in a process of its own. What the older scripts measure is called and not written again: pools of
`streams.py`, comparisons of `devices.py`, kernels of `gpu_kernels.py`.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from devices import Recorder, tensors, unmatched
from punctum.runtime import Bundle, Dataset, Localizer
from punctum.runtime.backends.options import EngineOptions, EngineSpec
from punctum.runtime.errors import PunctumError
from result_file import Row, row_of

TOLERANCE = 1e-3


class Skip(Exception):
    """What is asked for is not there; the text says what."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a check gets.

    Attributes:
        device: Device under test, such as "cuda"; "cpu" for a dry run.
        work: Folder with `features` (a data set), `videos`, and room for more.
        quick: Sizes for a dry run.
    """

    device: str
    work: Path
    quick: bool

    @property
    def dry(self) -> bool:
        return self.device == "cpu"

    def needs_gpu(self, what: str) -> None:
        if self.dry:
            raise Skip(f"dry run on the CPU: {what} needs an NVIDIA GPU")

    def features(self) -> Dataset:
        return Dataset.open(self.work / "features")

    def demo(self, precision: str = "fp32") -> Path | str:
        """The bundle of features; that with precision variants where one is needed."""
        return assets() / "demo" if precision == "fp32" else self.work / "variants"


def assets() -> Path:
    from importlib import resources

    return Path(str(resources.files("punctum.runtime") / "assets"))


def repeat(call: Callable[[], object], seconds: float = 1.0, least: int = 5) -> list[float]:
    """Milliseconds of calls, after one to warm up."""
    call()
    spent: list[float] = []
    while len(spent) < least or (1e-3 * sum(spent) < seconds and len(spent) < 1000):
        began = time.perf_counter()
        call()
        spent.append(1e3 * (time.perf_counter() - began))
    return spent


def against(name: str, cpu: list[float], gpu: list[float], unit: str = "ms") -> list[Row]:
    """Two rows; the ratio is how many times as fast the device is as the CPU of this machine."""
    faster = statistics.median(cpu) / statistics.median(gpu)
    return [row_of(f"{name}, cpu", cpu, unit), row_of(f"{name}, device", gpu, unit, ratio=faster, baseline="cpu")]


def pools(given: Given) -> list[Row]:
    """Streams of a pool as fast as they go: CPU seconds and times real time."""
    from punctum.runtime.live import LiveOptions
    from punctum.runtime.warmup import warm_up
    from streams import Reels, unpaced

    rows, data, live = [], given.features(), LiveOptions(max_delay_s=1.0)
    for count in (1, 64) if given.quick else (1, 64, 256, 1024):
        reels = Reels(data, count, 2.0 if given.quick else 6.0)
        found = {}
        for device in dict.fromkeys(("cpu", given.device)):
            localizer = Localizer(Bundle.load(given.demo()), device=device)
            warm_up(localizer, live)
            found[device] = unpaced(localizer, reels, live)["real_time"]
        faster = found[given.device] / found["cpu"]
        rows.append(Row(f"pool of {count}, cpu", found["cpu"], "times real time"))
        if not given.dry:
            rows.append(
                Row(f"pool of {count}, device", found[given.device], "times real time", None, faster, "the CPU")
            )
    return rows


def cuda_graphs(given: Given) -> list[Row]:
    """The locator in steps with fixed shapes, captured in a CUDA graph, against plain runs and the CPU."""
    import onnxruntime as ort
    from punctum.runtime.backends.onnxruntime.session import preload, provider_options
    from punctum.runtime.backends.options import Device
    from punctum.runtime.backends.stepping.rewrite import step_graph

    bundle = Bundle.load("default")  # the demo's locator does not run in steps
    plan = Localizer(bundle).plan
    graph = step_graph(bundle.graph("locator"), right=plan.right, ahead=True)
    gpu = "CUDAExecutionProvider"
    if not given.dry:
        preload(ort)
        if gpu not in ort.get_available_providers():
            raise Skip(f"ONNX Runtime {ort.__version__} has no {gpu}; install onnxruntime-gpu")
    rows = []
    for batch in (1, 64) if given.quick else (1, 64, 256, 1024):
        feeds = {
            "features": np.random.default_rng(0).standard_normal((batch, 2, plan.dim)).astype(np.float32),
            "state": np.zeros((batch, graph.state), np.float32),
        }

        def opened(provider: Any, feeds: dict[str, Any] = feeds) -> Any:
            settings = ort.SessionOptions()
            settings.log_severity_level, settings.intra_op_num_threads = 3, 1
            probe = ort.InferenceSession(graph.data, settings, providers=["CPUExecutionProvider"])
            for tensor in probe.get_inputs():  # fixed shapes
                for name, size in zip(tensor.shape, feeds[tensor.name].shape, strict=True):
                    if isinstance(name, str):
                        settings.add_free_dimension_override_by_name(name, size)
            return ort.InferenceSession(graph.data, settings, providers=[provider])

        cpu = opened("CPUExecutionProvider")
        expected = cpu.run(None, feeds)
        times = repeat(lambda s=cpu, f=feeds: s.run(None, f))
        if given.dry:
            rows.append(row_of(f"step of {batch} streams, fixed shapes, cpu", times, "ms"))
            continue
        options = provider_options(Device.parse(given.device), EngineOptions())
        for name, extra in (("plain", {}), ("CUDA graph", {"enable_cuda_graph": "1"})):
            session = opened((gpu, options | extra))
            if session.get_providers()[0] != gpu:
                raise Skip(f"ONNX Runtime opened the graph on {session.get_providers()} instead")
            binding, outputs, inputs = session.io_binding(), {}, {}
            for key, value in feeds.items():
                inputs[key] = ort.OrtValue.ortvalue_from_numpy(value, "cuda", 0)
                binding.bind_ortvalue_input(key, inputs[key])
            for tensor, value in zip(session.get_outputs(), expected, strict=True):
                outputs[tensor.name] = ort.OrtValue.ortvalue_from_numpy(np.zeros_like(value), "cuda", 0)
                binding.bind_ortvalue_output(tensor.name, outputs[tensor.name])

            def run(session: Any = session, binding: Any = binding, outputs: Any = outputs) -> list[Any]:
                session.run_with_iobinding(binding)
                binding.synchronize_outputs()
                return [value.numpy() for value in outputs.values()]

            apart = max(float(np.abs(a - b).max()) for a, b in zip(run(), expected, strict=True))
            inputs["features"].update_inplace(feeds["features"] * 0.5)  # a graph must read its inputs again
            half = cpu.run(None, feeds | {"features": feeds["features"] * 0.5})
            again = max(float(np.abs(a - b).max()) for a, b in zip(run(), half, strict=True))
            rows += against(f"step of {batch} streams, {name}", times, repeat(run))[name != "plain" :]
            rows.append(Row(f"step of {batch} streams, {name}, largest difference", max(apart, again), ""))
    return rows


def compare(given: Given, device: str, bundle: Path | str, precision: str, engines: Path | None = None) -> list[Row]:
    """Results and time of whole recordings on a device against fp32 on the CPU."""
    data, label = given.features(), f"{device} {precision}"
    options = EngineOptions(engines=engines)
    began = time.perf_counter()
    loaded = Bundle.load(bundle)
    if precision not in loaded.manifest.precisions:
        raise Skip(f"the bundle has no variant {precision}")
    localizer = Localizer(loaded, device=device, precision=precision, options=options)
    opening = time.perf_counter() - began
    reference = Localizer(loaded)
    recorder = Recorder(reference.backend)
    videos = [data.features(name) for name in data.test]
    wanted = [reference.with_backend(recorder).localize(video) for video in videos]
    tracks = [reference.backend.locate(video.data) for video in videos]
    found = [localizer.localize(video) for video in videos]
    apart = tensors(localizer.backend, tracks, videos, recorder.scored)
    lost = sum(unmatched(mine, theirs, TOLERANCE) for mine, theirs in zip(found, wanted, strict=True))
    cpu, own = (repeat(lambda of=of: [of.localize(video) for video in videos]) for of in (reference, localizer))
    return [
        Row(f"{label}: opening", opening, "s"),
        Row(f"{label}: largest difference of tracks", apart["tracks"], ""),
        Row(f"{label}: largest difference of the head", apart["head"], ""),
        Row(f"{label}: events that differ, of {sum(map(len, wanted))}", lost, "events"),
        *against(f"{label}: recordings", cpu, own),
    ]


def provider(given: Given) -> list[Row]:
    """Whole recordings on the CUDA provider."""
    return compare(given, given.device, given.demo(), "fp32")


def ort_tensorrt(given: Given) -> list[Row]:
    """The TensorRT provider of ONNX Runtime."""
    given.needs_gpu("ONNX Runtime's TensorRT provider")
    return compare(given, "ort-tensorrt", given.demo(), "fp32")


def variants(given: Given) -> list[Row]:
    """fp16 and int8 against fp32 on the CPU."""
    make_variants(given)
    rows = []
    for precision in ("fp16", "int8"):
        targets = Bundle.load(given.demo(precision)).manifest.precision.get(precision)
        if targets is None or (given.dry and precision == "fp16"):
            continue  # fp16 is for GPUs
        rows += compare(given, given.device, given.demo(precision), precision)
    return rows


def make_variants(given: Given) -> None:
    from punctum.runtime.cli import invoke

    out = given.work / "variants"
    if not out.exists():
        what = ["quantize", str(given.demo()), str(given.work / "features"), "--out", str(out)]
        if invoke([*what, "--precision", "int8,fp16,int8-trt", "--max-map-drop", "100"]):
            raise Skip("punctum quantize failed, see above; it needs the package onnx")


def engines(given: Given) -> list[Row]:
    """TensorRT engines: built, loaded, compared."""
    from punctum.runtime.backends.tensorrt.build import BuildRequest, build_engines

    given.needs_gpu("running a TensorRT engine")
    rows, folder = [], given.work / "engines"
    make_variants(given)
    for precision in ("fp32", "fp16", "int8-trt"):
        bundle = given.demo(precision)
        if precision not in Bundle.load(bundle).manifest.precisions:
            continue
        began = time.perf_counter()
        built = build_engines(Bundle.load(bundle), folder, BuildRequest(precisions=(precision,)))
        rows.append(Row(f"building {len(built)} engines, {precision}", time.perf_counter() - began, "s"))
        rows += compare(given, "tensorrt", bundle, precision, folder)
    return rows


def backbone(given: Given) -> list[Row]:
    """Clips of 1, 8 and 32 cameras in one run, against one core."""
    from punctum.runtime.backbone.backbone import VideoBackbone

    bundle, rows = Bundle.load("default"), []
    cpu = VideoBackbone.open(bundle, EngineSpec(threads=1))
    device = cpu if given.dry else VideoBackbone.open(bundle, EngineSpec(device=given.device))
    for cameras in (1, 8) if given.quick else (1, 8, 32):
        clips = np.random.default_rng(0).random((cameras, *cpu.spec.clip_shape), np.float32)
        expected, seconds = cpu.embed(clips), 0.5 if given.quick else 3.0
        one = repeat(lambda c=clips: cpu.embed(c), seconds, 3)
        if given.dry:
            rows.append(row_of(f"backbone, {cameras} cameras, cpu", one, "ms"))
            continue
        apart = float(np.abs(device.embed(clips) - expected).max())
        rows += against(f"backbone, {cameras} cameras", one, repeat(lambda c=clips: device.embed(c), seconds, 3))
        rows.append(Row(f"backbone, {cameras} cameras, largest difference", apart, ""))
    return rows


def score(given: Given) -> list[Row]:
    """`score` of videos: engine and decoder on the CPU and on the GPU."""
    from punctum.runtime.cli import invoke

    decoders = {"software": "cpu"} | ({} if given.dry else {"cuda": "NVDEC"})
    rows: list[Row] = []
    devices = dict.fromkeys(("cpu", given.device))
    for device in devices:
        for decoder, name in decoders.items():
            out = given.work / f"scored-{device.replace(':', '')}-{decoder}"
            call = ["score", "default", str(given.work / "videos"), "--out", str(out), "--device", device]
            began = time.perf_counter()
            if invoke([*call, "--decoder", decoder, "--workers", "1"]):
                rows.append(Row(f"score, engine {device}, decoder {name}: failed, see the log", 1.0, "failures"))
                continue
            spent, base = time.perf_counter() - began, rows[0].value if rows else None
            ratio = base / spent if base else None
            rows.append(Row(f"score, engine {device}, decoder {name}", spent, "s", None, ratio, "the first row"))
    return rows


def kernels(given: Given) -> list[Row]:
    """`punctum.kernels.cuda` against one CPU thread; see `gpu_kernels.py`."""
    given.needs_gpu("kernels.cuda")
    try:
        from numba import cuda
    except ImportError as error:
        raise Skip(f"numba-cuda is not installed ({error})") from None
    if not cuda.is_available():
        raise Skip("Numba reaches no CUDA device")
    from gpu_kernels import measure

    rows = []
    for seed, groups in enumerate((64, 1280)):
        found = measure(groups, seed)
        for part in ("aba", "soft_nms", "fusion"):
            rows += against(f"{part}, {groups} groups", [found[f"{part}_cpu_ms"]], [found[f"{part}_gpu_ms"]])
    return rows


def jetson_decoder(given: Given) -> list[Row]:
    """A file through nvv4l2decoder and GStreamer, against software decoding."""
    if shutil.which("gst-inspect-1.0") is None:
        raise Skip("gst-inspect-1.0 is not installed")
    if subprocess.run(["gst-inspect-1.0", "nvv4l2decoder"], capture_output=True).returncode:
        raise Skip("GStreamer has no nvv4l2decoder (JetPack has it)")
    from punctum.runtime.cli import invoke

    video = sorted((given.work / "videos").rglob("*.mp4"))[0]
    line = f"gst:filesrc location={video} ! qtdemux ! h264parse ! nvv4l2decoder ! nvvidconv ! video/x-raw,format=BGRx"
    spent = []
    for source in (str(video), line):
        began = time.perf_counter()
        if invoke(
            ["run", "default", source, "--stream", "--device", given.device, "--out", str(given.work / "x.jsonl")]
        ):
            raise Skip(f"punctum run failed on {source[:4]}..., see above")
        spent.append(1e3 * (time.perf_counter() - began))
    return against("a video, decoded in software and by nvv4l2decoder", spent[:1], spent[1:])


def power(given: Given) -> list[Row]:
    """Watts of a Jetson at rest and while the backbone runs, from tegrastats."""
    tool = shutil.which("tegrastats")
    if tool is None:
        raise Skip("tegrastats is not installed: this is no Jetson")
    rows = [Row("power at rest", _watts(tool, lambda: time.sleep(5)), "W")]
    rows.append(Row("power, backbone", _watts(tool, lambda: backbone(given)), "W"))
    return rows


def _watts(tool: str, work: Callable[[], object]) -> float:
    """Mean of what tegrastats says of the whole module: VDD_IN, or the sum of the rails where there is none."""
    import re

    with subprocess.Popen([tool, "--interval", "500"], stdout=subprocess.PIPE, text=True) as running:
        work()
        running.terminate()
        lines = (running.stdout.read() if running.stdout else "").splitlines()
    found = []
    for line in lines:
        rails = {name: int(mw) for name, mw in re.findall(r"\b((?:VDD|VIN|POM)_\w+) (\d+)mW", line)}
        whole = next((mw for name, mw in rails.items() if name in ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0")), None)
        found += [whole if whole is not None else sum(rails.values())] if rails else []
    if not found:
        raise Skip("tegrastats names no power rails")
    return 1e-3 * statistics.fmean(found)


CHECKS: dict[str, Callable[[Given], list[Row]]] = {
    "provider": provider,
    "cuda-graphs": cuda_graphs,
    "backbone": backbone,
    "kernels": kernels,
    "pools": pools,
    "variants": variants,
    "engines": engines,
    "ort-tensorrt": ort_tensorrt,
    "score": score,
}
JETSON = ("power", "jetson-decoder", "engines", "backbone", "provider", "pools")
ALL = CHECKS | {"power": power, "jetson-decoder": jetson_decoder}
REASONS = (Skip, PunctumError)
