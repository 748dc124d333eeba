"""Options of a conversion that nothing would ask for: refused by name instead of being ignored."""

from __future__ import annotations

from ..errors import InputError
from ._options import BACKGROUND, Rates, ReadOptions, WriteOptions


def check_reading(options: ReadOptions, form: str) -> None:
    """Raises InputError for options that say how another form is read."""
    _refuse("--names", options.names != "value", form, ("elan", "elan-text"), "read")
    _refuse("--annotations", options.annotations != "last", form, ("labelstudio",), "read")
    _refuse("--label-column", options.label_column is not None, form, ("csv", "via"), "read")
    _refuse("--background", options.background != BACKGROUND, form, ("frames",), "read")


def check_writing(options: WriteOptions, form: str) -> None:
    """Raises InputError for options that say what another form is told."""
    _refuse("--media", options.media is not None, form, ("elan", "labelstudio", "cvat", "boris", "via"), "written")
    _refuse("--size", options.size is not None, form, ("cvat",), "written")


def check_rates(rates: Rates) -> None:
    """Raises InputError where frame rates were given and neither side asked for one."""
    if (rates.everywhere is not None or rates.of_video) and not rates.asked:
        raise InputError(
            "convert-option",
            "--fps, where neither form counts frames",
            "--fps for forms that count frames",
            "leave --fps out",
        )


def _refuse(option: str, given: bool, form: str, acting: tuple[str, ...], how: str) -> None:
    if given and form not in acting:
        raise InputError(
            "convert-option",
            f"{option} for {form}, which is {how} without it",
            f"{option} for {', '.join(acting)}",
            f"leave {option} out",
        )
