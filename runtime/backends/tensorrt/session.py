"""One engine on one GPU, with buffers and CUDA graphs that are kept between runs.

A run copies its inputs to pinned memory and from there to the device, runs, and copies the outputs back the same way,
in one stream. There are two kinds of lane. A lane of a profile takes any shape that the profile covers, and its buffers
grow as needed. A lane of one exact shape, made by `warm`, replays a recorded CUDA graph: copies and kernels in one
launch. A recorded graph holds the shapes and addresses of its context, so each has a context and buffers of its own.
`run` neither records nor builds anything.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputError, PunctumError
from ..runner import Array, DType
from .lane import Device, Lane
from .library import Library, library_error
from .profiles import Dims, Profile, choose_profile, no_profile

MAX_GRAPHS = 16  # exact shapes that are kept; the least recently used is dropped first
Key = tuple[tuple[str, Dims], ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output, described as ONNX Runtime does. shape: a text for each free dimension."""

    name: str
    shape: tuple[int | str, ...]
    type: str


class EngineSession:
    """Runs one engine; `run`, `get_inputs` and `get_outputs` are those of an ONNX Runtime session. Thread-safe.

    Args:
        library: The library that built the engine.
        device: The GPU.
        engine: The serialized engine.
        name: The engine, for messages.
        kernels: What `kernels` returned in an earlier process (tensorrt_rtx; otherwise unused).

    Raises:
        PunctumError: The library cannot load the engine.
    """

    def __init__(self, library: Library, device: Device, engine: bytes, *, name: str, kernels: bytes = b"") -> None:
        self.name, self._library, self._device = name, library, device
        self._lock = threading.Lock()
        self._lanes: dict[int, Lane] = {}
        self._fixed: OrderedDict[Key, Lane] = OrderedDict()
        device.use()
        logger, self._messages = library.logger()
        self._runtime = library.api.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise library_error(
                "engine-unreadable",
                f"{library.name} {library.version} cannot load {name}",
                self._messages,
                required="an engine that was built here",
                next_step="build it again: `punctum build ... --rebuild`",
            )
        self._cache: Any = None
        self._seed = kernels
        self._read_tensors()
        self._stream = device.stream()
        self._closed = False

    def _read_tensors(self) -> None:
        engine, api = self._engine, self._library.api
        self.inputs: dict[str, DType] = {}
        self.outputs: dict[str, DType] = {}
        for k in range(engine.num_io_tensors):
            name = engine.get_tensor_name(k)
            kind = self.inputs if engine.get_tensor_mode(name) == api.TensorIOMode.INPUT else self.outputs
            kind[name] = np.dtype(api.nptype(engine.get_tensor_dtype(name)))
        self.profiles = [
            Profile({name: self._triple(engine.get_tensor_profile_shape(name, k)) for name in self.inputs})
            for k in range(engine.num_optimization_profiles)
        ]

    @staticmethod
    def _triple(shapes: Sequence[Any]) -> tuple[Dims, Dims, Dims]:
        low, best, high = (tuple(int(n) for n in dims) for dims in shapes)
        return low, best, high

    def get_inputs(self) -> list[Tensor]:
        return [self._describe(name, kind) for name, kind in self.inputs.items()]

    def get_outputs(self) -> list[Tensor]:
        return [self._describe(name, kind) for name, kind in self.outputs.items()]

    @property
    def layers(self) -> int:
        """Layers of the engine, after fusion."""
        return int(self._engine.num_layers)

    @property
    def recorded(self) -> int:
        """Number of shapes for which a CUDA graph is replayed."""
        return sum(lane.graph != 0 for lane in self._fixed.values())

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, Array]) -> list[Array]:
        """Run the engine. Returns new arrays in the order of `names` (None: all outputs).

        Raises:
            InputError: Inputs that the engine does not have, or shapes that no profile covers.
        """
        names = list(self.outputs) if names is None else list(names)
        inputs = self._prepare(feeds, names)
        shapes = {name: array.shape for name, array in inputs.items()}
        with self._lock:
            self._device.use()
            lane = self._fixed.get(_key(shapes))
            if lane is not None:
                self._fixed.move_to_end(_key(shapes))
            else:
                lane = self._lane(shapes)
                lane.bind(shapes)
            outputs = lane.run(inputs)
            return [outputs[name].copy() for name in names]

    def warm(self, feeds: Mapping[str, Array]) -> None:
        """Run inputs of these shapes once and record the run, so that later runs of the same shapes replay it.

        A library that records by itself (tensorrt_rtx) and an engine that cannot be recorded only run.
        """
        inputs = self._prepare(feeds, [])
        shapes = {name: array.shape for name, array in inputs.items()}
        key = _key(shapes)
        with self._lock:
            self._device.use()
            if self._library.rtx:
                lane = self._lane(shapes)
                lane.bind(shapes)
                lane.run(inputs)
                return
            if key in self._fixed:
                return
            lane = self._new_lane(self._profile(shapes))
            try:
                lane.bind(shapes)
                lane.run(inputs)
                lane.record()
            except PunctumError:
                lane.close()
                raise
            self._fixed[key] = lane
            while len(self._fixed) > MAX_GRAPHS:
                self._fixed.popitem(last=False)[1].close()

    def kernels(self) -> bytes:
        """Kernels that tensorrt_rtx has compiled for this device, for the next process; empty for other libraries."""
        with self._lock:
            return b"" if self._cache is None else bytes(self._cache.serialize())

    def close(self) -> None:
        """Release memory and stream. The session cannot run after that."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._device.use()
            for lane in (*self._lanes.values(), *self._fixed.values()):
                lane.close()
            self._lanes.clear()
            self._fixed.clear()
            self._device.destroy_stream(self._stream)

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        with contextlib.suppress(Exception):  # the interpreter may be shutting down
            self.close()

    def _prepare(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        if self._closed:
            raise InputError("engine-closed", f"{self.name} was closed", next_step="open it again")
        unknown = [n for n in feeds if n not in self.inputs] + [n for n in outputs if n not in self.outputs]
        missing = [n for n in self.inputs if n not in feeds]
        if unknown or missing:
            raise InputError(
                "engine-tensors",
                f"{self.name} has no {unknown} and lacks {missing}",
                f"inputs {', '.join(self.inputs)}; outputs {', '.join(self.outputs)}",
                "build engines from this bundle",
            )
        return {name: np.ascontiguousarray(feeds[name], kind) for name, kind in self.inputs.items()}

    def _profile(self, shapes: Mapping[str, Dims]) -> int:
        profile = choose_profile(self.profiles, shapes)
        if profile is None:
            raise no_profile(self.name, shapes, self.profiles)
        return profile

    def _lane(self, shapes: Mapping[str, Dims]) -> Lane:
        profile = self._profile(shapes)
        if profile not in self._lanes:
            self._lanes[profile] = self._new_lane(profile)
        return self._lanes[profile]

    def _new_lane(self, profile: int) -> Lane:
        context = self._context()
        if context is None:
            raise library_error("engine-failed", f"No execution context for {self.name}", self._messages)
        lane = Lane(self.name, context, self._device, self._stream, self._messages, self.inputs, self.outputs)
        lane.choose(profile)
        return lane

    def _context(self) -> Any:
        if not self._library.rtx:
            return self._engine.create_execution_context()
        config = self._engine.create_runtime_config()
        # RTX records by itself, because it knows when its kernels for a shape are final.
        config.cuda_graph_strategy = self._library.api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if self._cache is None:
            self._cache = config.create_runtime_cache()
            if self._seed:
                self._cache.deserialize(self._seed)  # has no effect with kernels of another device
        config.set_runtime_cache(self._cache)
        return self._engine.create_execution_context(config)

    def _describe(self, name: str, kind: DType) -> Tensor:
        shape = tuple(int(n) if n >= 0 else f"{name}_{k}" for k, n in enumerate(self._engine.get_tensor_shape(name)))
        words = {"float32": "float", "float64": "double"}
        return Tensor(name, shape, f"tensor({words.get(kind.name, kind.name)})")


def _key(shapes: Mapping[str, Dims]) -> Key:
    return tuple(sorted(shapes.items()))
