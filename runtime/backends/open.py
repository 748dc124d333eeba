"""Inference engines behind one protocol: what was asked for runs, or opening it fails. Nothing falls back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..text.display import counted
from .options import Device, EngineOptions

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..session.engine import Engine

__all__ = ["Device", "EngineOptions", "open_backend"]


def open_backend(
    bundle: Bundle,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    threads: int = 1,
    options: EngineOptions | None = None,
) -> Engine:
    """The engine of a bundle on a device.

    device: "cpu", "cuda" and "ort-tensorrt" (ONNX Runtime), "tensorrt" (engines that `punctum build` made), each GPU
    also by number ("cuda:1"); "auto" tries tensorrt, cuda and cpu and says in `Engine.choice` which it took and why.
    precision: one of the bundle's variants. threads: of the CPU.
    Raises InputError for a device that cannot run here, naming what is missing, and for a precision that the bundle
    does not have; MissingDependencyError without the library.
    """
    from ..errors import InputError

    if threads < 1:
        raise InputError("threads", counted(threads, "thread"), "1 or more", "set --threads")
    options = options or EngineOptions()
    wanted = Device.parse(device)
    if wanted.kind == "auto":
        from .auto import open_best

        return open_best(bundle, precision=precision, threads=threads, options=options)
    if wanted.kind == "tensorrt":
        return _open_tensorrt(bundle, wanted, precision=precision, options=options)
    from .onnxruntime.backend import OnnxBackend

    return OnnxBackend.open(bundle, device=device, precision=precision, threads=threads, options=options)


def _open_tensorrt(bundle: Bundle, device: Device, *, precision: str, options: EngineOptions) -> Engine:
    from ..errors import InputError
    from .tensorrt.backend import TensorRTBackend

    if device.index:
        raise InputError(
            "device-unavailable",
            f"device {device}",
            "tensorrt (the first GPU that the process sees)",
            f"set CUDA_VISIBLE_DEVICES={device.index} and use --device tensorrt",
        )
    backend: Engine = TensorRTBackend.open(bundle, precision=precision, engines=options.engines)
    return backend
