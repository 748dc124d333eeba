"""Which options were given, so that one without effect is refused by name instead of being ignored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from ..errors import InputError
from ..text.display import counted


def is_given(context: typer.Context, name: str) -> bool:
    """Whether the user gave a parameter, be it with the value of its default."""
    return getattr(context.get_parameter_source(name), "name", "DEFAULT") != "DEFAULT"


def refuse(
    context: typer.Context, names: Iterable[str], how: str, next_step: str, *, code: str = "option-unfit"
) -> None:
    """Raises InputError for those of the options that were given. how: "without --stream", "with --check"."""
    spelled = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    wrong = [spelled[name] for name in names if is_given(context, name)]
    if wrong:
        has = "has" if len(wrong) == 1 else "have"
        raise InputError(
            code,
            f"{', '.join(wrong)} {how}, where {'it' if len(wrong) == 1 else 'they'} {has} no effect",
            "options that act",
            f"{next_step}, or leave {wrong[0] if len(wrong) == 1 else counted(len(wrong), 'option')} out",
        )


def names_of(context: typer.Context, panel: str) -> list[str]:
    """Parameters that the help lists in one panel."""
    found: list[Any] = [p for p in context.command.params if getattr(p, "rich_help_panel", None) == panel]
    return [parameter.name for parameter in found]
