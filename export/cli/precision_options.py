"""The options of precision variants, which `punctum export` and `punctum quantize` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from punctum.runtime.cli.terminal import echo
from punctum.runtime.errors import InputError

if TYPE_CHECKING:
    from punctum.runtime import Bundle

MAX_MAP_DROP_HELP = "Largest loss of mAP in points; a variant that loses more is refused."


def variant_adder(
    precision: str, dataset: Path | None, split: str | None, max_map_drop: float, *, quiet: bool = False
) -> Callable[[Bundle], Bundle]:
    """A function that adds the requested variants to a bundle. Options are checked before any work is done.

    Args:
        precision: names of variants, separated by commas.
        dataset: data set of the run.
        split: split folder of the data set.
        max_map_drop: largest loss of mAP, in points.
        quiet: print no line per variant.

    Raises:
        InputError: an option is wrong or missing.
    """
    from ..precision.recordings import open_data
    from ..precision.variants import add_variants, check_max_drop, parse_precisions

    names = parse_precisions(precision)
    check_max_drop(max_map_drop)
    if dataset is None:
        raise InputError(
            "dataset-needed",
            f"--precision {precision} needs a data set, and a run does not record where its own is",
            required="the data set of the run: training videos calibrate int8, test videos measure the accuracy",
            next_step="set --dataset",
        )
    folder = dataset

    def add(bundle: Bundle) -> Bundle:
        data = open_data(bundle, folder, split)
        report = (lambda line: None) if quiet else echo
        return add_variants(bundle, names, data, split=split, max_map_drop=max_map_drop, report=report)

    return add
