"""What the training loop needs of a stage."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor, nn

from ..records import Record


class Task(Protocol):
    """A module and how to compute its loss.

    Attributes:
        name: of the stage, in logs, state files and the summary.
        module: what is trained.
        steps: number of steps of the stage.
        describe: facts for summary.json.
    """

    name: str
    module: nn.Module
    steps: int
    describe: Record

    def step_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step and its terms for the log. All draws come from `rng` and torch's seeded generator."""
        ...

    def criterion(self) -> float:
        """Quality on the held-out training videos; higher is better."""
        ...

    def extra_state(self) -> dict[str, Tensor]:
        """What one step passes to the next besides the weights."""
        ...

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore `extra_state`. Raises ValueError or KeyError for a state of another stage."""
        ...
