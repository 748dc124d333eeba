"""Running a session: plainly on the CPU, through buffers that stay on the device on a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import PunctumError
from ...text.display import plain

Array = npt.NDArray[Any]
MOST_BINDINGS = 8  # shapes whose buffers are kept; a live stream in its stride has one


class Runner(Protocol):
    """Runs one graph. Raises PunctumError where the engine fails."""

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Arrays by input name -> the outputs, in the order of their names."""
        ...


class PlainRunner:
    """`InferenceSession.run`. Thread-safe, as that is."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        try:
            made: list[Array] = self._session.run(list(outputs), dict(feeds))
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
            raise failed(error) from None
        return made


class BoundRunner:
    """Inputs are copied into buffers on the device, outputs stay in theirs until they are read: nothing is allocated
    once a shape has come before. Buffers of the last few shapes are kept. One run at a time: the buffers are shared.

    place: "cuda", or "cpu" to run the same code without a GPU.
    """

    def __init__(self, ort: Any, session: Any, *, place: str, index: int = 0, most: int = MOST_BINDINGS) -> None:
        self._ort, self._session, self._place, self._index, self._most = ort, session, place, index, most
        self._held: OrderedDict[tuple[Any, ...], _Binding] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        arrays = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        key = (tuple(outputs), *((name, array.shape, array.dtype.str) for name, array in arrays.items()))
        with self._lock:
            try:
                held = self._held.get(key)
                if held is not None:
                    self._held.move_to_end(key)
                    return held.run(arrays)
                held = _Binding(self._ort, self._session, arrays, outputs, self._place, self._index)
                with quiet(self._ort):  # cuDNN tells of every plan that it tried in vain before it found one
                    made = held.run(arrays)
                self._held[key] = held
                if len(self._held) > self._most:
                    self._held.popitem(last=False)
                return made
            except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeErrors of many types
                self._held.pop(key, None)
                raise failed(error) from None


class _Binding:
    """Buffers for one set of shapes."""

    def __init__(
        self, ort: Any, session: Any, arrays: Mapping[str, Array], outputs: Sequence[str], place: str, index: int
    ) -> None:
        self._session, self._outputs = session, outputs
        self._binding = session.io_binding()
        self._inputs: dict[str, Any] = {}
        self._results: list[Any] = []
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
            # The engine has chosen their sizes: from here on it writes into the same buffers.
            self._results = self._binding.get_outputs()
            for name, value in zip(self._outputs, self._results, strict=True):
                self._binding.bind_ortvalue_output(name, value)
        # On the CPU `numpy` may be a view of the buffer that the next run overwrites.
        return [np.array(value.numpy()) for value in self._results]


@contextlib.contextmanager
def quiet(ort: Any) -> Iterator[None]:
    """ONNX Runtime's own lines on standard error stay away: what counts is raised."""
    ort.set_default_logger_severity(4)
    try:
        yield
    finally:
        ort.set_default_logger_severity(2)


def reason(error: object, most: int = 1200) -> str:
    """What an engine says, on one line. The cause stands at the end of what can be a long way through its sources, so
    a text that is too long loses its middle."""
    text = plain(error) or error.__class__.__name__
    return text if len(text) <= most else f"{text[: most // 3]} ... {text[-(2 * most // 3) :]}"


def failed(error: Exception) -> PunctumError:
    """What a user is told when an engine gives up in the middle of a run."""
    if isinstance(error, PunctumError):  # an engine elsewhere has said why itself
        return error
    return PunctumError(
        "engine-failed",
        f"the engine failed: {reason(error)}",
        "a run within the device's memory, on a graph that it supports",
        "on a GPU see --gpu-memory and nvidia-smi; else run punctum doctor with this bundle",
    )
