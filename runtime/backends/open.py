"""Open a bundle's engine. What was requested runs, or opening it fails: nothing falls back silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..arguments import check_type
from ..errors import InputError
from .auto import open_on_device
from .options import Device, EngineOptions, EngineSpec

if TYPE_CHECKING:
    from ..bundle.graphs import BundleGraphs
    from ..bundle.reader import Bundle
    from ..session.engine import Engine
    from .runner import Runner

__all__ = ["Device", "EngineOptions", "EngineSpec", "open_backbone_runner", "open_backend", "open_engine"]


def open_backend(
    bundle: Bundle,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    threads: int = 1,
    options: EngineOptions | None = None,
) -> Engine:
    """The engine of a bundle on a device.

    Args:
        bundle: The bundle.
        device: "cpu", "cuda" or "ort-tensorrt" (ONNX Runtime); "tensorrt" (engines that `punctum build` made); a GPU
            by number, as "cuda:1"; "auto", which tries tensorrt, cuda and cpu and records in `Engine.choice` which it
            took and why.
        precision: A variant in the bundle.
        threads: CPU threads.
        options: Further options.

    Raises:
        InputError: The device does not run here (the message states what is missing), or the bundle does not have this
            precision.
        MissingDependencyError: The inference library is not installed.

    Example:
        >>> from punctum.runtime import Bundle
        >>> from punctum.runtime.backends import open_backend
        >>> open_backend(Bundle.load("default")).actual
        'cpu'
    """
    return open_engine(bundle, EngineSpec(device, precision, threads, EngineOptions() if options is None else options))


def open_engine(bundle: Bundle, spec: EngineSpec) -> Engine:
    """The engine of a bundle; as `open_backend`, for a spec that was parsed before."""
    from ..bundle.reader import Bundle

    check_type("bundle", bundle, Bundle, "a Bundle")
    graphs = bundle.graphs(spec.precision)
    return open_on_device(spec, lambda one: _open_one(graphs, one))


def open_backbone_runner(graphs: BundleGraphs, spec: EngineSpec) -> Runner:
    """The backbone of a bundle on one device, which is never "auto".

    Raises:
        InputError: As `open_backend`; also for a bundle without a backbone.
    """
    if graphs.backbone is None:
        raise InputError("bundle-part", f"{graphs.source} has no backbone", next_step="export it with a backbone")
    if spec.place.kind == "tensorrt":
        from .tensorrt.backbone import open_backbone_engine

        _check_first_gpu(spec)
        return open_backbone_engine(graphs, spec)
    from .onnxruntime.session import open_runner

    name = f"{graphs.backbone.file} of {graphs.source}"
    return open_runner(graphs.backbone.data, name, spec, purpose="running a video backbone")


def _open_one(graphs: BundleGraphs, spec: EngineSpec) -> Engine:
    if spec.place.kind == "tensorrt":
        from .tensorrt.backend import TensorRTBackend

        _check_first_gpu(spec)
        return TensorRTBackend.open(graphs, spec)
    from .onnxruntime.backend import OnnxBackend

    return OnnxBackend.open(graphs, spec)


def _check_first_gpu(spec: EngineSpec) -> None:
    """Engines of TensorRT run on the first GPU that the process sees."""
    if spec.place.index:
        raise InputError(
            "device-unavailable",
            f"Device {spec.place}: TensorRT engines run on the first GPU that the process sees",
            "tensorrt",
            f'set CUDA_VISIBLE_DEVICES={spec.place.index} and use `device="tensorrt"`',
        )
