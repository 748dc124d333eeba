"""Clicks that a person was asked about and confirmed, as labeling.json lists them by id."""

from __future__ import annotations

from .dataset import Dataset
from .labeled import read_labeling
from .tables import read_points


def confirmed_clicks(data: Dataset) -> frozenset[tuple[str, str, int]]:
    """Video, class and time in milliseconds of each confirmed click.

    A click that stands for several annotators (`Dataset.points`) has a time of its own, and is not among them.

    Raises:
        InputError: A file cannot be read, or names an unknown class.
    """
    marks = read_labeling(data.folder).confirmed if data.points_file.is_file() else {}
    if not marks:
        return frozenset()
    labels, videos = data.point_names()
    found = set()
    for row in read_points(data.points_file):
        if row.id in marks:
            label, video = data.resolve(row, labels, videos)
            time_s = row.frame if row.seconds else row.time_s(data.rate(video))
            found.add((video, label, round(1000 * time_s)))
    return frozenset(found)
