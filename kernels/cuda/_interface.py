"""What an array on the device has to be, read from its `__cuda_array_interface__`. Imports no CUDA."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt

from .._validate import KernelInputError, KernelsUnavailableError

REALS = {"<f4": "float32", "<f8": "float64"}
INTEGERS = {"<i4": "int32", "<i8": "int64"}


class Interface(TypedDict, total=False):
    """What `__cuda_array_interface__` returns. Of foreign arrays: `check_array` trusts none of it."""

    shape: tuple[int, ...]
    typestr: str
    data: tuple[int | None, bool]
    version: int
    strides: tuple[int, ...] | None
    stream: int | None
    mask: object


class DeviceArray(Protocol):
    """An array on a CUDA device, of any library (CuPy, PyTorch, Numba)."""

    @property
    def __cuda_array_interface__(self) -> Mapping[str, object]: ...


class NumbaArray(DeviceArray, Protocol):
    """An array on a CUDA device as Numba makes it: what the functions of this package return."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def copy_to_host(self) -> npt.NDArray[np.generic]: ...


def interface_of(value: object) -> Interface | None:
    """The interface of an array on the device, None for anything else."""
    found: Interface | None = getattr(value, "__cuda_array_interface__", None)
    if found is None and getattr(value, "__cuda_ndarray__", False):
        # Arrays of Numba's simulator say that they are on the device, but only have the host's interface.
        found = getattr(value, "__array_interface__", None)
    return found if isinstance(found, dict) else None


def on_device(value: object) -> bool:
    """Whether `value` lies on a CUDA device: it has a `__cuda_array_interface__` (a CPU tensor of torch has none)."""
    return interface_of(value) is not None


@dataclass(frozen=True, slots=True)
class Handle:
    """A checked array on the device. stream: what its producer works on, None where nothing is to be waited for."""

    name: str
    interface: Interface
    shape: tuple[int, ...]
    dtype: str
    stream: int | None
    owner: Any


def _contiguous(shape: tuple[int, ...], strides: Sequence[int] | None, itemsize: int) -> bool:
    if strides is None or 0 in shape:
        return True
    step = itemsize
    for size, stride in zip(reversed(shape), reversed(tuple(strides)), strict=True):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def check_array(value: object, name: str, kinds: dict[str, str], shape: tuple[int | None, ...]) -> Handle:
    """Check an array before anything is launched; shape: None stands for any length.

    Raises KernelInputError for an array on the host, another dtype or shape, gaps between elements, a mask, an
    interface older than version 2 and a stream that the interface forbids; KernelsUnavailableError without Numba.
    """
    found = interface_of(value)
    if found is None:
        raise KernelInputError(
            f"{name} is {type(value).__name__} on the host",
            "an object with __cuda_array_interface__ for every array, or none (then the CPU kernels run)",
            f"move {name} to the device, or all of them to the host",
        )
    try:
        version, typestr, size = int(found["version"]), str(found["typestr"]), tuple(map(int, found["shape"]))
        pointer = int(found["data"][0] or 0)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise KernelInputError(
            f"the __cuda_array_interface__ of {name} is incomplete ({error!r})",
            "shape, typestr, data and version, as the interface's text says",
            f"check what made {name}",
        ) from None
    if version < 2 or found.get("mask") is not None:
        raise KernelInputError(
            f"{name} has interface version {version}{' and a mask' if found.get('mask') is not None else ''}",
            "version 2 or 3 without a mask",
            f"copy {name} to a plain array",
        )
    if typestr not in kinds:
        raise KernelInputError(f"{name} has dtype {typestr}", " or ".join(kinds.values()), f"convert {name}")
    if len(size) != len(shape) or any(want is not None and want != got for got, want in zip(size, shape, strict=True)):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise KernelInputError(f"{name} has shape {list(size)}", f"[{wanted}]", f"check {name}")
    if "numba" not in sys.modules and importlib.util.find_spec("numba") is None:
        raise KernelsUnavailableError(
            f"{name} is on a CUDA device, and Numba, which compiles the kernels for it, is not installed",
            "Numba and numba-cuda",
            "pip install 'punctum[jit]' numba-cuda",
        )
    if not _contiguous(size, found.get("strides"), int(typestr[2:])):
        raise KernelInputError(
            f"{name} has strides {found['strides']}", "elements without gaps, row after row", f"make {name} contiguous"
        )
    if pointer == 0 and 0 not in size:
        raise KernelInputError(f"{name} has no address", "memory on the device", f"check what made {name}")
    stream = found.get("stream")
    if stream is not None and (not isinstance(stream, int) or stream == 0):
        raise KernelInputError(f"{name} names stream {stream!r}", "None, 1, 2 or a handle", f"check what made {name}")
    return Handle(name, found, size, kinds[typestr], stream, value)
