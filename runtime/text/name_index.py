"""Which of the known videos or classes a file means, where people and tools spell one name in several ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .names import clean_name, video_name


class NameIndex:
    """Known names, found by any spelling that can mean only one of them.

    A name is found as it is written, else apart from its Unicode form and the space around it. media: of videos, one
    may be written with folder and ending and the other without. Names that differ in capitals are never taken for each
    other, but `alike` gives them, so that an error can name them.
    """

    def __init__(self, known: Iterable[str], *, media: bool = False) -> None:
        self._names = dict.fromkeys(known)
        keys: list[Callable[[str], str]] = [clean_name, video_name] if media else [clean_name]
        self._tables = [(key, _table(self._names, key)) for key in keys]
        self._fold: Callable[[str], str] = lambda text: keys[-1](text).casefold()
        self._folded = _table(self._names, self._fold)

    def find(self, text: str) -> str | None:
        """The known name that is meant; None where there is none, or more than one."""
        if text in self._names:
            return text
        for key, table in self._tables:
            if found := table.get(key(text)):
                return found[0] if len(found) == 1 else None
        return None

    def alike(self, text: str) -> list[str]:
        """Known names that `text` may have been meant for: several, or one that differs in capitals only."""
        return self._folded.get(self._fold(text), [])

    def twice(self, *, fold: bool = False) -> list[str]:
        """The first pair that are spellings of one name (fold: or differ in capitals only); [] where all differ."""
        table = self._folded if fold else self._tables[-1][1]
        return next((names[:2] for names in table.values() if len(names) > 1), [])


def _table(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found
