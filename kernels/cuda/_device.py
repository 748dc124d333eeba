"""The host's side of a launch: arrays of other libraries as Numba's, memory, block sizes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import cuda

from .._validate import KernelInputError
from ._arith import SIMULATED
from ._interface import Handle, NumbaArray
from ._kernels import THREADS


class _HostView:
    """What the simulator calls device memory, as NumPy sees it."""

    def __init__(self, handle: Handle) -> None:
        kept = ("shape", "typestr", "data", "strides")
        self.__array_interface__ = {key: handle.interface.get(key) for key in kept} | {"version": 3}
        self.owner = handle.owner


def check_driver() -> None:
    """Raises KernelInputError where Numba finds no CUDA driver."""
    if not cuda.is_available():
        reason = " ".join(str(getattr(cuda, "cuda_error", lambda: None)() or "").split())
        raise KernelInputError(
            f"the arrays are on a CUDA device, which Numba cannot reach ({reason or 'no usable driver or toolkit'})",
            "a CUDA driver and toolkit that numba.cuda finds (python -c 'from numba import cuda; cuda.detect()')",
            "install the package numba-cuda with the toolkit of your driver, or move the arrays to the host",
        )


def opened(handle: Handle) -> NumbaArray:
    """The array as Numba's; waits for the stream that its producer works on."""
    if SIMULATED:
        from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

        known = getattr(handle.owner, "__cuda_ndarray__", False)
        array: NumbaArray = handle.owner if known else FakeCUDAArray(np.asarray(_HostView(handle)))
    else:
        array = cuda.as_cuda_array(handle.owner)
    return array


def empty(shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> NumbaArray:
    """New memory on the current device."""
    array: NumbaArray = cuda.device_array(shape, dtype)
    return array


def threads_for(largest: int) -> int:
    """Threads of a block whose group has up to `largest` members: a few members each, so that barriers stay cheap."""
    if SIMULATED:  # a thread of the simulator is one of Python's
        return 2
    threads = 32
    while threads < THREADS and threads * 4 < largest:
        threads *= 2
    return threads


def flat(count: int) -> tuple[int, int]:
    """(blocks, threads) with a thread for each of `count` elements."""
    threads = 16 if SIMULATED else 128
    return (count + threads - 1) // threads, threads


def finish() -> None:
    """Wait for what was launched."""
    cuda.synchronize()
