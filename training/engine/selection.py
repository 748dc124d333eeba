"""Model selection on held-out TRAINING videos by a criterion that needs clicks only. Test videos are never used."""

from __future__ import annotations

from torch import Tensor, nn

from ..records import Record


class BestKeeper:
    """Keeps the weights of the best step (`select` is "best"), or does nothing ("last").

    Among equal scores the first step is kept.
    """

    def __init__(self, select: str, every: int) -> None:
        self._active, self._every = select == "best", every
        self.weights: dict[str, Tensor] = {}
        self.step: int | None = None
        self.score: float | None = None

    def due(self, step: int, steps: int) -> bool:
        """Whether the criterion is to be computed after this step."""
        return self._active and (step % self._every == 0 or step == steps)

    def offer(self, step: int, score: float, module: nn.Module) -> float:
        """Keep the weights if the score is the best so far; returns the score."""
        if self.score is None or score > self.score:
            self.step, self.score = step, score
            self.weights = {key: value.detach().clone() for key, value in module.state_dict().items()}
        return score

    def apply(self, module: nn.Module) -> None:
        """Load the best weights into the module."""
        if self.weights:
            module.load_state_dict(self.weights)

    def facts(self) -> Record:
        """What a saved state records beside the weights."""
        return {"best_step": self.step, "best_score": self.score}

    def restore(self, weights: dict[str, Tensor], facts: Record) -> None:
        """Continue from a saved state."""
        self.weights = dict(weights)
        self.step, self.score = facts.get("best_step"), facts.get("best_score")
