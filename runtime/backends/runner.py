"""What every inference library provides here: a graph that can be run and that describes its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DType = np.dtype[Any]


class TensorInfo(Protocol):
    """An input or output of a graph, described as ONNX Runtime does."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Sequence[int | str | None]:
        """A text or None for each free dimension."""
        ...

    @property
    def type(self) -> str:
        """ "tensor(float)", "tensor(int64)" and so on."""
        ...


class Runner(Protocol):
    """Runs one graph. Raises PunctumError where the engine fails."""

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Arrays by input name -> the outputs, in the order of their names."""
        ...

    def get_inputs(self) -> Sequence[TensorInfo]: ...
    def get_outputs(self) -> Sequence[TensorInfo]: ...
