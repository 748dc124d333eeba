"""Models of torchvision and timm without their classifiers, as ONNX graphs."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

import torch
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.errors import InputError
from torch import nn

from ..graphs.export import export_module
from .known import Known


def library_graph(known: Known, weights: bytes | None, spec: BackboneSpec) -> bytes:
    """The ONNX graph of a known network of a library.

    Args:
        known: The network.
        weights: Its weights; None: random ones.
        spec: What it takes.

    Raises:
        InputError: The weights do not fit, or its library is not installed.
    """
    network = build(known, published=False)
    if weights is not None:
        _load(network, weights, known)
    images = known.spec["layout"] == "NCHW"
    shape = (spec.channels, spec.height, spec.width) if images else spec.clip_shape
    many = torch.export.Dim("N", min=1, max=1 << 16)
    return export_module(network.eval(), (torch.randn(3, *shape),), ({0: many},), ["input"], ["features"])


def build(known: Known, *, published: bool) -> nn.Module:
    """A network of torchvision or timm without its classifier. published: the library downloads its weights.

    Raises:
        InputError: The library is not installed, or does not fit the installed torch.
    """
    library = _library(known)
    if known.how == "timm":
        made: nn.Module = library.create_model(known.model, pretrained=published, num_classes=0)
        return made
    *folders, name = known.model.split(".")
    models = importlib.import_module(".".join(["torchvision.models", *folders]))
    network: nn.Module = getattr(models, name)(weights="DEFAULT" if published else None)
    last = "fc" if hasattr(network, "fc") else "classifier"
    setattr(network, last, nn.Identity())
    return network


def _library(known: Known) -> Any:
    if find_spec(known.how) is None:
        raise InputError(
            "part-library",
            f"The network {known.name} needs {known.how}, which is not installed",
            required=f"an environment with {known.how}",
            next_step=f"install {known.how}, or leave {known.name} out",
        )
    try:
        return importlib.import_module(known.how)
    except (ImportError, RuntimeError, OSError) as error:  # torchvision for another torch raises RuntimeError
        raise InputError(
            "part-library",
            f"The library {known.how} cannot be imported: {failure_text(error, 300)}",
            f"a version of {known.how} that fits the installed torch",
            f"install one, or leave {known.name} out",
        ) from None


def _load(network: nn.Module, weights: bytes, known: Known) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        network.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise InputError(
            "part-weights",
            f"The weights of {known.name} in the cache do not fit: {failure_text(error, 300)}",
            f"weights of the installed version of {known.how}",
            f"fetch them again with `punctum backbones fetch {known.name}`",
        ) from None
