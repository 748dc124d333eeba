"""One declaration per kernel, from which both of its forms are made.

`@jit("f8[::1](f8[:, ::1], f8)")` declares the types that the public functions pass, in Numba's notation. From it Numba
makes the kernel ahead of time (`_ahead`, for the wheels of a platform) or on first use (`_numba`). Which form runs is
decided at the first call (`_form`); importing the kernels imports no Numba.

A kernel without types is a helper of other kernels: Numba compiles it as part of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any


class Kernel:
    """A function that Numba compiles. Calling it runs the chosen form.

    Attributes:
        name: Its name in the compiled form, such as "suppress_hard".
        function: The Python function.
        types: Declared types of the result and the arguments; "" for a helper of other kernels.
        writes: Names of the arrays that it writes to. All others may be read-only.
    """

    def __init__(self, function: Callable[..., Any], types: str, writes: Sequence[str]) -> None:
        functools.update_wrapper(self, function)
        module = function.__module__.rpartition(".")[2]
        self.name = f"{module.lstrip('_')}_{function.__name__.lstrip('_')}"
        self.function, self.types, self.writes = function, types, tuple(writes)
        self._run: Callable[..., Any] = self._first
        self._jitted: Any = None

    def __call__(self, *arguments: Any) -> Any:
        return self._run(*arguments)

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"

    def _first(self, *arguments: Any) -> Any:
        self._run = _hooks["implementation"](self)
        return self._run(*arguments)

    def choose_again(self) -> None:
        """Decide at the next call which form runs."""
        self._run = self._first

    @property
    def jitted(self) -> Any:
        """The function as Numba compiles it on first use: made now, and for declared types compiled now."""
        if self._jitted is None:
            _hooks["compilation"](self)
        return self._jitted

    @jitted.setter
    def jitted(self, dispatcher: Any) -> None:
        self._jitted = dispatcher

    @property
    def is_jitted(self) -> bool:
        """Whether this process has compiled the kernel, or loaded it from the cache."""
        return self._jitted is not None

    @property
    def _numba_type_(self) -> Any:
        """Numba asks for this where a kernel calls another one."""
        return self.jitted._numba_type_


_hooks: dict[str, Callable[[Kernel], Any]] = {}


def provide(*, implementation: Callable[[Kernel], Callable[..., Any]], compilation: Callable[[Kernel], None]) -> None:
    """Set what kernels call: for the function that runs in the chosen form, and for setting `jitted`."""
    _hooks.update(implementation=implementation, compilation=compilation)


KERNELS: dict[str, Kernel] = {}
"""Every kernel by its name, in the order of the sources."""


def jit(types: str | Callable[..., Any] = "", *, writes: Sequence[str] = ()) -> Any:
    """Declare a kernel. No fastmath: NaN and ordering keep their IEEE meaning.

    Args:
        types: Types of the result and the arguments in Numba's notation, or the function itself: a helper.
        writes: Names of the array arguments that the kernel writes to.
    """

    def declare(function: Callable[..., Any]) -> Kernel:
        kernel = Kernel(function, types if isinstance(types, str) else "", writes)
        if KERNELS.setdefault(kernel.name, kernel) is not kernel:
            raise NameError(f"two kernels have the name {kernel.name}")
        return kernel

    return declare if isinstance(types, str) else declare(types)


def exported() -> list[Kernel]:
    """The kernels with declared types."""
    return [kernel for kernel in KERNELS.values() if kernel.types]
