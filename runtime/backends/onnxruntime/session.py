"""Opening one graph in ONNX Runtime on exactly the device that was asked for."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...bundle.graph_scan import check_graph
from ...errors import InputError, MissingDependencyError
from ...machine.telemetry import quiet_onnxruntime, switch_off_telemetry
from ...text.display import counted
from ..options import Device, EngineOptions
from ..placement import RECORD, node_placement, strays
from .runner import quiet, reason

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "ort-tensorrt": "TensorrtExecutionProvider",
}
_STRICT = "session.disable_cpu_ep_fallback"
_REFUSED = "assigned to the default CPU EP"


def open_session(
    graph: bytes,
    name: str,
    *,
    device: str = "cpu",
    threads: int = 1,
    purpose: str = "running a graph",
    options: EngineOptions | None = None,
) -> Any:
    """An inference session of one graph; name and purpose are for messages.

    Raises InputError for a device that cannot run here, naming what is missing, and for a graph that does not load;
    MissingDependencyError without ONNX Runtime.

    ONNX Runtime itself falls back: a CUDA provider whose libraries are missing leaves a session on the CPU and a line
    on standard error. Here the session must have the provider that was asked for as its first, and must have put on it
    all nodes but arithmetic on sizes, which CUDA's provider leaves to the CPU on purpose. (Its own strict setting,
    `session.disable_cpu_ep_fallback`, refuses those as well, and with them nearly every graph of dynamic length.)
    """
    wanted = Device.parse(device)
    if wanted.kind not in PROVIDERS:
        raise InputError(
            "device-unavailable",
            f"device {device!r} for {name}",
            "cpu, cuda or ort-tensorrt",
            "name the device of this graph",
        )
    if threads < 1:
        raise InputError("threads", counted(threads, "thread"), "1 or more", "set --threads")
    options = options or EngineOptions()
    check_graph(graph, name)
    ort = import_onnxruntime(purpose)
    settings = session_options(ort, threads=threads, options=options)
    if wanted.kind == "cpu":
        with loading(name):
            return ort.InferenceSession(graph, settings, providers=[PROVIDERS["cpu"]])
    return _open_gpu(ort, graph, name, wanted, settings, options)


def import_onnxruntime(purpose: str) -> Any:
    """The module, with its telemetry off unless the user wants it: import it nowhere else.

    Raises MissingDependencyError, and InputError for the empty folder that an uninstall leaves behind.
    """
    switch_off_telemetry()
    try:
        import onnxruntime as ort
    except ImportError:
        raise MissingDependencyError("onnxruntime", "cpu", purpose) from None
    if not hasattr(ort, "InferenceSession"):
        raise InputError(
            "onnxruntime-broken",
            "the installed onnxruntime is an empty folder, left by removing one of two wheels that share it",
            "one whole wheel: onnxruntime or onnxruntime-gpu",
            "pip install --force-reinstall onnxruntime (or onnxruntime-gpu)",
        )
    quiet_onnxruntime(ort)
    return ort


def session_options(ort: Any, *, threads: int, options: EngineOptions) -> Any:
    """ONNX Runtime's options; `_options` has the measurements behind the defaults."""
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
    return settings


def provider_options(device: Device, options: EngineOptions) -> dict[str, str]:
    """What a GPU provider is told.

    CUDA: heuristic choice of convolutions (a search would stall at every new length), memory taken as requested and
    not in powers of two, copies in the compute stream, float32 that is float32 (no TF32, which parity would show).
    """
    given = {"device_id": str(device.index)}
    if device.kind == "cuda":
        given |= {
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            "do_copy_in_default_stream": "1",
            "use_tf32": "0",
        }
        if options.gpu_mem_limit is not None:
            given["gpu_mem_limit"] = str(options.gpu_mem_limit)
        return given
    if options.gpu_mem_limit is not None:
        given["trt_max_workspace_size"] = str(options.gpu_mem_limit)
    if options.cache is not None:
        folder = str(options.cache)
        given |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        given |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
    return given


