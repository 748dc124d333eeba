"""What people have said about the videos: clicks, certified background, and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from ..datasets.annotators import SAME_ACTION_S
from ..datasets.background import BackgroundRow
from .answered import Moment
from .clicks import Click


@dataclass(frozen=True, slots=True)
class Labels:
    """Clicks and certified background by video. confirmed: ids of clicks; labeled:
    videos with clicks or marks, in all of which what has no click is background."""

    clicks: Mapping[str, Sequence[Click]]
    spans: Mapping[str, Sequence[BackgroundRow]]
    confirmed: frozenset[str]
    labeled: frozenset[str]
    answered: Sequence[Moment] = ()
    """Moments that were answered in the present round: nothing more is asked about them."""
    doubts: Mapping[str, float] = field(default_factory=dict)
    """Probability of an error above which a click that a person has settled is in doubt again, by its id."""

    @classmethod
    def of(
        cls,
        clicks: Iterable[Click],
        spans: Iterable[BackgroundRow],
        *,
        confirmed: Iterable[str] = (),
        marked: Iterable[str] = (),
        partly: Iterable[str] = (),
        answered: Sequence[Moment] = (),
        doubts: Mapping[str, float] | None = None,
    ) -> Labels:
        """Clicks of several annotators that mark the same action count once.

        marked: videos that are finished, or in which nothing happens; partly: videos labeled in part.
        """
        by_video: dict[str, list[Click]] = {}
        for click in sorted(clicks, key=lambda c: (c.time_s, c.id)):
            known = by_video.setdefault(click.video, [])
            near = takewhile(lambda other: click.time_s - other.time_s <= SAME_ACTION_S, reversed(known))  # noqa: B023
            if not any(_same_action(click, other) for other in near):
                known.append(click)
        by_span: dict[str, list[BackgroundRow]] = {}
        for span in spans:
            by_span.setdefault(span.video, []).append(span)
        labeled = (by_video.keys() | set(marked)) - set(partly)
        return cls(by_video, by_span, frozenset(confirmed), frozenset(labeled), answered, doubts or {})


def _same_action(click: Click, other: Click) -> bool:
    return (
        click.label == other.label
        and click.annotator != other.annotator
        and abs(click.time_s - other.time_s) <= SAME_ACTION_S
    )
