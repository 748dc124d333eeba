"""The objects of ONNX Runtime, as far as they are used here: the library comes without types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from ..runner import Array, Runner


class OrtValue(Protocol):
    """An array in a buffer of a device."""

    def numpy(self) -> Array: ...
    def update_inplace(self, np_arr: Array) -> None: ...


class IoBinding(Protocol):
    """Where a run reads its inputs and writes its outputs."""

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None: ...
    def bind_output(self, name: str, device_type: str, device_id: int) -> None: ...
    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None: ...
    def get_outputs(self) -> Sequence[OrtValue]: ...


@runtime_checkable
class BindableSession(Runner, Protocol):
    """A session that can leave inputs and outputs on its device."""

    def io_binding(self) -> IoBinding: ...
    def run_with_iobinding(self, iobinding: IoBinding) -> None: ...


class OrtSession(BindableSession, Protocol):
    """`onnxruntime.InferenceSession`."""

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Array]) -> list[Array]:
        """As `Runner.run`; None: all outputs."""
        ...

    def get_providers(self) -> Sequence[str]: ...
    def disable_fallback(self) -> None: ...


class OrtSettings(Protocol):
    """`onnxruntime.SessionOptions`."""

    log_severity_level: int

    def add_session_config_entry(self, key: str, value: str) -> None: ...
