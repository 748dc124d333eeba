"""One ONNX graph of several parts: clips [N, T, C, H, W] -> their features side by side [N, D]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.errors import InputError

from .canvas import frame_places
from .part import Part
from .resample import resampling
from .surgery import OPSET, converted, opset_error, opset_of, with_prefix

if TYPE_CHECKING:
    from onnx import ModelProto

_IR = 9


def assemble(parts: Sequence[Part], clip: BackboneSpec) -> bytes:
    """Write the graph.

    Args:
        parts: The parts, in the order of their columns.
        clip: The clips, from `canvas.choose_clip`.

    Raises:
        InputError: A network cannot be brought to the operator set of the others, or the graph exceeds 2 GiB.
    """
    from onnx import TensorProto, helper

    models = [_model(part) for part in parts]
    opset = max(OPSET, *(opset_of(model) for model in models))
    domains = {"": opset}
    writer = _Writer(clip)
    columns = []
    for part, model in zip(parts, models, strict=True):
        model = converted(model, opset, part.name)
        for imported in model.opset_import:
            domain = "" if imported.domain == "ai.onnx" else imported.domain
            if domains.setdefault(domain, imported.version) != imported.version:
                raise opset_error(part.name, f"uses version {imported.version} of {domain}, and another part another")
        columns.append(writer.place(part, model))
    writer.node("Concat" if len(columns) > 1 else "Identity", columns, clip.output, **_axis(columns, 1))
    graph = helper.make_graph(
        writer.nodes,
        "parts",
        [helper.make_tensor_value_info(clip.input, TensorProto.FLOAT, ["N", *clip.clip_shape])],
        [helper.make_tensor_value_info(clip.output, TensorProto.FLOAT, ["N", sum(part.dim for part in parts)])],
        writer.stored,
        sparse_initializer=writer.sparse,
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in sorted(domains.items())]
    whole = helper.make_model(graph, producer_name="punctum", opset_imports=imports)
    whole.ir_version = max(_IR, *(model.ir_version for model in models))
    try:
        data: bytes = whole.SerializeToString(deterministic=True)
    except ValueError as error:
        raise InputError(
            "backbone-too-large",
            f"The parts do not fit one ONNX file ({failure_text(error)})",
            "at most 2 GiB",
            "leave a part out, or use a smaller network",
        ) from None
    return data


class _Writer:
    """Collects nodes and constants. Names of a part begin with its number, so the graph does not depend on its name."""

    def __init__(self, clip: BackboneSpec) -> None:
        self.clip = clip
        self.nodes: list[Any] = []
        self.stored: list[Any] = []
        self.sparse: list[Any] = []
        self._placed = 0
        self._prefix = ""

    def constant(self, label: str, values: Any) -> str:
        from onnx import numpy_helper

        array = np.asarray(values)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        name = f"{self._prefix}constants/{label}"
        self.stored.append(numpy_helper.from_array(array.copy(order="C"), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def step(self, kind: str, inputs: Sequence[str], label: str, **attributes: Any) -> str:
        return self.node(kind, inputs, f"{self._prefix}{label}", **attributes)

    def reshape(self, tensor: str, shape: Sequence[int], label: str) -> str:
        return self.step("Reshape", [tensor, self.constant(f"{label}.shape", np.array(shape, np.int64))], label)

    def place(self, part: Part, model: ModelProto) -> str:
        """Add a part. Returns the tensor with its features [N, part.dim]."""
        self._placed += 1
        self._prefix = f"part{self._placed}/"
        sets = frame_places(part, self.clip)
        taken = self._input(part, self._frames([at for places in sets for at in places]))
        inner = with_prefix(model, f"{self._prefix}net/")
        self.step("Identity", [taken], f"net/{part.network.input}")
        self.nodes += inner.node
        self.stored += inner.initializer
        self.sparse += inner.sparse_initializer
        runs = len(sets[0]) if part.network.takes_images else 1
        return self._pooled(part, f"{self._prefix}net/{part.network.output}", len(sets), runs)

    def _frames(self, places: list[int]) -> str:
        """Frames of the clip [N, K, C, H, W] as pictures [N * K, C, H, W]."""
        tensor = self.clip.input
        if places != list(range(self.clip.clip_frames)):
            index = self.constant("places", np.array(places, np.int64))
            tensor = self.step("Gather", [tensor, index], "frames", axis=1)
        return self.reshape(tensor, [-1, *self.clip.clip_shape[1:]], "pictures")

    def _input(self, part: Part, pictures: str) -> str:
        spec, network, made = part.spec, part.network, resampling(part.spec, self.clip)
        if made.rows is not None and made.columns is not None:
            pictures = self.step("MatMul", [pictures, self.constant("columns", made.columns)], "narrow")
            pictures = self.step("MatMul", [self.constant("rows", made.rows), pictures], "small")
        if not made.is_identity:
            kernel = list(made.weights.shape[2:])
            values = [self.constant("colors", made.weights), self.constant("offset", made.bias)]
            pictures = self.step("Conv", [pictures, *values], "normalized", kernel_shape=kernel, strides=kernel)
        if network.layout == "NHWC":
            return self.step("Transpose", [pictures], "turned", perm=[0, 2, 3, 1])
        if network.takes_images:
            return pictures
        frames = self.reshape(pictures, [-1, spec.clip_frames, spec.channels, spec.height, spec.width], "clips")
        if network.layout == "NCTHW":
            return self.step("Transpose", [frames], "turned", perm=[0, 2, 1, 3, 4])
        return frames

    def _pooled(self, part: Part, features: str, sets: int, runs: int) -> str:
        rows = self.reshape(features, [-1, sets, runs, part.network.dim], "rows")
        rows = self.step("ReduceMean", [rows, self.constant("runs", np.array([2], np.int64))], "mean", keepdims=0)
        if sets == 1:
            rows = self.reshape(rows, [-1, part.network.dim], "features")
        else:
            now, before = (
                self.step("Gather", [rows, self.constant(f"{label}.index", np.int64(k))], label, axis=1)
                for k, label in enumerate(("now", "before"))
            )
            rows = self.step("Sub", [now, before], "change")
            if part.give == "both":
                rows = self.step("Concat", [now, rows], "both", axis=1)
        if part.components is not None:
            rows = self.step("Sub", [rows, self.constant("center", part.components.mean)], "centered")
            rows = self.step("MatMul", [rows, self.constant("components", part.components.matrix)], "projected")
        return rows


def _axis(columns: Sequence[str], axis: int) -> dict[str, int]:
    return {"axis": axis} if len(columns) > 1 else {}


def _model(part: Part) -> ModelProto:
    import onnx

    return onnx.load_from_string(part.network.graph)
