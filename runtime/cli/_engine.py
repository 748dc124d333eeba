"""Options for where and how a bundle runs, shared by all commands that run one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from .options import Panel
from .terminal import say

if TYPE_CHECKING:
    from ..backends.options import EngineOptions, EngineSpec
    from ..bundle.reader import Bundle
    from ..localizer import Localizer

_PANEL: Panel = {"rich_help_panel": "Engine"}
_KNOWN = {"cpu", "cuda", "tensorrt", "ort-tensorrt", "auto"}

Device = Annotated[
    str,
    typer.Option(
        help="cpu, cuda (or cuda:1 for the second GPU), tensorrt (engines from punctum build), ort-tensorrt, or auto, "
        "which uses the fastest that works and prints its name. All others run as requested or the command fails.",
        **_PANEL,
    ),
]
Precision = Annotated[str, typer.Option(help="Variant of the bundle, such as fp16 or int8.", **_PANEL)]
Threads = Annotated[int, typer.Option(help="Number of CPU threads of the inference engine.", **_PANEL)]
Engines = Annotated[
    Path | None,
    typer.Option(help="Folder of TensorRT engines. Default: the folder of the bundle in the user's cache.", **_PANEL),
]
GpuMemory = Annotated[str | None, typer.Option(help="Maximum GPU memory of the CUDA arena, such as 2GiB.", **_PANEL)]
ExpectSha256 = Annotated[
    str | None,
    typer.Option(
        "--expect-sha256",
        metavar="DIGEST",
        help="Reject the bundle unless this is its SHA-256, as printed by punctum doctor BUNDLE and punctum export.",
    ),
]
LatencyFirst = Annotated[
    bool,
    typer.Option(
        "--latency-first",
        help="Let idle engine threads spin: lower latency, 100 % CPU. Needs --threads 2 or more.",
        **_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """What the options say. Raises InputError for values that make no sense.

    devices: what the options are for; default: the device alone.
    """

    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1
    engines: Path | None = None
    gpu_memory: str | None = None
    latency_first: bool = False
    devices: tuple[str, ...] = ()
    expect_sha256: str | None = None

    def checked(self) -> EngineChoice:
        """This choice. Raises InputError for options that have no effect on its devices."""
        kinds = {name.partition(":")[0] for name in self.devices or (self.device,)}
        if not kinds <= _KNOWN:
            return self  # whoever opens the device says what is wrong with it
        onnxruntime = _KNOWN - {"tensorrt"}
        for option, given, acting in (
            ("--engines", self.engines is not None, {"tensorrt", "auto"}),
            ("--gpu-memory", self.gpu_memory is not None, {"cuda", "ort-tensorrt", "auto"}),
            ("--latency-first", self.latency_first, onnxruntime),
            (f"--threads {self.threads}", self.threads > 1, onnxruntime),
        ):
            if given and not kinds & acting:
                raise InputError(
                    "option-unfit",
                    f"{option} with --device {', '.join(sorted(kinds))}, where it has no effect",
                    f"{option.partition(' ')[0]} with --device {', '.join(sorted(acting))}",
                    f"leave {option.partition(' ')[0]} out, or set --device",
                )
        if self.latency_first and self.threads < 2:
            raise InputError(
                "option-unfit",
                "--latency-first with one thread, where nothing waits",
                "--threads 2 or more",
                "leave --latency-first out, or set --threads",
            )
        return self

    def load(self, path: str | Path) -> Bundle:
        """The bundle, which must have the digest that was asked for. Raises InputError."""
        from ..bundle.reader import Bundle

        return Bundle.load(path, expect_sha256=self.expect_sha256)

    def spec(self) -> EngineSpec:
        """What the engine is opened with. Raises InputError."""
        from ..backends.options import EngineSpec

        return EngineSpec(self.device, self.precision, self.threads, self.options())

    def options(self) -> EngineOptions:
        from ..backends.options import EngineOptions

        limit = None if self.gpu_memory is None else memory(self.gpu_memory)
        return EngineOptions(spinning=self.latency_first, gpu_mem_limit=limit, engines=self.engines)

    def localizer(self, bundle: Bundle) -> Localizer:
        """The bundle on this engine; what "auto" chose goes to standard error."""
        from ..localizer import Localizer

        opened = Localizer.open(bundle, self.spec())
        announce(opened.backend)
        return opened


def announce(*backends: object, after: object = None) -> None:
    """Say what "auto" chose, and why: each choice once.

    Args:
        backends: What was opened.
        after: What was opened and announced before.
    """
    told = {getattr(after, "choice", ""), ""}
    for choice in (getattr(backend, "choice", "") for backend in backends):
        if choice not in told:
            told.add(choice)
            say(f"device: {choice}")


def memory(text: str) -> int:
    """ "2GiB", "512MB", "1000000" in bytes. Raises InputError."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)(b?)", text.strip().lower())
    if match is None:
        raise InputError(
            "gpu-memory", f"--gpu-memory {text!r} is not a size", "a size such as 2GiB or 500MB", "correct --gpu-memory"
        )
    unit = 1024 if match[3] else 1000
    return int(float(match[1]) * unit ** " kmgt".index(match[2] or " "))
