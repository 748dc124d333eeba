"""Open one graph in ONNX Runtime on exactly the requested device."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ...bundle.graph_scan import check_graph
from ...errors import InputError, MissingDependencyError
from ...machine.telemetry import quiet_onnxruntime, switch_off_telemetry
from ...text.display import counted
from ..failures import failure_text
from ..options import CPU, Device, EngineOptions, EngineSpec
from ..placement import RECORD, fallback_nodes, session_placement
from ..runner import Runner
from .protocols import BindableSession, OrtSession, OrtSettings
from .runner import BoundRunner, PlainRunner, quiet

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "ort-tensorrt": "TensorrtExecutionProvider",
}
_STRICT = "session.disable_cpu_ep_fallback"
_REFUSED = "assigned to the default CPU EP"


def open_session(graph: bytes, name: str, spec: EngineSpec = CPU, *, purpose: str = "running a graph") -> OrtSession:
    """An inference session of one graph.

    ONNX Runtime itself falls back: a CUDA provider whose libraries are missing leaves a session on the CPU and a line
    on standard error. Here the session must have the requested provider as its first, and must have placed on it all
    nodes except arithmetic on sizes, which CUDA's provider leaves to the CPU on purpose. (ONNX Runtime's own strict
    setting, `session.disable_cpu_ep_fallback`, refuses those as well, and with them nearly every graph of dynamic
    length.)

    Args:
        graph: The ONNX file.
        name: The graph, for messages.
        spec: Device (cpu, cuda or ort-tensorrt), threads and options; the precision is that of the graph.
        purpose: What needs ONNX Runtime, for the message where it is missing.

    Raises:
        InputError: The device does not run here (the message states what is missing), or the graph does not load.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    if spec.place.kind not in PROVIDERS:
        raise InputError(
            "device-unavailable",
            f"The device {spec.device!r} does not run a single graph ({name})",
            ", ".join(PROVIDERS),
            "name one of these",
        )
    check_graph(graph, name)
    ort = import_onnxruntime(purpose)
    settings = session_options(ort, threads=spec.threads, options=spec.options)
    if spec.place.kind == "cpu":
        with loading(name):
            session: OrtSession = ort.InferenceSession(graph, settings, providers=[PROVIDERS["cpu"]])
        return session
    return _open_gpu(ort, graph, name, spec.place, settings, spec.options)


def open_runner(graph: bytes, name: str, spec: EngineSpec, *, purpose: str) -> Runner:
    """One graph, ready to run on its device; as `open_session`."""
    return make_runner(open_session(graph, name, spec, purpose=purpose), spec.place)


def make_runner(session: Runner, device: Device) -> Runner:
    """How a session, or what stands for one on the CPU, is run on its device."""
    if device.kind == "cpu":
        return PlainRunner(session)
    if not isinstance(session, BindableSession):
        raise TypeError(f"{type(session).__name__} cannot keep arrays on {device}")
    return BoundRunner(import_onnxruntime("running on a GPU"), session, place="cuda", index=device.index)


def import_onnxruntime(purpose: str) -> ModuleType:
    """The module onnxruntime, with its telemetry off unless the user enables it. Import it nowhere else.

    Raises:
        MissingDependencyError: It is not installed.
        InputError: Only the empty folder is there that an uninstall leaves behind.
    """
    switch_off_telemetry()
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependencyError("onnxruntime", "cpu", purpose) from None
    ort: ModuleType = onnxruntime
    if not hasattr(ort, "InferenceSession"):
        raise InputError(
            "onnxruntime-broken",
            "The installed onnxruntime is an empty folder, left by removing one of two wheels that share it",
            required="one complete wheel: onnxruntime or onnxruntime-gpu",
            next_step="pip install --force-reinstall onnxruntime (or onnxruntime-gpu)",
        )
    quiet_onnxruntime(ort)
    return ort


