"""On what and how an engine runs: device, precision, threads and options.

Defaults were measured with `benchmarks/session_options.py` on two cores with AVX-512 and bundles of 128 and 177
features. Times are relative to the default (one thread, idle threads sleep, arena, no memory pattern) in the same
round:

    two threads             live window x0.8 and x1.3, window of 2,048 snippets x0.65, scorer x1.6; CPU time up to x2.5
    two threads, spinning   live window x0.7 and x1.2, long x0.6, scorer x1.5; CPU time up to x3.5
    no arena                x1.0, the scorer once x1.5
    memory pattern          x1.0 throughout (lengths differ from run to run, so no plan is reused)

Hence one thread per stream, and more only for long recordings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from ..arguments import SIZE_LIMIT, check_flag, check_size, check_text, check_type
from ..errors import InputError
from ..text.display import counted, shown

KINDS = ("cpu", "cuda", "tensorrt", "ort-tensorrt", "auto")
ALLOWED = "cpu, cuda, tensorrt, ort-tensorrt (each but cpu also with a number, as cuda:1), auto"
MAX_BUCKETS = 16


@dataclass(frozen=True, slots=True)
class Device:
    """A device by name.

    Attributes:
        kind: "cpu"; "cuda" (ONNX Runtime's CUDA provider); "tensorrt" (engines made by `punctum build`);
            "ort-tensorrt" (ONNX Runtime's TensorRT provider, which builds engines when it opens a graph); "auto" (the
            first of tensorrt, cuda and cpu that runs).
        index: Number of the GPU.
    """

    kind: str
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> Device:
        """A device from "cpu", "cuda", "cuda:1" and so on.

        Raises:
            InputError: The text names no device.
        """
        check_text("device", text)
        kind, colon, number = text.partition(":")
        valid_number = not colon or (number.isascii() and number.isdecimal() and len(number) <= 3)
        if kind not in KINDS or not valid_number or (colon and kind in ("cpu", "auto")):
            named = shown(repr(text), 80)
            raise InputError("device-unknown", f"Unknown device {named}", ALLOWED, "set `device` to one of these")
        return cls(kind, int(number) if colon else 0)

    def __str__(self) -> str:
        numbered = self.index or self.kind in ("cuda", "ort-tensorrt")
        return f"{self.kind}:{self.index}" if numbered else self.kind


def check_buckets(buckets: Iterable[int]) -> None:
    """Check the lengths to which locator windows are padded. Each is one more shape to warm up.

    Raises:
        InputError: The lengths are not positive and strictly increasing, or there are too many.
    """
    check_type("buckets", buckets, (list, tuple, range), "a list of lengths")
    lengths = list(buckets)
    for length in lengths:
        check_size("buckets", length, least=-SIZE_LIMIT)
    if lengths != sorted(set(lengths)) or any(n < 1 for n in lengths) or len(lengths) > MAX_BUCKETS:
        raise InputError(
            "buckets", f"Invalid buckets {lengths}", f"up to {MAX_BUCKETS} increasing lengths", "correct the list"
        )


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of an engine. The defaults are those that measured best (see the module).

    Attributes:
        spinning: Spin while idle: lower latency, 100 % CPU. Needs two threads or more.
        arena: Keep memory for the next run.
        mem_pattern: Plan memory by shape; pays only where lengths repeat.
        buckets: Pad locator windows to these lengths, in snippets, where that does not change their result.
        gpu_mem_limit: Limit of ONNX Runtime's GPU memory in bytes.
        engines: The folder that `punctum build` wrote; None: the one in the user's cache.
        cache: The folder for engines that the provider of ort-tensorrt builds.

    Raises:
        InputError: A value out of range.
    """

    spinning: bool = False
    arena: bool = True
    mem_pattern: bool = False
    buckets: tuple[int, ...] = ()
    gpu_mem_limit: int | None = None
    engines: Path | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        for name in ("spinning", "arena", "mem_pattern"):
            check_flag(name, getattr(self, name))
        for name in ("engines", "cache"):
            check_type(name, getattr(self, name), (str, PathLike), "a path", optional=True)
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, Path(getattr(self, name)))
        check_size("gpu_mem_limit", self.gpu_mem_limit, least=-SIZE_LIMIT, most=1 << 60, optional=True)
        check_buckets(self.buckets)
        if self.gpu_mem_limit is not None and self.gpu_mem_limit < 1 << 20:
            raise InputError(
                "gpu-memory",
                f"A GPU memory limit of {self.gpu_mem_limit} bytes is too small",
                "1 MiB or more",
                "raise `gpu_mem_limit`",
            )


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What to run a bundle on. Parsed and checked once, then passed on whole.

    Attributes:
        device: The device as it was requested: "cpu", "cuda:1", "auto" and so on.
        precision: A variant of the bundle's graphs, such as "fp32" or "int8".
        threads: CPU threads of the engine.
        options: Further options.
        place: The parsed device.

    Raises:
        InputError: An unknown device, or fewer than one thread.

    Example:
        >>> from punctum.runtime.backends.options import EngineSpec
        >>> EngineSpec("cuda:1").place.index
        1
    """

    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1
    options: EngineOptions = EngineOptions()
    place: Device = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", Device.parse(self.device))
        check_text("precision", self.precision)
        check_size("threads", self.threads, least=-SIZE_LIMIT)
        check_type("options", self.options, EngineOptions, "EngineOptions")
        if self.threads < 1:
            raise InputError("threads", f"{counted(self.threads, 'thread')} requested", "1 or more", "set `threads`")

    def on(self, device: str) -> EngineSpec:
        """The same on another device."""
        return replace(self, device=device)


CPU = EngineSpec()
"""The default: the CPU, fp32, one thread."""
