"""Options without effect are rejected by name instead of being ignored."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypedDict, TypeVar

import typer

from ..errors import InputError
from ..text.display import counted

T = TypeVar("T", bound=str)


class Panel(TypedDict):
    """Where the help shows a parameter."""

    rich_help_panel: str


def one_of(option: str, value: str, allowed: tuple[T, ...], *, code: str) -> T:
    """The value of an option that takes one of a few words. Raises InputError for another."""
    for word in allowed:
        if value == word:
            return word
    raise InputError(code, f"{option} {value!r} is not a valid value", ", ".join(allowed), f"correct {option}")


def is_given(context: typer.Context, name: str) -> bool:
    """Whether the user set a parameter, even to its default value."""
    return getattr(context.get_parameter_source(name), "name", "DEFAULT") != "DEFAULT"


def refuse(
    context: typer.Context, names: Iterable[str], how: str, next_step: str, *, code: str = "option-unfit"
) -> None:
    """Reject options that have no effect here.

    Args:
        context: The running command.
        names: Parameters without effect.
        how: When they have none: "without --stream", "with --check".
        next_step: What to do about it instead of leaving them out.
        code: Code of the error.

    Raises:
        InputError: The user set one of them.
    """
    spelled = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    wrong = [spelled[name] for name in names if is_given(context, name)]
    if wrong:
        has = "has" if len(wrong) == 1 else "have"
        raise InputError(
            code,
            f"{', '.join(wrong)} {has} no effect {how}",
            next_step=f"{next_step}, or leave {wrong[0] if len(wrong) == 1 else counted(len(wrong), 'option')} out",
        )


def names_of(context: typer.Context, panel: str) -> list[str]:
    """The parameters that the help shows in one panel."""
    found = [p for p in context.command.params if getattr(p, "rich_help_panel", None) == panel]
    return [str(parameter.name) for parameter in found]


def check_score(min_score: float) -> None:
    """Raises InputError for a minimum that no score can be compared with."""
    if not math.isfinite(min_score):
        raise InputError("min-score", f"--min-score {min_score} is not a number", "a number", "correct --min-score")


def check_labels(labels: Iterable[str], known: Iterable[str]) -> None:
    """Raises InputError for a label that is not a class of the bundle."""
    for label in labels:
        if label not in known:
            raise InputError(
                "label-unknown", f"The bundle has no class {label!r}", ", ".join(known), "set --label to one of these"
            )
