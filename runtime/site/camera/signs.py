"""Signs of life of the threads of a camera process, so that a thread that hangs stops the beats of the process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

LONGEST_S = 2.0  # a step of a thread that takes longer is no sign of life


class Signs:
    """What the threads are doing. A thread that waits for another part is alive; one that does not return is not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: dict[int, float] = {}

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """A step of the calling thread that must end before long."""
        thread = threading.get_ident()
        with self._lock:
            self._begun[thread] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._begun.pop(thread, None)

    def renew(self) -> None:
        """The step of the calling thread goes on as it should."""
        with self._lock:
            if threading.get_ident() in self._begun:
                self._begun[threading.get_ident()] = time.monotonic()

    def alive(self) -> bool:
        """Whether no step takes too long."""
        now = time.monotonic()
        with self._lock:
            return all(now - begun < LONGEST_S for begun in self._begun.values())
