"""Weights of modules as safetensors files, checked before they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import plain, printable
from torch import nn


def weights_bytes(module: nn.Module) -> bytes:
    """The module's parameters and buffers as the content of a safetensors file."""
    from safetensors.torch import save

    data: bytes = save({name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()})
    return data


def save_weights(path: Path, module: nn.Module) -> None:
    """Write the weights; the file is replaced as a whole or not at all."""
    atomic_write(path, weights_bytes(module))


def load_weights(path: Path, module: nn.Module) -> None:
    """Load weights into a module.

    Raises:
        InputError: the file is damaged, belongs to another configuration, or holds values that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
        module.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _mismatch(path, plain(error)) from None
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise _mismatch(path, f"{printable(name)} holds values that are not finite")


def check_shapes(path: Path, make: Callable[[], nn.Module]) -> None:
    """Compare the shapes in a file with those of the module that `make` builds, without allocating memory for either.

    Raises:
        InputError: names or shapes differ, or the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with torch.device("meta"):
            expected = {name: list(value.shape) for name, value in make().state_dict().items()}
        with safe_open(path, framework="pt") as file:
            stored = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError, RuntimeError, ValueError, OverflowError, TypeError) as error:
        raise _mismatch(path, plain(error)) from None
    for name in sorted(expected.keys() | stored.keys()):
        if expected.get(name) != stored.get(name):
            given, needed = stored.get(name, "absent"), expected.get(name, "no such weights")
            raise _mismatch(path, f"{printable(name)}: the file has {given}, and the configuration has {needed}")


def _mismatch(path: Path, reason: str) -> InputError:
    return InputError(
        "weights-mismatch",
        f"{path} does not hold the weights of this configuration ({reason[:300]})",
        required="the file that training wrote beside config.json",
        next_step="restore the run folder or train again",
    )
