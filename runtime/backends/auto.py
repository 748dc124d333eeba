"""Device "auto": the first device that runs, and one line that says which it is and why the others were not used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from ..errors import PunctumError
from .options import EngineSpec

ORDER = ("tensorrt", "cuda", "cpu")
# Errors that no other device avoids.
_NOT_THE_DEVICE = frozenset({"precision-missing", "bundle-part", "graph-mismatch", "graph-unreadable", "threads"})


class Selectable(Protocol):
    """Something that was opened on a device and records how the device was selected."""

    requested: str
    choice: str


T = TypeVar("T")
S = TypeVar("S", bound=Selectable)


def open_on_device(spec: EngineSpec, open_one: Callable[[EngineSpec], S]) -> S:
    """Open something on the device of `spec`. For "auto" that is the first of `ORDER` that runs.

    Args:
        spec: What was requested.
        open_one: Opens on one device by name, never on "auto".

    Raises:
        PunctumError: As `open_one` raises it; for "auto" the error of the last device, or at once an error that no
            other device avoids.
    """
    if spec.place.kind != "auto":
        return open_one(spec)
    opened, _, choice = first_that_opens(lambda device: open_one(spec.on(device)))
    opened.requested, opened.choice = "auto", choice
    return opened


def first_that_opens(open_on: Callable[[str], T], devices: tuple[str, ...] = ORDER) -> tuple[T, str, str]:
    """Try devices in order. Returns what was opened, the device, and one line about the choice."""
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
    raise PunctumError("device-unavailable", "No device was given to try")
