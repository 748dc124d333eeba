"""The checks of what training holds out together, in `punctum data check`: groups.csv, and classes of one group."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InputError
from ..text.display import counted, some
from .dataset import Dataset
from .findings import CheckResult
from .groups import FILE, read_groups


def check_groups(data: Dataset, result: CheckResult) -> None:
    """Report groups that training would refuse, and how many there are."""
    try:
        groups = read_groups(data.folder, data.train)
    except InputError as error:
        result.error(error.code, data.folder / FILE, error.given, error.next_step)
        return
    if groups or (data.folder / FILE).exists():
        result.summary["groups of training videos"] = len(set(groups.values()))
        missing = [video for video in data.train if video not in groups]
        if missing:
            result.warn(
                "groups-missing",
                data.folder / FILE,
                f"{counted(len(missing), 'training video')} in no group ({', '.join(missing[:3])})",
                "add them: a video without a group is held out alone",
            )


def check_held_out(data: Dataset, clicks: Iterable[tuple[str, str]], result: CheckResult) -> None:
    """Warn about classes of which all clicks are held out at once: networks that have not seen them cannot be judged.

    Args:
        data: The data set.
        clicks: Class and video of each click in the training videos.
        result: Takes the warnings.
    """
    try:
        groups = read_groups(data.folder, data.train)
    except InputError:
        return  # `check_groups` reports it
    units: dict[str, set[str]] = {}
    for label, video in clicks:
        units.setdefault(label, set()).add(f"group {groups[video]}" if video in groups else f"video {video}")
    alone = {label: next(iter(places)) for label, places in units.items() if len(places) == 1}
    if not alone or len(set().union(*units.values())) < 2:
        return
    where = some([f"{label!r} in {place}" for label, place in alone.items()], 3)
    result.warn(
        "class-held-out",
        data.points_file,
        f"all clicks of a class are in one {'video or group' if groups else 'video'}: {where}",
        "click it elsewhere, too: calibration, which judges held-out videos, leaves the class out",
    )
