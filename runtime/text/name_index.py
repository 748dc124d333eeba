"""Lookup of video and class names that people and tools spell in several ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .names import clean_name, video_name


class NameIndex:
    """Known names, found by any unambiguous spelling.

    A name matches exactly, or else up to its Unicode form and surrounding space. Names that differ in case never match
    each other; `alike` returns them for error messages.

    Args:
        known: The names.
        media: They are names of videos, which match with and without folder and file ending.
    """

    def __init__(self, known: Iterable[str], *, media: bool = False) -> None:
        self._names = dict.fromkeys(known)
        keys: list[Callable[[str], str]] = [clean_name, video_name] if media else [clean_name]
        self._tables = [(key, _table(self._names, key)) for key in keys]
        self._fold: Callable[[str], str] = lambda text: keys[-1](text).casefold()
        self._folded = _table(self._names, self._fold)

    def find(self, text: str) -> str | None:
        """The matching name; None if there is none, or more than one."""
        if text in self._names:
            return text
        for key, table in self._tables:
            if found := table.get(key(text)):
                return found[0] if len(found) == 1 else None
        return None

    def alike(self, text: str) -> list[str]:
        """Names that `text` may refer to: several, or one that differs in case only."""
        return self._folded.get(self._fold(text), [])

    def twice(self, *, fold: bool = False) -> list[str]:
        """The first two known names that match each other (fold: or differ in case only); [] if there are none."""
        table = self._folded if fold else self._tables[-1][1]
        return next((names[:2] for names in table.values() if len(names) > 1), [])


def _table(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found
