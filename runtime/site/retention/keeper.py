"""Retention in a thread of its own, while the service runs."""

from __future__ import annotations

import threading
from typing import Literal

from .retention import Housekeeper

EVERY_S = 10.0
DEGRADED_S = 2.0


class Keeper:
    """Calls a housekeeper from time to time.

    Args:
        housekeeper: What decides and deletes.
    """

    def __init__(self, housekeeper: Housekeeper) -> None:
        self.housekeeper = housekeeper
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is given up at present because the disk is full, as sentences."""
        return self.housekeeper.degraded

    def refused(self, kind: Literal["clip", "picture"]) -> str:
        """Why no media of this kind are stored at present; empty: they are."""
        kept = self.housekeeper.keep_clips if kind == "clip" else self.housekeeper.keep_pictures
        return "" if kept else "the disk is full"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; what is being deleted is finished."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _run(self) -> None:
        while True:
            self.housekeeper.run()
            if self._stop.wait(DEGRADED_S if self.degraded else EVERY_S):
                return
