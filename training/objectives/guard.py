"""The task of an objective from outside of this package, with its results checked and its errors described.

Code of a user may fail in any way, at its import, in its constructor and in every step. None of that is an error of
punctum, so it becomes an InputError that names the objective.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.text.display import plain
from torch import Tensor, nn

from ..records import Record

REQUIRED = "package.module:factory, where factory(net, data, epochs=..., seed=...) returns a task"
_METHODS = ("step_loss", "criterion", "extra_state", "load_extra_state")
_OF_A_STATE = (RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError)


@contextmanager
def described(source: str) -> Iterator[None]:
    """Errors on importing and making an objective become an InputError that names it."""
    try:
        yield
    except (PunctumError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            "objective-import", _message(source, error), REQUIRED, "check the path and the code"
        ) from error


class GuardedTask:
    """A task whose step_loss, criterion and extra_state are checked.

    Attributes:
        name: of the stage.
        module: what is trained.
        steps: number of steps.
        describe: facts for summary.json.
    """

    def __init__(self, task: Any, source: str) -> None:
        """Check what the factory `source` returned.

        Raises:
            InputError: it is no task.
        """
        lacking = [name for name in _METHODS if not callable(getattr(task, name, None))]
        lacking += [name for name in ("module", "steps", "describe") if not hasattr(task, name)]
        if lacking:
            raise InputError(
                "objective-import",
                f"{source} returned {type(task).__name__}, which has no {', '.join(lacking)}",
                REQUIRED,
                "derive it from punctum.training.LocatorTask",
            )
        self._task, self._source = task, source
        self.name = "locator"
        self.module, self.steps = task.module, task.steps
        try:
            self.describe: Record = json.loads(json.dumps(dict(task.describe)))
        except (TypeError, ValueError):
            raise self._wrong("describe", "facts that JSON cannot represent", "a dictionary of JSON values") from None
        if not isinstance(self.module, nn.Module):
            raise self._wrong("module", type(self.module).__name__, "the torch module that is trained")
        if not isinstance(self.steps, int) or isinstance(self.steps, bool) or self.steps < 1:
            raise self._wrong("steps", plain(repr(self.steps))[:60], "a whole number from 1 on")

    def step_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step, which has a gradient, and its terms. Raises InputError for anything else."""
        with self._running(f"at step {step + 1}"):
            value, given = self._task.step_loss(step, rng)
            terms = {str(name): float(term) for name, term in given.items()}
        usable = isinstance(value, Tensor) and value.numel() == 1 and value.is_floating_point()
        if not usable or not value.requires_grad:
            raise self._failed(
                f"the loss of step {step + 1} is no single number with a gradient",
                "terms that are computed from the logits",
            )
        if not math.isfinite(float(value.detach())):
            shown = ", ".join(f"{name} {term:.4g}" for name, term in terms.items())
            advice = "" if step == 0 else ", or lower the learning rate (`locator_optim.rate` in the recipe)"
            raise self._failed(
                f"the loss is not finite at step {step + 1} ({plain(shown)[:300]})", "finite losses", advice
            )
        return value, terms

    def criterion(self) -> float:
        """Quality on the held-out training videos. Raises InputError if it is not a finite number."""
        with self._running("in criterion()"):
            value = float(self._task.criterion())
        if not math.isfinite(value):
            raise self._failed(f"criterion() returned {value}", "a finite number; higher is better")
        return value

    def extra_state(self) -> dict[str, Tensor]:
        """What one step passes to the next. Raises InputError if that is not tensors by name."""
        with self._running("in extra_state()"):
            state = self._task.extra_state()
        if not isinstance(state, Mapping) or not all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
        ):
            raise self._failed(f"extra_state() returned {type(state).__name__}", "tensors by name, or {}")
        return dict(state)

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore `extra_state`. The errors of a state that does not fit pass through: the state may be damaged."""
        with self._running("in load_extra_state()", passing=_OF_A_STATE):
            self._task.load_extra_state(state)

    def differentiate(self, value: Tensor) -> None:
        """Compute the gradient of a loss. Raises InputError if the code of the objective fails in it."""
        with self._running("in the gradient"):
            value.backward()

    @contextmanager
    def _running(self, where: str, *, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        through: tuple[type[Exception], ...] = (PunctumError, MemoryError, *passing)
        try:
            yield
        except through:
            raise
        except (Exception, SystemExit) as error:
            message = _message(self._source, error).removeprefix(f"{self._source}: ")
            raise self._failed(f"{where}: {message}", "an objective that raises no error") from error

    def _failed(self, what: str, required: str, advice: str = "") -> InputError:
        return InputError(
            "objective-failed",
            f"The objective {self._source} failed: {what}",
            required=required,
            next_step=f"correct the objective{advice}",
        )

    def _wrong(self, name: str, what: str, required: str) -> InputError:
        return InputError(
            "objective-import",
            f"The attribute {name} of the task that {self._source} returned is {what}",
            required=required,
            next_step="correct the objective",
        )


def differentiate(task: object, value: Tensor) -> None:
    """Compute the gradient of the loss of a task, which may run code of an objective from outside of this package."""
    if isinstance(task, GuardedTask):
        task.differentiate(value)
    else:
        value.backward()


def _message(source: str, error: BaseException) -> str:
    """What an objective raised, in one line."""
    return f"{source}: {type(error).__name__}: {plain(error)[:600]}"
