"""When a round of training is due, and how often it is tried for the same labels.

The first round is due when there are enough clicks, each further one when enough labels have changed, or when a page
asks. After a crash it is due once more for the same labels.
"""

from __future__ import annotations

from pathlib import Path

from ..text.display import as_utf8
from .label_state import State, changes
from .last_round import LastRound

AFTER, VIDEOS = 20, 2
"""Clicks, and videos with clicks, from which a first round is trained."""
CHANGES = 5
"""Changed labels after which a further round is trained."""
ATTEMPTS = 2
"""Starts of the process for the same labels."""


class Due:
    """Decides when to train.

    Args:
        last: The last round.
        after: Clicks from which a first round is trained; 0: only when a page asks.
    """

    def __init__(self, last: LastRound, after: int) -> None:
        self.after, self.asked = after, False
        self._last = last
        self._attempts: dict[str, int] = {}

    def ask(self) -> None:
        """Train as soon as possible, even if little has changed or it has failed before."""
        self.asked = True
        self._attempts.clear()

    def is_due(self, state: State) -> bool:
        """Whether to train with these labels now."""
        if state.videos < VIDEOS or self._attempts.get(state.digest, 0) >= ATTEMPTS:
            return False
        changed = changes(self._last.trained, state.keys)
        if self._attempts.get(state.digest):  # it crashed
            return True
        if self.asked:
            return changed > 0 or self._last.found is None
        if not self.after:
            return False
        if self._last.found is None:
            return state.clicks >= self.after
        return changed >= CHANGES

    def begin(self, state: State) -> None:
        """Training begins with these labels."""
        self.asked = False
        self._attempts[state.digest] = self._attempts.get(state.digest, 0) + 1

    def succeeded(self, state: State) -> None:
        """Training with these labels has ended well."""
        self._attempts.pop(state.digest, None)

    def failed(self, state: State, input_error: str, log: Path) -> str:
        """Training with these labels has failed. Returns what to tell pages.

        Args:
            state: The labels.
            input_error: What is wrong with the input, if the process said so; another start would not change it.
            log: Where the process wrote details.
        """
        if input_error:
            self._attempts[state.digest] = ATTEMPTS
            return input_error
        if self._attempts.get(state.digest, 0) < ATTEMPTS:
            return "Training broke off, and is started again"
        return f"Training broke off twice. It is tried again when labels change. Details: {as_utf8(str(log))}"
