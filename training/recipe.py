"""What every recipe has in common: fields checked on reading and copying, and fields without effect refused by name.

A field without effect is one that other fields switch off, such as the loss weight of a head that does not exist.
It counts only where it differs from its default, so a recipe that a run recorded can be used again unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from punctum.runtime.datasets.tables import read_json
from punctum.runtime.errors import InputError
from punctum.runtime.text.display import plain
from pydantic import BaseModel, ConfigDict, ValidationError

R = TypeVar("R", bound=BaseModel)

MAX_SIZE = 1 << 16  # units of a layer, kernel sizes, pooling bins and the like
MAX_COUNT = 10**9  # steps, epochs, batch sizes
MAX_SEED = 2**53  # the largest integer that JSON, NumPy and torch all represent

IdleField = tuple[str, str]
"""A field without effect (dotted name) and the reason."""


class Recipe(BaseModel):
    """Base of all recipe sections. Unknown fields, wrong types and values out of range are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with changed fields, validated like a recipe file.

        Raises:
            InputError: a field is unknown, has the wrong type or is out of range.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields} | dict(update or {})
        try:
            return type(self).model_validate(values)
        except ValidationError as error:
            raise invalid_recipe(error, type(self).__name__) from None


def read_recipe(path: Path, kind: type[R]) -> R:
    """Read a JSON file as a recipe; absent fields take their defaults. config.json of a run stands for its recipe.

    Raises:
        InputError: the file cannot be read, or a field is wrong (named in the message).
    """
    try:
        problem = "" if path.is_file() else "is not a file"
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({error})"
    if problem:
        raise InputError("config-unreadable", f"{path} {problem}", required="a JSON file", next_step="check the path")
    record = _recipe_in(read_json(path))
    try:
        return kind.model_validate(_lists_to_tuples(record), strict=True)  # strict: "5" and true are not numbers
    except ValidationError as error:
        raise invalid_recipe(error, kind.__name__, path) from None


def invalid_recipe(error: ValidationError, kind: str, path: Path | None = None) -> InputError:
    """The error for the first invalid field of a recipe."""
    first: Any = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "the recipe"
    return InputError(
        "config-invalid",
        plain(f"{'' if path is None else f'{path}: '}{field}: {first['msg']}"),
        f"the fields of {kind}, all optional (config.json of a finished run lists them)",
        f"correct {plain(field)}",
    )


def refuse_idle(path: Path, fields: Iterator[IdleField]) -> None:
    """Raise InputError for the first field without effect."""
    for field, reason in fields:
        raise InputError(
            "config-idle",
            f"{path}: {field} has no effect: {reason}",
            "fields that have an effect",
            f"remove {field}, or change the field that disables it",
        )


def idle_fields(section: BaseModel, names: tuple[str, ...], place: str, reason: str) -> Iterator[IdleField]:
    """Those of the fields `names` of a section that differ from their defaults, by dotted name."""
    for name in names:
        if differs(section, name):
            yield f"{place}.{name}" if place else name, reason


def differs(section: BaseModel, name: str) -> bool:
    """Whether a field differs from its default."""
    default: Any = type(section).model_fields[name].get_default(call_default_factory=True)
    return bool(getattr(section, name) != default)


def _recipe_in(record: Any) -> Any:
    """The recipe in config.json of a run folder, which has it in a field beside what identifies the data."""
    if isinstance(record, dict) and "schema" in record and isinstance(record.get("config"), dict):
        return record["config"]
    return record


def _lists_to_tuples(value: Any) -> Any:
    """JSON has lists where recipes have tuples."""
    if isinstance(value, dict):
        return {name: _lists_to_tuples(item) for name, item in value.items()}
    return tuple(_lists_to_tuples(item) for item in value) if isinstance(value, list) else value
