"""fp32 graph -> fp16 graph, strongly typed: products in fp16, everything that adds up or normalises in fp32.

Convolutions and matrix products, and what only moves or rectifies their results, run in fp16. Softmax, sigmoid,
norms, means, cumulative sums and all arithmetic on time stay fp32, and so do inputs and outputs of the graph. Casts
stand at the borders, one a tensor, so every node has one type: what a strongly typed engine builder asks for. Nothing
here looks at node names.

ONNX Runtime has no fp16 kernels on the CPU: it computes such a graph in fp32 and leaves the roundings out, which would
hide what fp16 costs. `emulate_half` is the same plan in fp32 with every fp16 tensor rounded by arithmetic that no
optimiser removes; parity and mAP are measured on it. Sums inside a product are fp32 there, as in tensor cores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._onnx import View, finish, load, subgraphs

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

LARGEST = 65504.0
FEWEST = 512  # weights; a smaller product (the smoothing of tracks, say) gains nothing and keeps its precision
PRODUCTS = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
_MOVES = {"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Slice", "Identity", "Concat", "Pad", "Split"}
_FOLLOW = _MOVES | {"Relu", "LeakyRelu", "Clip", "MaxPool", "Gather", "Expand", "Add", "Mul", "HardSwish"}
_OVERFLOW = float(np.finfo(np.float32).max) / LARGEST
_SPLITTER = float(2**13 + 1)  # Veltkamp: 24 bits of a float32 less 13 are the 11 of a float16


def to_half(graph: bytes, *, attention: bool = False, name: str = "the graph") -> bytes:
    """The fp16 graph. attention: products of two computed tensors become fp16 too (backbones).

    Raises InputError for bytes that are no ONNX graph.
    """
    return _rewrite(load(graph, name), attention, _Cast)


def emulate_half(graph: bytes, *, attention: bool = False, name: str = "the graph") -> bytes:
    """The fp32 graph that gives what `to_half` gives in fp16: equal but for the order of sums and what lies below 6e-8.

    A value that fp16 cannot hold becomes NaN.
    """
    return _rewrite(load(graph, name), attention, _Round)


def plan(view: View, *, attention: bool) -> set[int]:
    """ids of the nodes that run in fp16."""
    nodes = view.nodes
    half = {id(node) for node in nodes if _is_product(view, node, attention)}

    def made_half(name: str) -> bool:
        return name in view.producer and id(view.producer[name]) in half

    for node in nodes:  # forward: what takes fp16 only, and keeps its precision
        computed = [name for name in view.floats(node) if name not in view.constants]
        if node.op_type in _FOLLOW and id(node) not in half and computed and _fits(view, node):
            mixed = node.op_type == "Mul" and len(computed) > 1  # squares overflow and norms need them exact
            if all(map(made_half, computed)) and not mixed:
                half.add(id(node))
    for node in reversed(nodes):  # backward: what only moves data that fp16 nodes alone will read
        if node.op_type in _MOVES and id(node) not in half and view.floats(node) and _fits(view, node):
            readers = [reader for name in node.output for reader in view.readers[name]]
            free = not any(name in view.pinned for name in node.output)
            if readers and free and all(id(reader) in half for reader in readers):
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
    return max(int(np.prod(tensor.dims)) for tensor in weights) >= FEWEST


def _fits(view: View, node: NodeProto) -> bool:
    """Whether its constants are numbers that fp16 holds, its outputs floats, and it has no inner graph."""
    from onnx import numpy_helper

    if subgraphs(node) or not all(view.is_float(name) for name in node.output if name):
        return False
    constants = [view.constants[name] for name in view.floats(node) if name in view.constants]
    return all(float(np.abs(numpy_helper.to_array(c)).max(initial=0.0)) <= LARGEST for c in constants)


class _Cast:
    """fp16 as a type."""

    def __init__(self, view: View) -> None:
        self.view = view

    def constant(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return values.astype(np.float16)

    def made(self, new: str) -> tuple[str, list[NodeProto]]:
        """What a node in fp16 calls its output so that `new` is its value, and the nodes that are needed between."""
        return new, []

    def down(self, old: str, new: str) -> list[NodeProto]:
        from onnx import TensorProto, helper

        return [helper.make_node("Cast", [old], [new], to=TensorProto.FLOAT16)]

    def up(self, new: str, old: str) -> list[NodeProto]:
        from onnx import TensorProto, helper

        return [helper.make_node("Cast", [new], [old], to=TensorProto.FLOAT)]


class _Round:
    """fp16 as float32 values that have been rounded."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.numbers = [self._number(n, v) for n, v in (("split", _SPLITTER), ("top", _OVERFLOW), ("none", 0.0))]

    def _number(self, name: str, value: float) -> str:
        from onnx import numpy_helper

        free = self.view.free(f"{name}_fp16")
        self.view.model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), free))
        return free

    def constant(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return values.astype(np.float16).astype(np.float32)

    def made(self, new: str) -> tuple[str, list[NodeProto]]:
        exact = self.view.free(f"{new}_exact")
        return exact, self.down(exact, new)

    def down(self, old: str, new: str) -> list[NodeProto]:
        from onnx import helper

        a, b, c, d, e = (self.view.free(f"{new}_{k}") for k in range(5))
        split, top, none = self.numbers
        steps = [("Mul", old, split, a), ("Sub", a, old, b), ("Sub", a, b, c)]
        # Beyond fp16 the second product is infinite, so the third is NaN; below, it is zero.
        steps += [("Mul", old, top, d), ("Mul", d, none, e), ("Add", c, e, new)]
        return [helper.make_node(kind, [x, y], [z]) for kind, x, y, z in steps]

    def up(self, new: str, old: str) -> list[NodeProto]:
        from onnx import helper

        return [helper.make_node("Identity", [new], [old])]


def _rewrite(model: ModelProto, attention: bool, kind: type[_Cast] | type[_Round]) -> bytes:
    """Old names stay fp32 and new names are fp16, so what is not rewritten never notices."""
    from onnx import numpy_helper

    view = View(model)
    half = plan(view, attention=attention)
    way = kind(view)
    nodes: list[NodeProto] = []
    renamed: dict[str, str] = {}

    def taken(old: str) -> str:
        if old not in renamed:
            renamed[old] = new = view.free(f"{old}_fp16")
            if old in view.constants:
                values = way.constant(numpy_helper.to_array(view.constants[old]))
                model.graph.initializer.append(numpy_helper.from_array(values, new))
            else:
                nodes.extend(way.down(old, new))
        return renamed[old]

    for node in view.nodes:
        if id(node) not in half:
            nodes.append(node)
            continue
        inputs = [taken(old) if view.is_float(old) else old for old in node.input]
        del node.input[:]
        node.input.extend(inputs)
        tail: list[NodeProto] = []
        for k, old in enumerate(list(node.output)):
            if not old:
                continue
            renamed[old] = new = view.free(f"{old}_fp16")
            node.output[k], between = way.made(new)
            tail += between
            if old in view.pinned or any(id(reader) not in half for reader in view.readers[old]):
                tail += way.up(new, old)
        nodes += [node, *tail]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return finish(model)
