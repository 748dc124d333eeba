"""The state to resume from: one safetensors file per stage, replaced atomically. No pickle."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from punctum.runtime.datatypes import compact
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import plain
from torch import Tensor

_MOST = 4096  # threads


@compact
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StageState:
    """`step` steps are done. No random state: every step draws from its own seed (see loop.py)."""

    step: int
    module: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    extra: dict[str, Tensor]
    best: dict[str, Tensor]  # weights of the best step so far; empty without selection
    facts: dict[str, Any]  # JSON: best step and score, seconds spent


def save_state(path: Path, state: StageState) -> None:
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
    """None where there is no state. Raises InputError for a file that is not one."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    groups: dict[str, dict[str, Tensor]] = {"module": {}, "extra": {}, "best": {}}
    optimizer: dict[int, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata()
            for key in file.keys():  # noqa: SIM118 - not a dict
                head, _, rest = key.partition("/")
                if head == "optimizer":
                    index, _, slot = rest.partition("/")
                    optimizer.setdefault(int(index), {})[slot] = file.get_tensor(key)
                else:
                    groups[head][rest] = file.get_tensor(key)
        facts = json.loads(meta["facts"])
        if int(meta["step"]) < 0 or not isinstance(facts, dict):
            raise ValueError("no step, or no facts")
        if not math.isfinite(facts["seconds"]):
            raise ValueError("seconds are not finite")
        for name, kind, most in (
            ("threads", int, _MOST),
            ("best_step", int, math.inf),
            ("best_score", float, math.inf),
        ):
            value = facts.get(name)
            if value is not None and not (isinstance(value, kind | int) and -most <= value <= most):
                raise ValueError(f"{name} is {value!r}")
        return StageState(int(meta["step"]), groups["module"], optimizer, groups["extra"], groups["best"], facts)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception) -> InputError:
    """The refusal of a file that is no state of this stage."""
    return InputError(
        "state-damaged",
        f"{path} is not a training state ({plain(error)[:300]})",
        "a file that train wrote",
        "use --fresh",
    )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    slots: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return slots


def restore_optimizer(optimizer: torch.optim.Optimizer, slots: dict[int, dict[str, Tensor]]) -> None:
    """Raises ValueError for slots that are not those of the optimizer's parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, slot in slots.items():
        if not 0 <= index < len(parameters) or slot.keys() != {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError(f"no parameter has the slots {index}: {sorted(slot)}")
        shape = parameters[index].shape
        if slot["step"].numel() != 1 or any(slot[name].shape != shape for name in ("exp_avg", "exp_avg_sq")):
            raise ValueError(f"slots {index} are of another shape than their parameter")
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
