"""Libraries that report their use to their makers do not do so from here, unless the user decides otherwise.

ONNX Runtime 1.29 and newer, as its makers build it for Linux and macOS, creates a device identifier below
~/.cache/Microsoft and sends events to its maker from the moment it is imported. `ORT_DISABLE_TELEMETRY=1` in the
environment before that switches all of it off; the function `disable_telemetry_events` comes too late for the
identifier and the first event, but it is what builds for Windows know.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

VARIABLE = "ORT_DISABLE_TELEMETRY"
_WANTS = frozenset(("0", "false", "no", "off"))
# Ray and the Hugging Face hub, where an application uses them in the same process.
_OTHERS = {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}


def switch_off_telemetry() -> None:
    """Call it before such a library is imported. A user who wants telemetry sets ORT_DISABLE_TELEMETRY=0 (or false,
    no, off); child processes inherit the decision."""
    if not wanted(os.environ):
        os.environ[VARIABLE] = "1"  # also over values that ONNX Runtime does not know, and takes for consent
    for name, value in _OTHERS.items():
        os.environ.setdefault(name, value)


def quiet_onnxruntime(ort: Any) -> None:
    """Call it after the import: the switch of builds that do not read the variable. Harmless where there is none."""
    switch = getattr(ort, "disable_telemetry_events", None)
    if switch is not None and not wanted(os.environ):
        switch()


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether the user has decided that ONNX Runtime may send telemetry."""
    return environ.get(VARIABLE, "").strip().lower() in _WANTS
