"""EfficientNet-Lite0 up to its pooled features as an ONNX graph, from weights with the names of TensorFlow's layers.

EfficientNet-B0 without squeeze-and-excitation and with ReLU6. Inputs of strided convolutions are padded as in
TensorFlow: one row more at the bottom, and one column more at the right. Batch normalizations become part of the
convolutions. Written node by node: torch takes 20 s to export so many layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from punctum.runtime.errors import InputError

F32 = npt.NDArray[np.float32]
Read = Callable[[str, tuple[int, ...]], F32]
DIM = 1280
_OPSET = 20
# expansion, channels, layers, kernel, stride of the first layer
_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
_EPSILON = 1e-3


def lite0_graph(read: Read) -> bytes:
    """images [N, 3, H, W], H and W multiples of 32 -> features [N, 1280].

    Args:
        read: Gives the tensor of a name and shape.
    """
    from onnx import TensorProto, helper

    net = _Writer(read)
    x = net.convolution("images", "_conv_stem", "_bn0", 3, 32, 3, stride=2)
    inputs, block = 32, 0
    for expansion, outputs, layers, kernel, first in _STAGES:
        for layer in range(layers):
            stride, name, before, wide = (first if layer == 0 else 1), f"_blocks.{block}.", x, inputs * expansion
            if expansion > 1:
                x = net.convolution(x, f"{name}_expand_conv", f"{name}_bn0", inputs, wide, 1)
            x = net.convolution(
                x, f"{name}_depthwise_conv", f"{name}_bn1", wide, wide, kernel, stride=stride, deep=True
            )
            x = net.convolution(x, f"{name}_project_conv", f"{name}_bn2", wide, outputs, 1, act=False)
            if stride == 1 and inputs == outputs:
                x = net.node("Add", [x, before])
            inputs, block = outputs, block + 1
    x = net.convolution(x, "_conv_head", "_bn1", inputs, DIM, 1)
    axes = net.constant("axes", np.array([2, 3], np.int64))
    net.nodes.append(helper.make_node("ReduceMean", [x, axes], ["features"], keepdims=0))
    graph = helper.make_graph(
        net.nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", DIM])],
        net.stored,
    )
    model = helper.make_model(graph, producer_name="punctum", opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = 9
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def published_weights(data: bytes) -> Read:
    """The tensors in a file of `torch.save`. Nothing but tensors is read from it.

    Raises:
        InputError: The file is damaged; later, a tensor is missing or has another shape.
    """
    import io
    import pickle

    import torch

    try:
        weights = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise _unfit(f"no weights ({type(error).__name__})") from None
    if not isinstance(weights, Mapping):
        raise _unfit(f"an object of type {type(weights).__name__}")

    def read(name: str, shape: tuple[int, ...]) -> F32:
        found = weights.get(name)
        if not isinstance(found, torch.Tensor) or tuple(found.shape) != shape:
            raise _unfit(f"no tensor {name} of shape {shape}")
        tensor: F32 = found.float().numpy()
        return tensor

    return read


def random_weights(seed: int = 0) -> Read:
    """Random tensors under which signals neither vanish nor explode."""
    rng = np.random.default_rng(seed)

    def read(name: str, shape: tuple[int, ...]) -> F32:
        if len(shape) == 4:
            return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        centered = name.endswith(("bias", "running_mean"))
        return (rng.normal(0, 0.1, shape) if centered else rng.uniform(0.8, 1.2, shape)).astype(np.float32)

    return read


class _Writer:
    def __init__(self, read: Read) -> None:
        self.read = read
        self.nodes: list[Any] = []
        self.stored: list[Any] = []
        self._bounds = [self.constant(name, np.float32(value)) for name, value in (("zero", 0), ("six", 6))]

    def constant(self, name: str, values: Any) -> str:
        from onnx import numpy_helper

        self.stored.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(
        self,
        x: str,
        name: str,
        norm: str,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        deep: bool = False,
        act: bool = True,
    ) -> str:
        """Convolution with batch normalization, and ReLU6 unless it is a projection. deep: one channel at a time."""
        weights = self.read(f"{name}.weight", (outputs, 1 if deep else inputs, kernel, kernel)).astype(np.float64)
        gain, bias, mean, variance = (
            self.read(f"{norm}.{part}", (outputs,)).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + _EPSILON)
        folded = [weights * scale[:, None, None, None], bias - mean * scale]
        stored = [
            self.constant(f"{name}.{label}", values.astype(np.float32))
            for label, values in zip(("weight", "bias"), folded, strict=True)
        ]
        total = kernel - stride
        pads = [total // 2] * 2 + [total - total // 2] * 2
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads}
        x = self.node("Conv", [x, *stored], group=inputs if deep else 1, **sizes)
        return self.node("Clip", [x, *self._bounds]) if act else x


def _unfit(what: str) -> InputError:
    return InputError(
        "part-weights",
        f"The weights of EfficientNet-Lite0 contain {what}",
        "the published file",
        "fetch it again with `punctum backbones fetch efficientnet-lite0`",
    )
