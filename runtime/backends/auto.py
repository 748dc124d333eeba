"""Device "auto": the first that runs, and a line that says which and why not the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import PunctumError
from .options import EngineOptions

if TYPE_CHECKING:
    from ..bundle.reader import Bundle
    from ..session.engine import Engine

T = TypeVar("T")
ORDER = ("tensorrt", "cuda", "cpu")
_NOT_THE_DEVICE = frozenset({"precision-missing", "bundle-part", "graph-mismatch", "graph-unreadable", "threads"})


def open_best(bundle: Bundle, *, precision: str, threads: int, options: EngineOptions) -> Engine:
    """The engine on the first of tensorrt, cuda and cpu that runs. Raises the last one's error when none does, and at
    once what is the fault of the bundle."""
    from .open import open_backend

    def open_on(device: str) -> Engine:
        return open_backend(bundle, device=device, precision=precision, threads=threads, options=options)

    engine, _, choice = first_that_opens(open_on)
    engine.requested, engine.choice = "auto", choice
    return engine


def first_that_opens(open_on: Callable[[str], T], devices: tuple[str, ...] = ORDER) -> tuple[T, str, str]:
    """(what was opened, on which device, one line on the choice)."""
    reasons: dict[str, str] = {}
    for device in devices:
        try:
            opened = open_on(device)
        except PunctumError as error:
            if error.code in _NOT_THE_DEVICE or device == devices[-1]:
                raise
            reasons[device] = error.given
            continue
        others = "; ".join(f"not {name}: {why}" for name, why in reasons.items())
        return opened, device, f"auto took {device}{f' ({others})' if others else ''}"
    raise PunctumError("device-unavailable", "no device was left to try")
