"""Decorators for dataclasses that hold arrays or file contents: a short repr, and a comparison that does not raise.

The `__eq__` that `dataclass` generates compares tuples of fields. Comparing arrays gives an array, whose truth value is
ambiguous, so it raises.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
LONG = 80  # maximum characters of one field in a repr
MANY = 6  # maximum entries of a list that are shown


def compact(cls: type[T]) -> type[T]:
    """Class decorator for `@dataclass(repr=False)`: adds a repr of bounded length."""
    cls.__repr__ = _repr  # type: ignore[assignment]  # of a function that takes any dataclass
    return cls


def by_value(cls: type[T]) -> type[T]:
    """Class decorator for `@dataclass(eq=False, repr=False)`: adds equality by value.

    Two objects are equal if all fields are. Arrays are compared element by element, and NaN equals itself. Objects are
    not hashable, because arrays are not. A class without a repr of its own gets that of `compact`.
    """
    cls.__eq__ = _eq  # type: ignore[assignment]  # as in `compact`
    cls.__hash__ = _refuse  # type: ignore[assignment,method-assign]
    return cls if "__repr__" in vars(cls) else compact(cls)


def _repr(self: Any) -> str:
    shown = ", ".join(f"{f.name}={_shown(getattr(self, f.name))}" for f in fields(self) if f.repr)
    return f"{type(self).__name__}({shown})"


def _shown(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"<{value.dtype} {list(value.shape)}>"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, str):
        return repr(value) if len(value) <= LONG else f"<{len(value)} characters: {value[: LONG // 2]!r}...>"
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        if len(value) > MANY:
            return f"<{type(value).__name__} of {len(value)}>"
        inner = ", ".join(map(_shown, value)) + ("," if isinstance(value, tuple) and len(value) == 1 else "")
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    if isinstance(value, dict | set | frozenset):
        return f"<{type(value).__name__} of {len(value)}>" if value else repr(value)
    text = repr(value)
    return text if len(text) <= 2 * LONG else f"<{type(value).__name__}>"


def _eq(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.compare)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
            return False
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, tuple | list) and type(a) is type(b):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(value, b[key]) for key, value in a.items())
    return bool(a == b)


def _refuse(self: Any) -> int:
    raise TypeError(f"unhashable type: {type(self).__name__!r}, which holds arrays; use a name or an index as the key")
