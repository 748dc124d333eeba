"""The classes of a merged data set."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..labeling.fields import bare
from .source import Source


def all_classes(sources: Sequence[Source]) -> tuple[str, ...]:
    """Every class that a folder knows, with clicks or without, in the order of the folders and of their classes.

    Args:
        sources: The folders.

    Raises:
        InputError: Two classes that are used differ in case or spaces only, and no dataset.json has both.
    """
    owner: dict[str, Source] = {}
    for source in sources:
        for name in [*source.classes, *_of_spans(source)]:
            owner.setdefault(name, source)
    apart = [set(source.classes) for source in sources if source.fixed]
    spelled: dict[str, str] = {}
    for name in owner:
        other = spelled.setdefault(" ".join(bare(name).split()), name)
        if other != name and not any({other, name} <= both for both in apart):
            places = " and ".join(dict.fromkeys(str(owner[each].folder) for each in (other, name)))
            raise InputError(
                "label-alike",
                f"{places} contain the classes {other!r} and {name!r}",
                required="one spelling for each class",
                next_step="rename one of them in its tables, or with `punctum label`",
            )
    return tuple(dict.fromkeys(name for source in sources for name in names_of(source)))


def trained_classes(sources: Sequence[Source]) -> tuple[str, ...]:
    """The classes that training learns: those of dataset.json, and those with clicks."""
    return tuple(dict.fromkeys(name for source in sources for name in source.classes))


def names_of(source: Source) -> list[str]:
    """Every class that a folder knows, in the order of its keys."""
    first, then = (source.classes, source.known) if source.fixed else (source.known, source.classes)
    return list(dict.fromkeys([*first, *then, *_of_spans(source)]))


def _of_spans(source: Source) -> list[str]:
    return [span.label for video in source.videos for span in [*video.spans, *video.withheld] if span.label]
