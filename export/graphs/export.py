"""Modules to ONNX graphs: dynamic lengths, no custom operators, no data about the exporting machine.

`locator_graph` and `center_graph` make the graphs of a bundle: graphs written for engines if the module has a supported
form, otherwise the graph that torch exports.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from punctum.runtime.machine.telemetry import switch_off_telemetry
from punctum.training.models.center import CenterHead, ProposalHead
from punctum.training.models.ensemble import Locator
from torch import nn

from . import center as lean_center
from . import locator as lean_locator

OPSET = 20


def locator_graph(locator: Locator) -> bytes:
    """features [B, T, D], B windows of one length -> class_track [B, T, C], actionness [B, T]."""
    if lean_locator.fits(locator):
        return lean_locator.write_locator(locator)
    return export_locator(locator, locator.dim)


def center_graph(head: ProposalHead) -> bytes:
    """features [T, D], tracks [T, C + 1], segments [M, 2], labels [M] -> class_probability, attention, center."""
    if isinstance(head, CenterHead) and lean_center.fits(head):
        return lean_center.write_center(head)
    return export_center(head, head.dim, head.classes)


def export_module(
    module: nn.Module,
    arguments: tuple[torch.Tensor, ...],
    shapes: tuple[dict[int, Any], ...],
    inputs: list[str],
    outputs: list[str],
) -> bytes:
    """Export a module with torch, without traces of the exporting machine.

    Args:
        module: the module.
        arguments: example inputs.
        shapes: dynamic axes of each input.
        inputs: names of the inputs.
        outputs: names of the outputs.
    """
    import onnx

    switch_off_telemetry()  # torch may import ONNX Runtime for an export
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module.eval(),
            arguments,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        model = onnx.load(str(path))
    # Node metadata holds source paths and stack traces of the exporting machine.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""
    model.producer_name, model.producer_version, model.doc_string = "punctum", "", ""
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def export_locator(module: nn.Module, dim: int, *, batches: bool = True) -> bytes:
    """features [B, T, dim], B windows of one length -> class_track [B, T, C], actionness [B, T].

    Without `batches`, B is 1.
    """
    many, length = torch.export.Dim("B", min=1, max=1 << 16), torch.export.Dim("T", min=1, max=1 << 20)
    shapes = ({0: many, 1: length} if batches else {1: length},)
    example = torch.randn(3 if batches else 1, 37, dim)
    return export_module(module, (example,), shapes, ["features"], ["class_track", "actionness"])


def export_center(module: nn.Module, dim: int, classes: int) -> bytes:
    """features [T, dim], tracks [T, C + 1], segments [M, 2], labels [M] -> class_probability, attention, center."""
    length, count = torch.export.Dim("T", min=1, max=1 << 20), torch.export.Dim("M", min=0, max=1 << 20)
    segments = torch.sort(torch.rand(5, 2) * 30, dim=1).values
    arguments = (torch.randn(37, dim), torch.rand(37, classes + 1), segments, torch.zeros(5, dtype=torch.int64))
    return export_module(
        module,
        arguments,
        ({0: length}, {0: length}, {0: count}, {0: count}),
        ["features", "tracks", "segments", "labels"],
        ["class_probability", "attention", "center"],
    )
