"""Options without effect on a conversion, which are refused by name instead of being ignored."""

from __future__ import annotations

from ..errors import InputError
from ._options import BACKGROUND, Rates, ReadOptions, WriteOptions


def check_reading(options: ReadOptions, form: str) -> None:
    """Raise InputError for options of reading that do not apply to the format."""
    _refuse("names", options.names != "value", form, ("elan", "elan-text"))
    _refuse("annotations", options.annotations != "last", form, ("labelstudio",))
    _refuse("label_column", options.label_column is not None, form, ("csv", "via"))
    _refuse("background", options.background != BACKGROUND, form, ("frames",))


def check_writing(options: WriteOptions, form: str) -> None:
    """Raise InputError for options of writing that do not apply to the format."""
    _refuse("media", options.media is not None, form, ("elan", "labelstudio", "cvat", "boris", "via"))
    _refuse("size", options.size is not None, form, ("cvat",))


def check_rates(rates: Rates) -> None:
    """Raise InputError if frame rates are set and neither format needs them."""
    if (rates.everywhere is not None or rates.of_video) and not rates.asked:
        raise InputError(
            "convert-option",
            "`rates` has no effect, because neither format counts frames",
            required="a format that counts frames",
            next_step="leave out `rates`",
        )


def _refuse(option: str, is_set: bool, form: str, acting: tuple[str, ...]) -> None:
    if is_set and form not in acting:
        raise InputError(
            "convert-option",
            f"`{option}` has no effect for {form}",
            required=f"one of the formats {', '.join(acting)}",
            next_step=f"leave out `{option}`",
        )
