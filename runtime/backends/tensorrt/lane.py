"""One execution context with its buffers on the device and in pinned memory, and its recorded CUDA graph."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...errors import PunctumError
from ..runner import Array, DType
from .library import Messages, library_error
from .profiles import Dims

_ALIGN = 256


class Device(Protocol):
    """The functions of a GPU that a session needs. `cuda.Cuda` implements it."""

    def use(self) -> None: ...
    def allocate(self, size: int) -> int: ...
    def free(self, address: int) -> None: ...
    def allocate_host(self, size: int) -> int: ...
    def free_host(self, address: int) -> None: ...
    def upload(self, device: int, host: int, size: int, stream: int) -> None: ...
    def download(self, host: int, device: int, size: int, stream: int) -> None: ...
    def stream(self) -> int: ...
    def destroy_stream(self, stream: int) -> None: ...
    def synchronize(self, stream: int) -> None: ...
    def begin_capture(self, stream: int) -> None: ...
    def end_capture(self, stream: int) -> int: ...
    def abandon_capture(self, stream: int) -> None: ...
    def launch(self, executable: int, stream: int) -> None: ...
    def destroy_graph(self, executable: int) -> None: ...


@dataclass(slots=True)
class _Buffer:
    """Memory of one tensor: addresses on the device and in pinned host memory, and their size in bytes."""

    device: int = 0
    host: int = 0
    size: int = 0


@dataclass(slots=True)
class Lane:
    """An execution context with its buffers.

    `bind` sets the shapes, `run` runs them. `graph` is 0 until the bound shapes are recorded.
    """

    name: str
    context: Any
    device: Device
    stream: int
    messages: Messages
    inputs: Mapping[str, DType]
    outputs: Mapping[str, DType]
    graph: int = 0
    _shapes: Mapping[str, Dims] | None = None
    _buffers: dict[str, _Buffer] = field(default_factory=dict)
    _views: dict[str, Array] = field(default_factory=dict)

    def choose(self, profile: int) -> None:
        if not self.context.set_optimization_profile_async(profile, self.stream):
            raise self._error(f"accepts no profile {profile}")
        self.device.synchronize(self.stream)

    def bind(self, shapes: Mapping[str, Dims]) -> None:
        """Set the shapes of a run and allocate memory for its tensors."""
        if shapes == self._shapes:
            return
        self._shapes = None
        for name, dims in shapes.items():
            if not self.context.set_input_shape(name, dims):
                raise self._error(f"accepts no {name} of shape {list(dims)}")
        unresolved = self.context.infer_shapes()
        if unresolved:
            raise self._error(f"leaves the shapes of {', '.join(unresolved)} undefined")
        for name, kind in (*self.inputs.items(), *self.outputs.items()):
            dims = shapes[name] if name in shapes else tuple(int(n) for n in self.context.get_tensor_shape(name))
            self._allocate(name, dims, kind)
        self._shapes = dict(shapes)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the bound shapes. The outputs are views that the next run overwrites."""
        for name, array in inputs.items():
            np.copyto(self._views[name], array)
        if self.graph:
            self.device.launch(self.graph, self.stream)
        else:
            self._enqueue()
        self.device.synchronize(self.stream)
        return {name: self._views[name] for name in self.outputs}

    def record(self) -> None:
        """Record a run of the bound shapes. An engine that cannot be recorded runs as before."""
        try:
            self.device.begin_capture(self.stream)
            self._enqueue()
        except PunctumError:
            self.device.abandon_capture(self.stream)
            return
        self.graph = self.device.end_capture(self.stream)

    def close(self) -> None:
        if self.graph:
            self.device.destroy_graph(self.graph)
            self.graph = 0
        self._views.clear()
        self.context = None
        for buffer in self._buffers.values():
            self._release(buffer)
        self._buffers.clear()

    def _enqueue(self) -> None:
        for name in self.inputs:
            buffer = self._buffers[name]
            self.device.upload(buffer.device, buffer.host, self._views[name].nbytes, self.stream)
        if not self.context.execute_async_v3(self.stream):
            raise self._error("did not run")
        for name in self.outputs:
            buffer = self._buffers[name]
            self.device.download(buffer.host, buffer.device, self._views[name].nbytes, self.stream)

    def _allocate(self, name: str, dims: Dims, kind: DType) -> None:
        size = int(np.prod(dims, dtype=np.int64)) * kind.itemsize
        buffer = self._buffers.setdefault(name, _Buffer())
        if size > buffer.size or not buffer.size:
            self._views.pop(name, None)
            larger = max(size, buffer.size + buffer.size // 2, 1)
            larger = -(-larger // _ALIGN) * _ALIGN
            self._release(buffer)
            buffer.device = self.device.allocate(larger)
            buffer.host = self.device.allocate_host(larger)
            buffer.size = larger
        raw: Any = (ctypes.c_char * size).from_address(buffer.host)
        self._views[name] = np.frombuffer(raw, kind).reshape(dims)
        if not self.context.set_tensor_address(name, buffer.device):
            raise self._error(f"accepts no address for {name}")

    def _release(self, buffer: _Buffer) -> None:
        if buffer.device:
            self.device.free(buffer.device)
        if buffer.host:
            self.device.free_host(buffer.host)
        buffer.device = buffer.host = buffer.size = 0

    def _error(self, what: str) -> PunctumError:
        return library_error(
            "engine-failed", f"{self.name} {what}", self.messages, next_step="run `punctum doctor` with this bundle"
        )
