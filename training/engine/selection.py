"""Model choice on held-out TRAINING videos, by a criterion that needs points only. Test videos never take part."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class BestKeeper:
    """Keeps the weights of the best step ("best"), or does nothing ("last").

    The first of equal scores stays: a later step must be better to replace it.
    """

    def __init__(self, select: str, every: int) -> None:
        self._active, self._every = select == "best", every
        self.weights: dict[str, Tensor] = {}
        self.step: int | None = None
        self.score: float | None = None

    def due(self, step: int, steps: int) -> bool:
        return self._active and (step % self._every == 0 or step == steps)

    def offer(self, step: int, score: float, module: nn.Module) -> float:
        if self.score is None or score > self.score:
            self.step, self.score = step, score
            self.weights = {key: value.detach().clone() for key, value in module.state_dict().items()}
        return score

    def apply(self, module: nn.Module) -> None:
        if self.weights:
            module.load_state_dict(self.weights)

    def facts(self) -> dict[str, Any]:
        return {"best_step": self.step, "best_score": self.score}

    def restore(self, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.weights = dict(weights)
        self.step, self.score = facts.get("best_step"), facts.get("best_score")
