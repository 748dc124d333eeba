"""Switch off telemetry of the libraries that punctum uses, unless the user enables it.

The official builds of ONNX Runtime 1.29 and newer for Linux and macOS create a device identifier below
~/.cache/Microsoft and send events to their vendor from the moment of import. `ORT_DISABLE_TELEMETRY=1`, set in the
environment before that, switches all of it off. The function `disable_telemetry_events` comes too late for the
identifier and the first event, but it is what builds for Windows support.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLE = "ORT_DISABLE_TELEMETRY"
_WANTS = frozenset(("0", "false", "no", "off"))
# Ray and the Hugging Face hub, where an application uses them in the same process.
_OTHERS = {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}


def switch_off_telemetry() -> None:
    """Set the variables. Call it before such a library is imported.

    A user who wants telemetry sets ORT_DISABLE_TELEMETRY=0 (or false, no, off). Child processes inherit the setting.
    """
    if not telemetry_enabled(os.environ):
        os.environ[VARIABLE] = "1"  # also replaces values that ONNX Runtime does not know and treats as consent
    for name, value in _OTHERS.items():
        os.environ.setdefault(name, value)


def quiet_onnxruntime(ort: object) -> None:
    """Switch off telemetry in builds that do not read the variable. Call it after the import."""
    switch = getattr(ort, "disable_telemetry_events", None)
    if switch is not None and not telemetry_enabled(os.environ):
        switch()


def telemetry_enabled(environ: Mapping[str, str]) -> bool:
    """Whether the user has allowed ONNX Runtime to send telemetry."""
    return environ.get(VARIABLE, "").strip().lower() in _WANTS
