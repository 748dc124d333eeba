"""fp32 graph -> fp16 graph, strongly typed: products in fp16, accumulation and normalization in fp32.

Convolutions, matrix products, and operators that only move or rectify their results run in fp16. Softmax, sigmoid,
norms, means, cumulative sums and all arithmetic on time stay fp32, and so do inputs and outputs of the graph. There is
one cast per tensor where the types change, so every node has one type, as a strongly typed engine builder requires.
Node names play no role.

ONNX Runtime has no fp16 kernels for the CPU: it computes such a graph in fp32 without rounding, which would hide the
cost of fp16. `emulate_half` applies the same plan in fp32, with every fp16 tensor rounded by arithmetic that no
optimizer removes; parity and mAP are measured on it. Sums inside a product are fp32 there, as in tensor cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._onnx import View, finish, load, subgraphs

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

MAX_HALF = 65504.0
MIN_WEIGHTS = 512  # smaller products (such as the smoothing of tracks) gain nothing and stay fp32
PRODUCTS = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
_MOVES = {"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Slice", "Identity", "Concat", "Pad", "Split"}
_FOLLOW = _MOVES | {"Relu", "LeakyRelu", "Clip", "MaxPool", "Gather", "Expand", "Add", "Mul", "HardSwish"}
# The largest factor that leaves MAX_HALF finite; the next float16 would be 2**16, which it turns into infinity.
_OVERFLOW = float(np.nextafter(np.float32(np.finfo(np.float32).max / MAX_HALF), np.float32(0)))
_SPLITTER = float(2**13 + 1)  # Veltkamp splitting: 24 bits of a float32 minus 13 are the 11 bits of a float16


def to_half(graph: bytes, *, attention: bool = False, name: str = "the graph") -> bytes:
    """Convert a graph to fp16.

    Args:
        graph: the fp32 graph.
        attention: products of two computed tensors become fp16 too (for backbones).
        name: of the graph, for messages.

    Raises:
        InputError: the bytes are not an ONNX graph.
    """
    return _rewrite(load(graph, name), attention, _Cast)


def emulate_half(graph: bytes, *, attention: bool = False, name: str = "the graph") -> bytes:
    """The fp32 graph that computes what the graph of `to_half` computes in fp16.

    Results are equal except for the order of sums and values below 6e-8. A value beyond the range of fp16 becomes NaN.
    """
    return _rewrite(load(graph, name), attention, _Round)


def plan(view: View, *, attention: bool) -> set[int]:
    """The nodes that run in fp16, by `id`."""
    nodes = view.nodes
    half = {id(node) for node in nodes if _is_product(view, node, attention)}

    def computed_in_half(name: str) -> bool:
        return name in view.producer and id(view.producer[name]) in half

    for node in nodes:  # forward: nodes whose inputs are all fp16 and that lose nothing
        computed = [name for name in view.floats(node) if name not in view.constants]
        if node.op_type in _FOLLOW and id(node) not in half and computed and _fits(view, node):
            mixed = node.op_type == "Mul" and len(computed) > 1  # squares may overflow, and norms need them exact
            if all(map(computed_in_half, computed)) and not mixed:
                half.add(id(node))
    for node in reversed(nodes):  # backward: nodes that move data to fp16 nodes only
        if node.op_type in _MOVES and id(node) not in half and view.floats(node) and _fits(view, node):
            readers = [reader for name in node.output for reader in view.readers[name]]
            internal = not any(name in view.pinned for name in node.output)
            if readers and internal and all(id(reader) in half for reader in readers):
                half.add(id(node))
    return half


def _is_product(view: View, node: NodeProto, attention: bool) -> bool:
    if node.op_type not in PRODUCTS or not all(view.is_float(name) for name in node.input if name):
        return False
    weights = [view.constants[name] for name in node.input if name in view.constants]
    if not _fits(view, node):
        return False
    if not weights:
        return attention
    return max(int(np.prod(tensor.dims)) for tensor in weights) >= MIN_WEIGHTS


def _fits(view: View, node: NodeProto) -> bool:
    """Whether the constants of a node fit fp16, its outputs are floats, and it has no inner graph."""
    from onnx import numpy_helper

    if subgraphs(node) or not all(view.is_float(name) for name in node.output if name):
        return False
    constants = [view.constants[name] for name in view.floats(node) if name in view.constants]
    return all(float(np.abs(numpy_helper.to_array(c)).max(initial=0.0)) <= MAX_HALF for c in constants)


class _Cast:
    """Represents fp16 tensors as fp16."""

    def __init__(self, view: View) -> None:
        self.view = view

    def constant(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return values.astype(np.float16)

    def output(self, new: str) -> tuple[str, list[NodeProto]]:
        """The name that an fp16 node gives its output so that `new` is its value, and the nodes in between."""
        return new, []

    def down(self, old: str, new: str) -> list[NodeProto]:
        from onnx import TensorProto, helper

        return [helper.make_node("Cast", [old], [new], to=TensorProto.FLOAT16)]

    def up(self, new: str, old: str) -> list[NodeProto]:
        from onnx import TensorProto, helper

        return [helper.make_node("Cast", [new], [old], to=TensorProto.FLOAT)]


class _Round:
    """Represents fp16 tensors as rounded float32."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.numbers = [self._number(n, v) for n, v in (("split", _SPLITTER), ("top", _OVERFLOW), ("none", 0.0))]

    def _number(self, name: str, value: float) -> str:
        from onnx import numpy_helper

        unused = self.view.unused(f"{name}_fp16")
        self.view.model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), unused))
        return unused

    def constant(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return values.astype(np.float16).astype(np.float32)

    def output(self, new: str) -> tuple[str, list[NodeProto]]:
        exact = self.view.unused(f"{new}_exact")
        return exact, self.down(exact, new)

    def down(self, old: str, new: str) -> list[NodeProto]:
        from onnx import helper

        a, b, c, d, e = (self.view.unused(f"{new}_{k}") for k in range(5))
        split, top, none = self.numbers
        steps = [("Mul", old, split, a), ("Sub", a, old, b), ("Sub", a, b, c)]
        # Beyond the range of fp16 the second product is infinite and the third NaN; within it the third is zero.
        steps += [("Mul", old, top, d), ("Mul", d, none, e), ("Add", c, e, new)]
        return [helper.make_node(kind, [x, y], [z]) for kind, x, y, z in steps]

    def up(self, new: str, old: str) -> list[NodeProto]:
        from onnx import helper

        return [helper.make_node("Identity", [new], [old])]


def _rewrite(model: ModelProto, attention: bool, kind: type[_Cast] | type[_Round]) -> bytes:
    """Rewrite a model. Old names stay fp32 and new names are fp16, so nodes that stay fp32 do not change."""
    from onnx import numpy_helper

    view = View(model)
    half = plan(view, attention=attention)
    form = kind(view)
    nodes: list[NodeProto] = []
    renamed: dict[str, str] = {}

    def in_half(old: str) -> str:
        if old not in renamed:
            renamed[old] = new = view.unused(f"{old}_fp16")
            if old in view.constants:
                values = form.constant(numpy_helper.to_array(view.constants[old]))
                model.graph.initializer.append(numpy_helper.from_array(values, new))
            else:
                nodes.extend(form.down(old, new))
        return renamed[old]

    for node in view.nodes:
        if id(node) not in half:
            nodes.append(node)
            continue
        inputs = [in_half(old) if view.is_float(old) else old for old in node.input]
        del node.input[:]
        node.input.extend(inputs)
        tail: list[NodeProto] = []
        for k, old in enumerate(list(node.output)):
            if not old:
                continue
            renamed[old] = new = view.unused(f"{old}_fp16")
            node.output[k], between = form.output(new)
            tail += between
            if old in view.pinned or any(id(reader) not in half for reader in view.readers[old]):
                tail += form.up(new, old)
        nodes += [node, *tail]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return finish(model)
