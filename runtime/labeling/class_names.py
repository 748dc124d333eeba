"""Names of classes in changes: pages that were away may send names that a class had before."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..text.display import shown
from .editable import Editable
from .fields import MAX_NAME, bare, class_problem

MAX_CLASSES = 200
MOST_RENAMED = 1000
"""Changes of names that are remembered."""


def current_name(renamed: Sequence[tuple[str, str]], name: str, start: int | None = None) -> str:
    """The current name of a class.

    Args:
        renamed: Old and new names, in the order of the changes.
        name: The name that is known.
        start: Number of changes before the time at which the class had this name. None: the name is an old one, so
            that its last change counts.
    """
    if start is None:
        start = next((k for k in range(len(renamed) - 1, -1, -1) if renamed[k][0] == name), len(renamed))
    for old, new in renamed[start:]:
        name = new if name == old else name
    return name


def known_class(store: Editable, name: str) -> str | None:
    """The class of a name, which it may have had before; None if there is none."""
    if name in store.classes:
        return name
    now = current_name(store.labeling.renamed, name)
    return now if now in store.classes else None


def class_of(store: Editable, name: str) -> str:
    """The class of a click. If it is gone, it comes back: no click is lost because somebody removed its class.

    Raises:
        InputError: There is no such class, and none can have this name.
    """
    if (known := known_class(store, name)) is not None:
        return known
    alike = next((other for other in store.classes if bare(other) == bare(name)), None)
    if alike is not None and not store.fixed:
        return alike
    if store.fixed or class_problem(name) or len(store.classes) >= MAX_CLASSES:
        raise no_class(store, name)
    store.classes.append(name)
    return name


def no_class(store: Editable, name: str) -> InputError:
    """The error for a name of which there is no class."""
    return InputError("label-class", f"{shown(name)} is no class", ", ".join(store.classes), "add the class first")


def check_open(store: Editable) -> None:
    """Refuse a change of the classes of a data set."""
    if store.fixed:
        raise InputError(
            "label-class",
            "The classes are those of dataset.json",
            required="a folder without dataset.json to change classes here",
            next_step="change them there, and start again",
        )


def check_name(store: Editable, name: str, others: Sequence[str]) -> None:
    """Refuse the name of a new class if it is none, or looks like that of another class."""
    check_open(store)
    problem = class_problem(name)
    if not problem and (taken := next((other for other in others if bare(other) == bare(name)), None)) is not None:
        problem = f"is taken by {shown(repr(taken), 60)}"
    if problem:
        raise InputError(
            "label-class",
            f"The class {shown(repr(name), 60)} {problem}",
            required=f"up to {MAX_NAME} visible characters that differ from other classes by more than capitalization",
            next_step="choose another name",
        )
