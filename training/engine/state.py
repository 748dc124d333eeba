"""The state that a stage is resumed from: one safetensors file, replaced atomically. No pickle."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from punctum.runtime.datatypes import compact
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import plain
from torch import Tensor

from ..records import Record

_MAX_THREADS = 4096


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StageState:
    """The state after `step` steps. It holds no random state: every step has its own seed (see loop.py).

    Attributes:
        step: steps done.
        module: weights.
        optimizer: state of the optimizer by parameter.
        extra: `Task.extra_state`.
        best: weights of the best step so far; empty without selection.
        facts: best step and score, seconds of training, threads.
    """

    step: int
    module: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    extra: dict[str, Tensor]
    best: dict[str, Tensor]
    facts: Record


def save_state(path: Path, state: StageState) -> None:
    """Write a state; the file is replaced as a whole or not at all."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    for prefix, group in (("module", state.module), ("extra", state.extra), ("best", state.best)):
        tensors |= {f"{prefix}/{key}": value for key, value in group.items()}
    for index, slots in state.optimizer.items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in slots.items()}
    flat = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    meta = {"step": str(state.step), "facts": json.dumps(state.facts)}
    atomic_write(path, save(flat, metadata=meta))


def load_state(path: Path) -> StageState | None:
    """Read a state; None if the file does not exist. Raises InputError if it is damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    groups: dict[str, dict[str, Tensor]] = {"module": {}, "extra": {}, "best": {}}
    optimizer: dict[int, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata()
            for key in file.keys():  # noqa: SIM118 - not a dict
                group, _, rest = key.partition("/")
                if group == "optimizer":
                    index, _, slot = rest.partition("/")
                    optimizer.setdefault(int(index), {})[slot] = file.get_tensor(key)
                else:
                    groups[group][rest] = file.get_tensor(key)
        facts = json.loads(meta["facts"])
        if int(meta["step"]) < 0 or not isinstance(facts, dict):
            raise ValueError("step or facts are wrong")
        if not math.isfinite(facts["seconds"]):
            raise ValueError("seconds is not finite")
        for name, kind, bound in (
            ("threads", int, _MAX_THREADS),
            ("best_step", int, math.inf),
            ("best_score", float, math.inf),
        ):
            value = facts.get(name)
            if value is not None and not (isinstance(value, kind | int) and -bound <= value <= bound):
                raise ValueError(f"{name} is {value!r}")
        return StageState(int(meta["step"]), groups["module"], optimizer, groups["extra"], groups["best"], facts)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception, *, next_step: str = "start over with `fresh=True`") -> InputError:
    """The error for a file that is not a state of this stage. next_step: what replaces it."""
    return InputError(
        "state-damaged",
        f"{path} is not a training state ({plain(error)[:300]})",
        required="a file that training wrote",
        next_step=next_step,
    )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """The state of an optimizer by parameter."""
    slots: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return slots


def restore_optimizer(optimizer: torch.optim.Optimizer, slots: dict[int, dict[str, Tensor]]) -> None:
    """Load the state of an optimizer. Raises ValueError if it does not fit the parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, slot in slots.items():
        if not 0 <= index < len(parameters) or slot.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError(f"no parameter has the slots {index}: {sorted(slot)}")
        shape = parameters[index].shape
        if slot["step"].numel() != 1 or any(slot[name].shape != shape for name in ("exp_avg", "exp_avg_sq")):
            raise ValueError(f"the slots {index} have another shape than their parameter")
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
