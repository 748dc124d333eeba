"""The state behind /healthz and /readyz."""

from __future__ import annotations

import time
from collections.abc import Callable

SILENT_S = 15.0
STOPPING = "stopping"  # the step a run waits for at its end


class Health:
    """Whether a live run is alive and ready.

    Alive: it is starting, or its main loop has completed an iteration recently. Ready: it has started, and its source
    has sent something recently. A start may take minutes when kernels are compiled for the first time, and restarting
    the process would repeat that work, so every step of a start may take `start_s` seconds.

    Args:
        stuck_s: Seconds without an iteration of the loop after which the run is not alive.
        start_s: The same limit during the start.
        silent_s: Seconds without data from the source after which the run is not ready.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self,
        *,
        stuck_s: float = 60.0,
        start_s: float = 1800.0,
        silent_s: float = SILENT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stuck_s, self._start_s, self._silent_s, self._clock = stuck_s, start_s, silent_s, clock
        self._beat, self._missing = clock(), "starting"
        self._heard, self._trouble = self._beat, ""

    def beat(self) -> None:
        self._beat = self._clock()

    def waiting_for(self, step: str) -> None:
        """Not ready; why. An empty string: ready."""
        if self._missing and not step:
            self._heard = self._clock()
        self._missing = step
        self.beat()

    def heard(self) -> None:
        """The source has sent something."""
        self._heard = self._clock()

    def source(self, trouble: str) -> None:
        """Why the source is lost for now; an empty string: it is not."""
        self._trouble = trouble

    @property
    def silent(self) -> str:
        """Why nothing can be expected of the source, "" when all is well."""
        quiet = self._clock() - self._heard
        if self._trouble:
            return f"source lost ({self._trouble}); last item {quiet:.1f} s ago"
        return f"source silent for {quiet:.1f} s" if quiet >= self._silent_s else ""

    def alive(self) -> tuple[bool, str]:
        quiet = self._clock() - self._beat
        starting = bool(self._missing) and self._missing != STOPPING
        doing = f"; {self._missing}" if self._missing else ""
        return quiet < (self._start_s if starting else self._stuck_s), f"last sign of life {quiet:.1f} s ago{doing}"

    def ready(self) -> tuple[bool, str]:
        trouble = self._missing or self.silent
        return not trouble, trouble or "ready"
