"""Image networks, [N, C, H, W] -> [N, D], as backbones of clips: applied to one frame of a clip, or to all.

The network is wrapped when it is imported, so every engine runs an ordinary backbone for clips in layout NTCHW.
"middle": features of the middle frame of the snippet, one run of the network per snippet. "mean": mean of the features
of all `clip_frames` frames, `clip_frames` runs per snippet.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.errors import InputError
from torch import nn

from .onnx_file import network_input

How = Literal["middle", "mean"]
APPLIED: dict[How, str] = {
    "middle": "of the middle frame of each snippet",
    "mean": "as means over the frames of each clip",
}
HOWS: tuple[How, ...] = ("middle", "mean")


def middle_frame(spec: BackboneSpec) -> int:
    """Position of the snippet's middle frame in its clip. Raises InputError if the clip does not contain it."""
    size = spec.snippet_frames
    place = spec.clip_frames - spec.right_frames - size + size // 2
    if place < 0:
        raise InputError(
            "backbone-spec",
            f"A clip of {spec.clip_frames} frames does not contain the middle frame of a snippet of {size} frames",
            f"{size - size // 2 + spec.right_frames} or more",
            "set clip_frames, or image to mean",
        )
    return place


class ImageClips(nn.Module):
    """A torch module of images as a module of clips [N, T, C, H, W] -> [N, D]."""

    def __init__(self, network: nn.Module, spec: BackboneSpec, how: How) -> None:
        super().__init__()
        self.network = network
        self._frame = middle_frame(spec) if how == "middle" else None
        self._frames, self._image = spec.clip_frames, (spec.channels, spec.height, spec.width)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        if self._frame is not None:
            one: torch.Tensor = self.network(clips[:, self._frame])
            return one
        rows: torch.Tensor = self.network(clips.reshape(-1, *self._image))
        if rows.ndim != 2:  # reported where the module is tried
            return rows
        return rows.reshape(-1, self._frames, rows.shape[1]).mean(1)


def takes_images(graph: bytes) -> bool:
    """Whether the only input of an ONNX graph has four axes."""
    import onnx

    tensor = network_input(onnx.load_from_string(graph))
    return tensor is not None and len(tensor[1]) == 4


def image_graph(graph: bytes, spec: BackboneSpec, how: How, name: str) -> bytes:
    """Wrap an ONNX graph of images as a graph of clips in layout NTCHW, `spec.input` -> `spec.output`.

    Args:
        graph: the image network.
        spec: spec of the backbone.
        how: how the network is applied to a clip.
        name: of the network, for messages.

    Raises:
        InputError: input or output are not those of an image network with any number of images.
    """
    import onnx
    from onnx import TensorProto, compose, helper, inliner, numpy_helper, shape_inference

    model = onnx.load_from_string(graph)
    if model.functions:
        model = inliner.inline_local_functions(model)
    input_name, output_name, dim, rank = _ends(shape_inference.infer_shapes(model), spec, name)
    model = compose.add_prefix(model, "image/")
    source, result = f"image/{input_name}", f"image/{output_name}"
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    inner = model.graph
    stored, before, after = list(inner.initializer), [], []

    def constant(label: str, values: Any) -> str:
        stored.append(numpy_helper.from_array(torch.tensor(values, dtype=torch.int64).numpy(), f"clips/{label}"))
        return f"clips/{label}"

    image_shape = (spec.channels, spec.height, spec.width)
    if how == "middle":
        before.append(helper.make_node("Gather", [spec.input, constant("frame", middle_frame(spec))], [source], axis=1))
    else:
        before.append(helper.make_node("Reshape", [spec.input, constant("pictures", [-1, *image_shape])], [source]))
    last = result
    if rank != 2:
        after.append(helper.make_node("Flatten", [last], ["clips/flat"], axis=1))
        last = "clips/flat"
    if how == "middle":
        after.append(helper.make_node("Identity", [last], [spec.output]))
    else:
        shape = constant("rows", [-1, spec.clip_frames, dim])
        after.append(helper.make_node("Reshape", [last, shape], ["clips/by_clip"]))
        if opset >= 18:
            mean = helper.make_node("ReduceMean", ["clips/by_clip", constant("axis", [1])], [spec.output], keepdims=0)
        else:
            mean = helper.make_node("ReduceMean", ["clips/by_clip"], [spec.output], axes=[1], keepdims=0)
        after.append(mean)
    wrapped = helper.make_graph(
        [*before, *inner.node, *after],
        "clips",
        [helper.make_tensor_value_info(spec.input, TensorProto.FLOAT, ["N", *spec.clip_shape])],
        [helper.make_tensor_value_info(spec.output, TensorProto.FLOAT, ["N", dim])],
        stored,
        sparse_initializer=list(inner.sparse_initializer),
    )
    whole = helper.make_model(wrapped, producer_name="punctum", opset_imports=list(model.opset_import))
    whole.ir_version = model.ir_version
    data: bytes = whole.SerializeToString(deterministic=True)
    return data


def _ends(model: Any, spec: BackboneSpec, name: str) -> tuple[str, str, int, int]:
    """(input, output, dimension of the features, axes of the output)."""
    tensor = network_input(model)
    wanted = [None, spec.channels, spec.height, spec.width]
    shape = tensor[1] if tensor else []
    fits = len(shape) == 4 and all(a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True))
    if tensor is None or not fits:
        raise _unfit(name, f"takes {shape}", f"[N, {spec.channels}, {spec.height}, {spec.width}], as the spec says")
    if shape[0] is not None:
        raise _unfit(name, f"takes exactly {shape[0]} images", "any number (a dynamic first dimension)")
    outputs = {value.name: value.type.tensor_type for value in model.graph.output}
    output = spec.output if spec.output in outputs else next(iter(outputs), "")
    if len(outputs) > 1 and spec.output not in outputs:
        raise _unfit(name, f"returns {', '.join(outputs)}", "one output, or the one that `output` of the spec names")
    dims = [d.dim_value if d.HasField("dim_value") else None for d in outputs[output].shape.dim] if outputs else []
    if len(dims) < 2 or not dims[1] or any(d != 1 for d in dims[2:]):
        raise _unfit(name, f"returns {['N' if d is None else d for d in dims]}", "[N, D] or [N, D, 1, 1], D fixed")
    return tensor[0], output, int(dims[1]), len(dims)


def _unfit(name: str, given: str, allowed: str) -> InputError:
    return InputError(
        "graph-mismatch", f"The image network {name} {given}", allowed, "export it again, or correct spec"
    )
