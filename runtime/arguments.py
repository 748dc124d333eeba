"""Types and ranges of arguments of public functions. Without these checks a wrong one fails far from its cause."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real

from .errors import InputError
from .text.display import shown

SIZE_LIMIT = 2**31 - 1
"""Largest number of threads, columns and the like: libraries in C take no larger ones."""


def check_type(
    name: str, value: object, kinds: type | tuple[type, ...], allowed: str, *, optional: bool = False
) -> None:
    """Raise InputError for a value of another type.

    Args:
        name: The parameter.
        value: Its value.
        kinds: The permitted types.
        allowed: What they are called in the message, such as "a text".
        optional: Whether None is permitted.
    """
    if not (isinstance(value, kinds) or (optional and value is None)):
        raise wrong_argument(name, value, f"{allowed}, or None" if optional else allowed)


def check_text(name: str, value: object, *, optional: bool = False) -> None:
    """Raise InputError for a value that is not a str."""
    check_type(name, value, str, "a text", optional=optional)


def check_flag(name: str, value: object) -> None:
    """Raise InputError for a value that is neither True nor False."""
    check_type(name, value, bool, "True or False")


def check_number(name: str, value: object, *, optional: bool = False) -> None:
    """Raise InputError for a value that is not a real number, or that float64 cannot hold. NaN is a number."""
    if optional and value is None:
        return
    try:
        float(value) if isinstance(value, Real) and not isinstance(value, bool) else _refuse()
    except (TypeError, OverflowError):
        raise wrong_argument(name, value, "a number, or None" if optional else "a number") from None


def check_size(name: str, value: object, *, least: int = 1, most: int = SIZE_LIMIT, optional: bool = False) -> None:
    """Raise InputError for a value that is not a whole number from `least` to `most`."""
    whole = isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most
    if not (whole or (optional and value is None)):
        raise wrong_argument(name, value, f"a whole number from {least} to {most}" + (", or None" if optional else ""))


def check_between(name: str, value: object, least: float, most: float) -> None:
    """Raise InputError for a value that is not a number from `least` to `most`."""
    check_number(name, value)
    if not (isinstance(value, Real) and least <= float(value) <= most):
        raise wrong_argument(name, value, f"a number from {least:g} to {most:g}")


def check_positive(name: str, value: object) -> None:
    """Raise InputError for a value that is not a finite number above 0."""
    check_number(name, value)
    if not (isinstance(value, Real) and 0 < float(value) < math.inf):
        raise wrong_argument(name, value, "a finite number above 0")


def check_stream_source(source: object) -> None:
    """Raise InputError for what is neither chunks nor a source that yields items."""
    if isinstance(source, str | bytes) or not (
        isinstance(source, Iterable) or callable(getattr(source, "items", None))
    ):
        raise wrong_argument("source", source, "chunks of features, or a source that `open_source` has opened")


def wrong_argument(name: str, value: object, allowed: str) -> InputError:
    """The error for an argument of a wrong type, or with a value that is not permitted."""
    return InputError("argument-type", f"`{name}` is {_described(value)}", allowed, f"correct the argument `{name}`")


def _described(value: object) -> str:
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, Integral):
        value = int(value)
        return repr(value) if abs(value) <= SIZE_LIMIT else "an int that is out of range"
    if isinstance(value, str | bytes):
        return f"{shown(repr(value), 80)}, of the type {type(value).__name__}"
    return f"an object of the type {type(value).__name__}"


def _refuse() -> None:
    raise TypeError
