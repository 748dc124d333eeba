"""Where and how an engine runs: the word for a device, and the options behind it.

Defaults as measured by `benchmarks/session_options.py` on two cores with AVX-512, bundles of 128 and 177 features, time
against the default (one thread, idle threads asleep, arena, no memory pattern) in the same round:

    two threads             live window x0.8 and x1.3, window of 2,048 snippets x0.65, scorer x1.6; CPU time up to x2.5
    two threads, spinning   live window x0.7 and x1.2, long x0.6, scorer x1.5; CPU time up to x3.5
    no arena                x1.0, the scorer once x1.5
    memory pattern          x1.0 throughout (lengths differ from run to run, so no plan is used twice)

So one thread a stream, and more of them only for long recordings: `--threads`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

KINDS = ("cpu", "cuda", "tensorrt", "ort-tensorrt", "auto")
ALLOWED = "cpu, cuda, tensorrt, ort-tensorrt (each but cpu also with a number, as cuda:1), auto"
MOST_BUCKETS = 16


@dataclass(frozen=True, slots=True)
class Device:
    """A device by name. kind: one of `KINDS`; index: which GPU.

    cuda: ONNX Runtime's CUDA provider. tensorrt: engines made by `punctum build`. ort-tensorrt: ONNX Runtime's
    TensorRT provider, which builds engines on the spot. auto: the first of tensorrt, cuda and cpu that runs.
    """

    kind: str
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> Device:
        """ "cpu", "cuda", "cuda:1", ... Raises InputError for anything else."""
        kind, colon, number = text.partition(":")
        plain = not colon or (number.isascii() and number.isdecimal() and len(number) <= 3)
        if kind not in KINDS or not plain or (colon and kind in ("cpu", "auto")):
            raise InputError("device-unknown", f"device {text!r}", ALLOWED, "set --device to one of these")
        return cls(kind, int(number) if colon else 0)

    def __str__(self) -> str:
        numbered = self.index or self.kind in ("cuda", "ort-tensorrt")
        return f"{self.kind}:{self.index}" if numbered else self.kind


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine runs; the defaults are those that measured best (see the module). Raises InputError.

    spinning: idle threads wait awake: a little less delay for cores that never rest. arena: keep memory for the next
    run. mem_pattern: plan memory by shape; pays only where lengths repeat. buckets: locator windows are padded up to
    these lengths, in snippets, where that cannot change their result. gpu_mem_limit: bytes, of the CUDA arena.
    engines: folder that `punctum build` wrote. cache: folder for engines that the provider ort-tensorrt builds.
    """

    spinning: bool = False
    arena: bool = True
    mem_pattern: bool = False
    buckets: tuple[int, ...] = ()
    gpu_mem_limit: int | None = None
    engines: Path | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        check_buckets(self.buckets)
        if self.gpu_mem_limit is not None and self.gpu_mem_limit < 1 << 20:
            raise InputError(
                "gpu-memory", f"a GPU memory limit of {self.gpu_mem_limit} bytes", "1 MiB or more", "set --gpu-memory"
            )


def check_buckets(buckets: Iterable[int]) -> None:
    """Raises InputError unless lengths rise, are positive and few: each is one shape to warm."""
    given = list(buckets)
    if given != sorted(set(given)) or any(n < 1 for n in given) or len(given) > MOST_BUCKETS:
        raise InputError("buckets", f"buckets {given}", f"up to {MOST_BUCKETS} rising lengths", "correct the list")