@contextlib.contextmanager
def loading(name: str) -> Iterator[None]:
    """Turns what ONNX Runtime raises for a graph into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
        raise InputError(
            "graph-unreadable",
            f"ONNX Runtime cannot load {name}: {reason(error)}",
            "a graph that ONNX Runtime loads",
            "export again",
        ) from None


def _open_gpu(ort: Any, graph: bytes, name: str, device: Device, settings: Any, options: EngineOptions) -> Any:
    provider = PROVIDERS[device.kind]
    if provider not in ort.get_available_providers():
        raise unavailable(device, f"{provider} is not in this build of ONNX Runtime")
    settings.log_severity_level = 4  # what is wrong is said once, by the error below
    with quiet(ort):
        preload(ort)
        chain = [(provider, provider_options(device, options))]
        if device.kind == "ort-tensorrt":
            chain.append((PROVIDERS["cuda"], provider_options(Device("cuda", device.index), options)))
        session = _strictly(ort, graph, settings, chain)
        if isinstance(session, str):
            raise unavailable(device, session)
    used = session.get_providers()
    if not used or used[0] != provider:
        raise unavailable(device, f"ONNX Runtime opened {name} on {', '.join(used)} instead")
    session.disable_fallback()
    _check_nodes(session, name, device)
    return session


def _strictly(ort: Any, graph: bytes, settings: Any, chain: list[tuple[str, dict[str, str]]]) -> Any:
    """A session, or why there is none, as text. First as strict as ONNX Runtime can be."""
    for strict in ("1", "0"):
        settings.add_session_config_entry(_STRICT, strict)
        try:
            return ort.InferenceSession(graph, settings, providers=chain, enable_fallback=0)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
            text = str(error)
            if _REFUSED not in text:
                return reason(error)
    return "it leaves nodes to the CPU"


def _check_nodes(session: Any, name: str, device: Device) -> None:
    """Raises InputError where work on rows was left to the CPU, and where that cannot be known."""
    placed = node_placement(session)
    if not placed:
        raise unavailable(device, f"this ONNX Runtime cannot tell where the nodes of {name} run (1.24 or newer can)")
    lost = strays(placed)
    if lost:
        told = ", ".join(f"{count} {op}" for op, count in lost.items())
        raise InputError(
            "device-partial",
            f"{name} on {device}: ONNX Runtime leaves {told} to the CPU",
            "graphs whose work runs on the device that was asked for",
            "use another --precision, --device cpu, or a newer onnxruntime-gpu",
        )


def unavailable(device: Device, why: str) -> InputError:
    """The error for a device that does not run, with what `punctum doctor` finds to be missing; else `why`."""
    from ...machine.examine import what_stops
    from ..tensorrt.cuda import gpu_count

    seen = gpu_count()
    if 0 < seen <= device.index:
        names = ", ".join(f"{device.kind}:{k}" for k in range(seen))
        shown = "one GPU" if seen == 1 else f"{seen} GPUs"
        return InputError(
            "device-unavailable",
            f"device {device}, but the driver shows this process {shown}",
            f"cpu, {names}",
            "name one of these, or see CUDA_VISIBLE_DEVICES",
        )
    found = what_stops(device.kind)
    reasons = "; ".join(dict.fromkeys(f.text for f in found)) or why or "it does not run here"
    fixes = "; ".join(dict.fromkeys(f.fix for f in found if f.fix)) or f"see punctum doctor --device {device}"
    return InputError("device-unavailable", f"device {device}, but {reasons}", "cpu, or what this machine has", fixes)


def preload(ort: Any) -> None:
    """Load CUDA and cuDNN from NVIDIA's wheels, where those are installed; else the loader's own places serve."""
    load = getattr(ort, "preload_dlls", None)
    if load is not None and any((Path(folder) / "nvidia").is_dir() for folder in sys.path):
        with contextlib.redirect_stdout(None), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load()
