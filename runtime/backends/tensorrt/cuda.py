"""The CUDA driver through ctypes: memory, streams and graphs.

Only the driver's own library is needed, no toolkit and no Python package: `libcuda.so.1` is part of every driver, on a
Jetson as on a server, and its functions keep their names and arguments. Streams and addresses can be passed to
TensorRT, because both use the primary context.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

from ...errors import InputError, PunctumError
from .key import Gpu

SONAME = "libcuda.so.1"
_KERNEL = Path("/proc/driver/nvidia/version")
_MAJOR, _MINOR = 75, 76  # attributes: compute capability
_NON_BLOCKING = 1
_THREAD_LOCAL = 1  # capture mode: other threads may use the driver meanwhile

_size, _int, _uint, _ptr = ctypes.c_size_t, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
_address = ctypes.c_uint64  # CUdeviceptr
_out = ctypes.POINTER
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (_uint,),
    "cuDriverGetVersion": (_out(_int),),
    "cuDeviceGetCount": (_out(_int),),
    "cuDeviceGet": (_out(_int), _int),
    "cuDeviceGetName": (ctypes.c_char_p, _int, _int),
    "cuDeviceGetAttribute": (_out(_int), _int, _int),
    "cuDevicePrimaryCtxRetain": (_out(_ptr), _int),
    "cuCtxSetCurrent": (_ptr,),
    "cuMemAlloc_v2": (_out(_address), _size),
    "cuMemFree_v2": (_address,),
    "cuMemHostAlloc": (_out(_ptr), _size, _uint),
    "cuMemFreeHost": (_ptr,),
    "cuMemcpyHtoDAsync_v2": (_address, _ptr, _size, _ptr),
    "cuMemcpyDtoHAsync_v2": (_ptr, _address, _size, _ptr),
    "cuStreamCreate": (_out(_ptr), _uint),
    "cuStreamDestroy_v2": (_ptr,),
    "cuStreamSynchronize": (_ptr,),
    "cuStreamBeginCapture_v2": (_ptr, _int),
    "cuStreamEndCapture": (_ptr, _out(_ptr)),
    "cuGraphInstantiateWithFlags": (_out(_ptr), _ptr, ctypes.c_uint64),
    "cuGraphLaunch": (_ptr, _ptr),
    "cuGraphExecDestroy": (_ptr,),
    "cuGraphDestroy": (_ptr,),
    "cuGetErrorName": (_int, _out(ctypes.c_char_p)),
    "cuGetErrorString": (_int, _out(ctypes.c_char_p)),
}


class Cuda:
    """The first GPU that the process sees; CUDA_VISIBLE_DEVICES selects it.

    Methods raise PunctumError with the driver's function and its reason. Every thread calls `use` first.

    Attributes:
        gpu: The GPU's description.
    """

    def __init__(self, driver: ctypes.CDLL) -> None:
        self._driver = driver
        for name, arguments in _SIGNATURES.items():
            try:
                function = getattr(driver, name)
            except AttributeError:
                raise _unavailable(f"The driver has no {name}", "a driver for CUDA 11.4 or newer") from None
            function.argtypes, function.restype = arguments, _int
        code = driver.cuInit(0)
        if code:
            raise _unavailable(f"There is no usable GPU: cuInit returned {self._reason(code)}")
        count = _int()
        if driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
            raise _unavailable("The driver shows no GPU", "a GPU that the process may use (CUDA_VISIBLE_DEVICES)")
        device, context = _int(), _ptr()
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self.gpu = self._describe(device.value)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device.value)
        self._context = context
        self.use()

    @classmethod
    def open(cls, path: str | Path = SONAME) -> Cuda:
        """Load the driver. Raises InputError where there is no driver or no GPU."""
        try:
            driver = ctypes.CDLL(str(path))
        except OSError as error:
            raise _unavailable(f"There is no NVIDIA driver: {error}") from None
        return cls(driver)

    def use(self) -> None:
        """Make the device's primary context current in this thread."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size: int) -> int:
        """Allocate device memory of `size` bytes, at least one. Returns its address."""
        address = _address()
        self._call("cuMemAlloc_v2", ctypes.byref(address), max(size, 1))
        return int(address.value)

    def free(self, address: int) -> None:
        self._call("cuMemFree_v2", address)

    def allocate_host(self, size: int) -> int:
        """Allocate pinned host memory of `size` bytes: copies from it need no staging and can be asynchronous."""
        address = _ptr()
        self._call("cuMemHostAlloc", ctypes.byref(address), max(size, 1), 0)
        return int(address.value or 0)

    def free_host(self, address: int) -> None:
        self._call("cuMemFreeHost", address)

    def upload(self, device: int, host: int, size: int, stream: int) -> None:
        """Copy `size` bytes from host to device, in stream order."""
        self._call("cuMemcpyHtoDAsync_v2", device, host, size, stream)

    def download(self, host: int, device: int, size: int, stream: int) -> None:
        """Copy `size` bytes from device to host, in stream order."""
        self._call("cuMemcpyDtoHAsync_v2", host, device, size, stream)

    def stream(self) -> int:
        """Create a stream that does not wait for the default stream."""
        handle = _ptr()
        self._call("cuStreamCreate", ctypes.byref(handle), _NON_BLOCKING)
        return int(handle.value or 0)

    def destroy_stream(self, stream: int) -> None:
        self._call("cuStreamDestroy_v2", stream)

    def synchronize(self, stream: int) -> None:
        """Wait until all work of the stream is done."""
        self._call("cuStreamSynchronize", stream)

    def begin_capture(self, stream: int) -> None:
        """Record what follows on the stream instead of running it."""
        self._call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        """End the recording. Returns a graph that can be launched."""
        graph, executable = _ptr(), _ptr()
        self._call("cuStreamEndCapture", stream, ctypes.byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)
        return int(executable.value or 0)

    def abandon_capture(self, stream: int) -> None:
        """End a recording that failed, ignoring errors of the driver."""
        graph = _ptr()
        if not self._driver.cuStreamEndCapture(stream, ctypes.byref(graph)) and graph:
            self._driver.cuGraphDestroy(graph)

    def launch(self, executable: int, stream: int) -> None:
        self._call("cuGraphLaunch", executable, stream)

    def destroy_graph(self, executable: int) -> None:
        self._call("cuGraphExecDestroy", executable)

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._driver, name)(*arguments)
        if code:
            raise PunctumError(
                "cuda-failed",
                f"{name} returned {self._reason(code)}",
                required="a working GPU with enough free memory",
                next_step="check what else uses the GPU, then start again",
            )

    def _reason(self, code: int) -> str:
        parts = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            text = ctypes.c_char_p()
            if not getattr(self._driver, name)(code, ctypes.byref(text)) and text.value:
                parts.append(text.value.decode(errors="replace"))
        return ": ".join(parts) or f"error {code}"

    def _describe(self, device: int) -> Gpu:
        name, number = ctypes.create_string_buffer(256), _int()
        self._call("cuDeviceGetName", name, len(name), device)
        capability = []
        for attribute in (_MAJOR, _MINOR):
            self._call("cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
            capability.append(str(number.value))
        self._call("cuDriverGetVersion", ctypes.byref(number))
        cuda = f"{number.value // 1000}.{number.value % 1000 // 10}"
        return Gpu(name.value.decode(errors="replace"), ".".join(capability), driver_version(), cuda)


def driver_version(path: Path = _KERNEL) -> str:
    """Version of the kernel driver, such as "580.95.05"; empty where it is unknown."""
    try:
        match = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", path.read_text(errors="replace"))
    except OSError:
        return ""
    return match[1] if match else ""


def gpu_here() -> Gpu | None:
    """The first GPU that this process sees; None where there is none that works."""
    try:
        return Cuda.open().gpu
    except PunctumError:
        return None


def _unavailable(given: str, required: str = "a machine with an NVIDIA GPU and its driver") -> InputError:
    return InputError(
        "device-unavailable",
        given,
        required=required,
        next_step='use `device="cpu"` here, or run `punctum doctor`',
    )
