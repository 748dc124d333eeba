"""A torch module of the user, named by the import path of its factory."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path

import torch
from punctum.runtime import InputError
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from torch import nn

from .spec_options import TorchOptions


def import_module(source: str, options: TorchOptions) -> nn.Module:
    """Call `package.module:factory` with options["arguments"] and replace submodule options["drop"] by the identity.

    Raises:
        InputError: the import or the call fails, or the result is not a torch module.
    """
    name, attribute = source.split(":")
    with _working_folder():
        try:
            target = attrgetter(attribute)(importlib.import_module(name))
            module = target if isinstance(target, nn.Module) else target(**options.get("arguments", {}))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the module is the user's and may raise anything
            raise InputError(
                "backbone-import",
                f"{source}: {error.__class__.__name__}: {failure_text(error, 600)}",
                "package.module:factory, where factory() returns a torch module",
                "check the path and the arguments",
            ) from None
    if not isinstance(module, nn.Module):
        raise InputError(
            "backbone-import",
            f"{source} returns {type(module).__name__}",
            required="a torch module",
            next_step="name a factory of modules",
        )
    drop = options.get("drop")
    if drop is not None:
        owner, _, last = str(drop).rpartition(".")
        try:
            module.get_submodule(str(drop))
            setattr(module.get_submodule(owner), last, nn.Identity())
        except AttributeError:
            names = ", ".join(name for name, _ in module.named_children())
            raise InputError(
                "backbone-drop", f"The module has no submodule {drop!r}", names, "correct torch.drop"
            ) from None
    return module


@contextmanager
def _working_folder() -> Iterator[None]:
    """Make modules in the working directory importable, as `python -m` does."""
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added:
            sys.path.remove(folder)


def takes_only_images(module: nn.Module, spec: BackboneSpec) -> bool:
    """Whether a module fails on clips and accepts images."""
    module = module.eval().cpu().float()
    with torch.no_grad():
        try:
            module(torch.randn(3, *spec.clip_shape))
            return False
        except Exception:  # noqa: BLE001 - the module is the user's and may raise anything
            pass
        try:
            out = module(torch.randn(3, spec.channels, spec.height, spec.width))
        except Exception:  # noqa: BLE001 - as above; its error on clips is reported
            return False
    return isinstance(out, torch.Tensor) and out.ndim == 2
