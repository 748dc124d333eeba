"""Checks of what `bundle_from_graphs` is given, with errors that name its parameters."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from punctum.runtime import InputError, PostProcess
from punctum.runtime.bundle import limits
from punctum.runtime.text.display import is_plain, plain, shown


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The class names. Raises InputError."""
    required = "a sequence of class names: texts that are not empty and differ from each other"
    if isinstance(labels, str | bytes) or not isinstance(labels, Sequence):
        raise _refused(f"`labels` is {_called(labels)}", required, "pass a list of texts")
    names = tuple(labels)
    if not names:
        raise _refused("`labels` is empty", required, "name the classes in the order of class_track")
    if len(names) > limits.LABELS:
        raise _refused(f"`labels` has {len(names):,} names", f"at most {limits.LABELS:,}", "use fewer classes")
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip() or not is_plain(name) or len(name) > limits.LABEL_CHARACTERS:
            raise _refused(f"`labels` contains {_called(name)} at place {number}", required, "correct this name")
        if name in names[:number]:
            raise _refused(f"`labels` contains {shown(name, 60)!r} twice", required, "name every class once")
    return names


def check_number(name: str, value: float, least: float, most: float) -> float:
    """A number within its bounds. Raises InputError."""
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not least <= number <= most:
        raise _refused(f"`{name}` is {_called(value)}", f"a number from {least:g} to {most:g}", f"correct `{name}`")
    return number


def check_whole(name: str, value: int, least: int, most: int) -> int:
    """A whole number within its bounds. Raises InputError."""
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise _refused(f"`{name}` is {_called(value)}", f"a whole number from {least} to {most:,}", f"correct `{name}`")
    return number


def check_field(field: tuple[int, int]) -> tuple[int, int]:
    """The receptive field as two whole numbers. Raises InputError."""
    if isinstance(field, str | bytes) or not isinstance(field, Sequence) or len(field) != 2:
        raise _refused(
            f"`receptive_field` is {_called(field)}", "(left, right), two numbers of snippets", "pass both numbers"
        )
    left, right = (check_whole("receptive_field", value, 0, limits.FIELD) for value in field)
    return left, right


def check_post(post: PostProcess | None, *, scored: bool) -> PostProcess:
    """The post-processing of a bundle with or without a scorer; None: the default. Raises InputError."""
    if post is None:
        post = PostProcess()
        fusion = post.fusion.model_copy(update={"center": 1.0})
        return post.model_copy(update={"fusion": fusion}) if scored else post
    if not isinstance(post, PostProcess):
        raise _refused(f"`post` is {_called(post)}", "punctum.runtime.PostProcess or None", "pass PostProcess(...)")
    terms = ("class_probability", "attention", "center")
    unused = [name for name in terms if getattr(post.fusion, name) > 0 and not scored]
    if unused:
        raise _refused(
            f"The fusion in `post` uses {', '.join(unused)}, which a scorer returns, and there is no `scorer`",
            "exponents of 0 for these terms, or a scorer",
            "pass `scorer`, or leave these terms out of the fusion",
        )
    return post


def check_provenance(provenance: Mapping[str, Any] | None) -> dict[str, Any]:
    """Facts that JSON can hold. Raises InputError."""
    required = "a mapping from texts to what JSON can hold: texts, numbers, lists, mappings"
    if provenance is None:
        return {}
    if not isinstance(provenance, Mapping):
        raise _refused(f"`provenance` is {_called(provenance)}", required, "pass a dict")
    for key, value in provenance.items():
        if not isinstance(key, str):
            raise _refused(f"`provenance` contains the key {_called(key)}", required, "use texts as keys")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise _refused(
                f"`provenance` cannot be stored: {shown(key, 60)!r} is {_called(value)} ({plain(error)[:200]})",
                required,
                "convert it, a NumPy number for example with .item()",
            ) from None
    return dict(provenance)


def _refused(given: str, required: str, next_step: str) -> InputError:
    return InputError("bundle-argument", given, required=required, next_step=next_step)


def _called(value: object) -> str:
    """A value in a message, with its type where this is not obvious."""
    text = shown(repr(value), 60)
    return text if isinstance(value, str | int | float | tuple | list) else f"{text} ({type(value).__name__})"
