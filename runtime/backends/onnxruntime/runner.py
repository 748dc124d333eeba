"""Run a session of ONNX Runtime: directly on the CPU, through buffers that stay on the device on a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import numpy as np

from ..failures import engine_failed
from ..runner import Array, Runner
from .protocols import BindableSession, OrtValue

MAX_BINDINGS = 8  # shapes whose buffers are kept; a live stream has one once it is under way


class PlainRunner:
    """`InferenceSession.run`, and as thread-safe."""

    def __init__(self, session: Runner) -> None:
        self._session = session
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        try:
            results: list[Array] = self._session.run(list(outputs), dict(feeds))
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
            raise engine_failed(error) from None
        return results


class BoundRunner:
    """Copies inputs into buffers on the device and leaves outputs in theirs until they are read.

    Nothing is allocated for a shape that has been run before; buffers of the last few shapes are kept. Runs are
    serialized, because the buffers are shared.

    Args:
        ort: The module onnxruntime.
        session: An inference session.
        place: "cuda", or "cpu" to run the same code without a GPU.
        index: Number of the GPU.
        max_bindings: Shapes whose buffers are kept.
    """

    def __init__(
        self, ort: ModuleType, session: BindableSession, *, place: str, index: int = 0, max_bindings: int = MAX_BINDINGS
    ) -> None:
        self._ort, self._session, self._place, self._index = ort, session, place, index
        self._max_bindings = max_bindings
        self._bindings: OrderedDict[tuple[object, ...], _Binding] = OrderedDict()
        self._lock = threading.Lock()
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        arrays = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        key = (tuple(outputs), *((name, array.shape, array.dtype.str) for name, array in arrays.items()))
        with self._lock:
            try:
                binding = self._bindings.get(key)
                if binding is not None:
                    self._bindings.move_to_end(key)
                    return binding.run(arrays)
                binding = _Binding(self._ort, self._session, arrays, outputs, self._place, self._index)
                with quiet(self._ort):  # cuDNN reports every plan that it rejects before it selects one
                    results = binding.run(arrays)
                self._bindings[key] = binding
                if len(self._bindings) > self._max_bindings:
                    self._bindings.popitem(last=False)
                return results
            except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
                self._bindings.pop(key, None)
                raise engine_failed(error) from None


class _Binding:
    """Buffers for one set of shapes."""

    def __init__(
        self,
        ort: ModuleType,
        session: BindableSession,
        arrays: Mapping[str, Array],
        outputs: Sequence[str],
        place: str,
        index: int,
    ) -> None:
        self._session, self._outputs = session, outputs
        self._binding = session.io_binding()
        self._inputs: dict[str, OrtValue] = {}
        self._results: Sequence[OrtValue] = ()
        for name, array in arrays.items():
            value = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type, place, index)
            self._binding.bind_ortvalue_input(name, value)
            self._inputs[name] = value
        for name in outputs:
            self._binding.bind_output(name, place, index)

    def run(self, arrays: Mapping[str, Array]) -> list[Array]:
        for name, array in arrays.items():
            self._inputs[name].update_inplace(array)
        self._session.run_with_iobinding(self._binding)
        if not self._results:
            # The engine has now chosen the sizes of its outputs and writes into the same buffers from here on.
            self._results = self._binding.get_outputs()
            for name, value in zip(self._outputs, self._results, strict=True):
                self._binding.bind_ortvalue_output(name, value)
        # On the CPU `numpy` may be a view of the buffer that the next run overwrites.
        return [np.array(value.numpy()) for value in self._results]


@contextlib.contextmanager
def quiet(ort: ModuleType) -> Iterator[None]:
    """Suppress ONNX Runtime's own lines on standard error: failures are raised."""
    ort.set_default_logger_severity(4)
    try:
        yield
    finally:
        ort.set_default_logger_severity(2)