def session_options(ort: ModuleType, *, threads: int, options: EngineOptions) -> OrtSettings:
    """ONNX Runtime's session options; `backends.options` has the measurements behind the defaults."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.enable_mem_pattern = options.mem_pattern
    settings.enable_cpu_mem_arena = options.arena
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(options.spinning)))
    settings.add_session_config_entry(RECORD, "1")
    settings.add_session_config_entry("session.load_model_format", "ONNX")  # the format that `check_graph` reads
    settings.log_severity_level = 3
    made: OrtSettings = settings
    return made


def provider_options(device: Device, options: EngineOptions) -> dict[str, str]:
    """Options of a GPU provider.

    CUDA: convolutions are chosen by heuristics (a search would stall at every new length), memory is taken as requested
    and not in powers of two, copies run in the compute stream, and TF32 is off so that float32 means float32.
    """
    settings = {"device_id": str(device.index)}
    if device.kind == "cuda":
        settings |= {
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            "do_copy_in_default_stream": "1",
            "use_tf32": "0",
        }
        if options.gpu_mem_limit is not None:
            settings["gpu_mem_limit"] = str(options.gpu_mem_limit)
        return settings
    if options.gpu_mem_limit is not None:
        settings["trt_max_workspace_size"] = str(options.gpu_mem_limit)
    if options.cache is not None:
        folder = str(options.cache)
        settings |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        settings |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
    return settings


@contextlib.contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn whatever ONNX Runtime raises for a graph into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
        raise InputError(
            "graph-unreadable",
            f"ONNX Runtime cannot load {name}: {failure_text(error)}",
            required="a graph that this version of ONNX Runtime supports",
            next_step="export it again",
        ) from None


def _open_gpu(
    ort: ModuleType, graph: bytes, name: str, device: Device, settings: OrtSettings, options: EngineOptions
) -> OrtSession:
    provider = PROVIDERS[device.kind]
    if provider not in ort.get_available_providers():
        raise unavailable(device, f"{provider} is not in this build of ONNX Runtime")
    settings.log_severity_level = 4  # failures are reported once, by the error below
    with quiet(ort):
        preload(ort)
        chain = [(provider, provider_options(device, options))]
        if device.kind == "ort-tensorrt":
            chain.append((PROVIDERS["cuda"], provider_options(Device("cuda", device.index), options)))
        session = _open_strictly(ort, graph, settings, chain)
        if isinstance(session, str):
            raise unavailable(device, session)
    used = session.get_providers()
    if not used or used[0] != provider:
        raise unavailable(device, f"ONNX Runtime opened {name} on {', '.join(used)} instead")
    session.disable_fallback()
    _check_nodes(session, name, device)
    return session


def _open_strictly(
    ort: ModuleType, graph: bytes, settings: OrtSettings, chain: list[tuple[str, dict[str, str]]]
) -> OrtSession | str:
    """A session, or as text why it could not be opened. ONNX Runtime's own strict setting is tried first."""
    for strict in ("1", "0"):
        settings.add_session_config_entry(_STRICT, strict)
        try:
            session: OrtSession = ort.InferenceSession(graph, settings, providers=chain, enable_fallback=0)
            return session
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
            text = str(error)
            if _REFUSED not in text:
                return failure_text(error)
    return "it leaves nodes to the CPU"


def _check_nodes(session: OrtSession, name: str, device: Device) -> None:
    """Raise InputError where work on rows was placed on the CPU, and where the placement is unknown."""
    placement = session_placement(session)
    if not placement:
        raise unavailable(
            device, f"this ONNX Runtime does not report where the nodes of {name} run (1.24 and newer versions do)"
        )
    on_cpu = fallback_nodes(placement)
    if on_cpu:
        counts = ", ".join(f"{count} {operator}" for operator, count in on_cpu.items())
        raise InputError(
            "device-partial",
            f"ONNX Runtime leaves {counts} of {name} to the CPU on {device}",
            required="graphs that run on the requested device as a whole",
            next_step='use another `precision`, `device="cpu"`, or a newer onnxruntime-gpu',
        )


def unavailable(device: Device, why: str) -> InputError:
    """The error for a device that does not run here. It states what is missing on this machine, else `why`."""
    from ...machine.examine import blocking_findings
    from ...machine.gpu import gpu_count

    gpus = gpu_count()
    if 0 < gpus <= device.index:
        return InputError(
            "device-unavailable",
            f"There is no device {device}: the driver shows this process {counted(gpus, 'GPU')}",
            ", ".join(["cpu", *(f"{device.kind}:{k}" for k in range(gpus))]),
            "name one of these, or check CUDA_VISIBLE_DEVICES",
        )
    findings = blocking_findings(device.kind)
    reasons = "; ".join(dict.fromkeys(f.text for f in findings)) or why or "the reason is unknown"
    fixes = "; ".join(dict.fromkeys(f.fix for f in findings if f.fix)) or f"run `punctum doctor --device {device}`"
    return InputError("device-unavailable", f"Device {device} does not run here: {reasons}", next_step=fixes)


def preload(ort: ModuleType) -> None:
    """Load CUDA and cuDNN from NVIDIA's wheels where those are installed; else the loader searches its own places."""
    load = getattr(ort, "preload_dlls", None)
    if load is not None and any((Path(folder) / "nvidia").is_dir() for folder in sys.path):
        with contextlib.redirect_stdout(None), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load()
