"""What a killed merge leaves beside its output: a hidden folder, which a later merge to the same place removes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

_NEW_S = 60.0  # a younger draft may belong to a process that is about to lock it


@contextlib.contextmanager
def locked(draft: Path) -> Iterator[None]:
    """Mark a draft as one that is being written. The system ends that with the process, however it ends."""
    handle = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: its drafts are never removed
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def remove_abandoned(target: Path) -> None:
    """Remove drafts of `target` that no process writes any more.

    Args:
        target: The folder that is to be written.
    """
    draft = re.compile(re.escape(f".{target.name}.") + "[0-9a-f]{8}")
    with contextlib.suppress(OSError):
        for place in [entry for entry in target.parent.iterdir() if draft.fullmatch(entry.name)]:
            if place.is_symlink() or not place.is_dir() or time.time() - place.stat().st_mtime < _NEW_S:
                continue
            if _is_free(place):
                shutil.rmtree(place, ignore_errors=True)


def _is_free(place: Path) -> bool:
    handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
