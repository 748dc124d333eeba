"""Writes down what is on the disk for certain: inode and length of each file at its last os.fsync.

On the path of a program under test (PYTHONPATH), with the name of the log in SYNCED_LOG.
"""

from __future__ import annotations

import os

_fsync = os.fsync
_log = os.open(os.environ["SYNCED_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT) if "SYNCED_LOG" in os.environ else -1


def fsync(handle: int) -> None:
    found = os.fstat(handle)
    _fsync(handle)
    if _log >= 0:
        os.write(_log, b"%d %d\n" % (found.st_ino, found.st_size))


os.fsync = fsync
