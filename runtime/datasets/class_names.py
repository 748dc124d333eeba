"""Names of classes that a bundle can have. A data set with others is refused when it is read, before it is exported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..bundle.limits import LABEL_CHARACTERS
from ..errors import InputError
from ..text.display import counted, is_plain, shown


def check_class_names(names: Iterable[str], source: Path) -> None:
    """Raise InputError for a name that is too long, or that changes the text around it where it is printed.

    Args:
        names: The classes.
        source: The file that has them.
    """
    for name in names:
        if len(name) > LABEL_CHARACTERS:
            problem = f"has {counted(len(name), 'character')}"
        elif not is_plain(name):
            problem = "has control characters, line separators, bidirectional controls or surrogates"
        else:
            continue
        raise InputError(
            "class-name",
            f"{source}: the name of a class {problem}: {shown(repr(name), 60)}",
            f"printable text of at most {LABEL_CHARACTERS} characters",
            "correct the name",
        )
