"""The git commit that this copy of punctum was made from."""

from __future__ import annotations

import re
from pathlib import Path

RECORD = "_revision.txt"  # beside this file in wheels and source distributions, written by setup.py
_LENGTH = 12
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def revision() -> str:
    """The abbreviated commit, or "" where it is not known.

    A wheel carries it in a file. In a checkout it is read from the files of `.git`, without running git.
    """
    here = Path(__file__).resolve()
    try:
        recorded = here.with_name(RECORD).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return commit(here.parents[2])[:_LENGTH]
    return recorded[:_LENGTH] if _COMMIT.fullmatch(recorded) else ""


def commit(root: Path) -> str:
    """The full commit that is checked out in `root`, or "" where it is not the root of a git checkout."""
    try:
        folder, shared = _git_folders(root / ".git")
        head = _text(folder / "HEAD")
        if head.startswith("ref: "):
            head = _resolved(head.removeprefix("ref: "), folder, shared)
    except (OSError, ValueError):
        return ""
    return head if _COMMIT.fullmatch(head) else ""


def _git_folders(git: Path) -> tuple[Path, Path]:
    """The folder of HEAD and the one of shared references: they differ in a linked worktree."""
    if git.is_file():
        git = git.parent / _text(git).removeprefix("gitdir: ")
    pointer = git / "commondir"
    return git, git / _text(pointer) if pointer.is_file() else git


def _resolved(reference: str, *folders: Path) -> str:
    for folder in folders:
        if (folder / reference).is_file():
            return _text(folder / reference)
    for line in _text(folders[-1] / "packed-refs").splitlines():
        if line.endswith(f" {reference}"):
            return line.split()[0]
    return ""


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()
