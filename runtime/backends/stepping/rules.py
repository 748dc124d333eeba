"""How each operator of a locator is written into its step graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .graph import Node, Tensor, read_constant
from .writer import NotStepwiseError, Rows, Writer

Rule = Callable[[Writer, Node], None]

BY_ROW = frozenset(
    (
        *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod", "Abs", "Neg", "Reciprocal", "Sqrt", "Exp", "Log"),
        *("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Mish", "Clip", "Sigmoid", "HardSigmoid"),
        *("HardSwish", "Tanh", "Erf", "Softplus", "Softsign", "Floor", "Ceil", "Round", "Cast", "Identity"),
        *("QuantizeLinear", "DequantizeLinear", "BatchNormalization"),
    )
)
"""Operators on each element by itself, with other inputs that are constant or have the same rows."""
CHEAP = frozenset(("Cast", "Identity", "QuantizeLinear", "DequantizeLinear"))
"""Of these the state keeps the input and not the result: engines fuse them with what follows."""
ALONG = frozenset(("Softmax", "LogSoftmax", "LpNormalization"))
REDUCING = frozenset(("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare"))


def write_node(w: Writer, node: Node) -> None:
    """Write one node of the locator. Raises NotStepwiseError."""
    if node.op == "Shape" or any(name in w.lengths for name in node.inputs if name not in w.values):
        _length(w, node)
    elif not any(name in w.values for name in node.inputs):
        _constant(w, node)
    elif node.op in BY_ROW:
        _by_row(w, node)
    elif node.op in REDUCING:
        _reduce(w, node)
    else:
        rule = _along if node.op in ALONG else RULES.get(node.op)
        if rule is None:
            raise NotStepwiseError(f"the operator {node.op}")
        rule(w, node)


def _constant(w: Writer, node: Node) -> None:
    """A node without snippets among its inputs."""
    if node.op in ("RandomNormal", "RandomUniform") or not all(name in w.fixed for name in node.inputs if name):
        raise NotStepwiseError(f"an input of {node.op}")
    known = read_constant(node) if node.op == "Constant" else None
    if node.op in CHEAP:  # the size is that of the input, which is all that is asked for
        source = w.fixed[node.inputs[0]]
        known = None if source is None else replace(source, integers=None)
    w.repeat(node, node.inputs)
    w.fixed.update(dict.fromkeys(node.outputs, known))


def _length(w: Writer, node: Node) -> None:
    """Arithmetic on the length of the window, which the step graph does without: slices are counted from the end."""
    if node.op in RULES and any(name in w.values for name in node.inputs):
        RULES[node.op](w, node)
        return
    first = next(name for name in node.inputs if name in w.lengths or name in w.values)
    if node.op == "Shape":
        rows = w.values.get(first)
        start, stop = node.integer("start", 0), node.integer("end", len(rows.dims) if rows else 0)
        if rows is None or (start, stop) != (rows.axis, rows.axis + 1):
            raise NotStepwiseError("other sizes than the length of the window")
        w.lengths[node.outputs[0]] = rows.end
    elif node.op == "Add" or (node.op == "Sub" and first == node.inputs[0]):
        other = _known(w, node, 1 - node.inputs.index(first))
        if len(other) != 1:
            raise NotStepwiseError("several sizes")
        w.lengths[node.outputs[0]] = w.lengths[first] + (other[0] if node.op == "Add" else -other[0])
    elif node.op in ("Squeeze", "Unsqueeze", "Reshape", "Cast", "Identity"):
        w.lengths[node.outputs[0]] = w.lengths[first]
    else:
        raise NotStepwiseError(f"{node.op} of a length")


def _by_row(w: Writer, node: Node) -> None:
    names = [name for name in node.inputs if name in w.values]
    aligned = dict(zip(names, w.aligned([w.values[name] for name in names]), strict=True))
    first = aligned[names[0]]
    dims = list(first.dims)
    for name in node.inputs:
        if name in aligned:
            shape: Sequence[int | None] = aligned[name].dims
            if len(shape) != len(dims) or aligned[name].axis != first.axis:
                raise NotStepwiseError(f"the shapes of {node.op}")
        elif name:
            shape = _shape(w, name)
            where = first.axis - len(dims)
            if len(shape) > len(dims) or (len(shape) >= -where and shape[where] != 1):
                per_channel = node.op in CHEAP or node.op == "BatchNormalization"
                if not (per_channel and node.integer("axis", 1) != first.axis and first.axis != 1):
                    raise NotStepwiseError(f"a constant of {node.op} that differs from row to row")
        else:
            continue
        if node.op in CHEAP or node.op == "BatchNormalization":
            break  # the other inputs are parameters
        for k in range(1, len(shape) + 1):
            size = shape[-k]
            if dims[-k] == 1 and size is not None:
                dims[-k] = size
    inputs = [aligned[name].name if name in aligned else name for name in node.inputs]
    (name,) = w.repeat(node, inputs)[:1]
    w.values[node.outputs[0]] = replace(first, name=name, dims=tuple(dims))
    if node.op in CHEAP:
        source = first

        def longer(count: int) -> str:
            return w.repeat(node, [w.earlier(source, count).name, *inputs[1:]], fresh=True)[0]

        w.again[name] = longer


def _moved(w: Writer, node: Node, dims: Sequence[int | None], axis: int) -> None:
    """A node that moves values without computing any: for earlier rows it is repeated on those of its input."""
    rows, others = w.values[node.inputs[0]], node.inputs[1:]
    (name,) = w.repeat(node, [rows.name, *others])
    w.values[node.outputs[0]] = replace(rows, name=name, dims=tuple(dims), axis=axis)
    w.again[name] = lambda count: w.repeat(node, [w.earlier(rows, count).name, *others], fresh=True)[0]


def _along(w: Writer, node: Node) -> None:
    """A function along an axis that is not that of the rows."""
    rows = w.values[node.inputs[0]]
    if node.integer("axis", -1) % len(rows.dims) == rows.axis:
        raise NotStepwiseError(f"{node.op} over all rows")
    (name,) = w.repeat(node, [rows.name])
    w.values[node.outputs[0]] = replace(rows, name=name)


def _reduce(w: Writer, node: Node) -> None:
    rows = w.values[node.inputs[0]]
    given = node.integers("axes") if len(node.inputs) < 2 or not node.inputs[1] else _known(w, node, 1)
    axes = sorted(axis % len(rows.dims) for axis in given or ())
    if not axes or rows.axis in axes:
        raise NotStepwiseError(f"{node.op} over all rows")
    keep = node.integer("keepdims", 1)
    dims = [1 if k in axes else dim for k, dim in enumerate(rows.dims) if keep or k not in axes]
    axis = rows.axis if keep else rows.axis - sum(k < rows.axis for k in axes)
    (name,) = w.repeat(node, [rows.name, *node.inputs[1:]])
    w.values[node.outputs[0]] = replace(rows, name=name, dims=tuple(dims), axis=axis)


def _transpose(w: Writer, node: Node) -> None:
    rows = w.values[node.inputs[0]]
    order = node.integers("perm") or list(range(len(rows.dims)))[::-1]
    _moved(w, node, [rows.dims[k] for k in order], order.index(rows.axis))


def _unsqueeze(w: Writer, node: Node) -> None:
    rows = w.values[node.inputs[0]]
    given = _known(w, node, 1) if len(node.inputs) > 1 else node.integers("axes") or []
    rank = len(rows.dims) + len(given)
    added = {axis % rank for axis in given}
    old = iter(range(len(rows.dims)))
    places = [None if k in added else next(old) for k in range(rank)]
    _moved(w, node, [1 if k is None else rows.dims[k] for k in places], places.index(rows.axis))


def _squeeze(w: Writer, node: Node) -> None:
    rows = w.values[node.inputs[0]]
    given = _known(w, node, 1) if len(node.inputs) > 1 else node.integers("axes") or []
    removed = {axis % len(rows.dims) for axis in given}
    if not removed or rows.axis in removed:
        raise NotStepwiseError("a squeeze of rows")
    places = [k for k in range(len(rows.dims)) if k not in removed]
    _moved(w, node, [rows.dims[k] for k in places], places.index(rows.axis))


def _reshape(w: Writer, node: Node) -> None:
    """Only of the axes between the batch and rows at the end."""
    rows, shape = w.values[node.inputs[0]], list(_known(w, node, 1))
    sizes = [rows.dims[k] if size == 0 and k < len(rows.dims) else size for k, size in enumerate(shape)]
    same_front = shape[:1] == [0] and rows.axis == len(rows.dims) - 1 and shape[-1] == -1
    if not same_front or _product(sizes[1:-1]) != _product(rows.dims[1:-1]) or node.integer("allowzero", 0):
        raise NotStepwiseError("a reshape of rows")
    _moved(w, node, [None, *sizes[1:-1], None], len(sizes) - 1)


def _pad(w: Writer, node: Node) -> None:
    rows, pads = w.values[node.inputs[0]], list(_known(w, node, 1))
    rank = len(rows.dims)
    if len(node.inputs) > 3 and node.inputs[3]:
        raise NotStepwiseError("a pad of some axes")
    mode = node.attributes.get("mode", b"constant")
    before, after = pads[rows.axis], pads[rank + rows.axis]
    if mode not in (b"constant", b"edge") or min(pads) < 0:
        raise NotStepwiseError(f"a pad of mode {mode!r}")
    dims = tuple(None if dim is None else dim + pads[k] + pads[rank + k] for k, dim in enumerate(rows.dims))
    pads[rows.axis], pads[rank + rows.axis] = 0, after if w.ahead else 0
    name = rows.name
    if any(pads):
        (name,) = w.repeat(node, [rows.name, w.integers(*pads), *node.inputs[2:]])
    front, end = rows.front + before, rows.end + before + after
    w.values[node.outputs[0]] = Rows(name, dims, rows.axis, front, end, rows.ahead + (after if w.ahead else 0))


def _slice(w: Writer, node: Node) -> None:
    rows = w.values[node.inputs[0]]
    starts, axes = list(_known(w, node, 1)), [*range(len(rows.dims))]
    stops: list[int | None] = [None] if node.inputs[2] in w.lengths else list(_known(w, node, 2))  # None: a length
    if len(node.inputs) > 3 and node.inputs[3]:
        axes = [axis % len(rows.dims) for axis in _known(w, node, 3)]
    if len(node.inputs) > 4 and node.inputs[4] and set(_known(w, node, 4)) != {1}:
        raise NotStepwiseError("a slice with steps")
    dims, first, drop = list(rows.dims), 0, 0
    ranges: list[tuple[int, int, int]] = []  # axis, start and stop in the step graph
    for start, stop, axis in zip(starts, stops, axes, strict=False):
        size = dims[axis]
        if axis != rows.axis:
            if stop is None:
                raise NotStepwiseError("a slice by the length of the window")
            dims[axis] = None if size is None else len(range(size)[start:stop])
            ranges.append((axis, start, stop))
            continue
        drop = rows.end - w.lengths[node.inputs[2]] if stop is None else max(-stop, 0)
        if start < 0 or drop < 0 or (stop is not None and 0 <= stop < 1 << 31):
            raise NotStepwiseError("a slice that counts rows from the other end")
        if w.ahead and drop > rows.ahead:  # it leaves out the latest rows, so it begins with earlier ones
            rows = w.earlier(rows, drop - rows.ahead)
        first = start
        if w.ahead and drop:
            ranges.append((axis, 0, -drop))

    def cut(name: str) -> str:
        columns = zip(*((start, stop, axis) for axis, start, stop in ranges), strict=True)
        return w.add("Slice", [name, *(w.integers(*column) for column in columns)])

    result = replace(rows, dims=tuple(dims), front=rows.front - first, end=rows.end - first - drop)
    if ranges:
        result = replace(result, name=cut(rows.name), ahead=rows.ahead - (drop if w.ahead else 0))
        w.again[result.name] = lambda count: cut(w.earlier(rows, count).name)
    w.values[node.outputs[0]] = result


def _gather(w: Writer, node: Node) -> None:
    """Constant places along an axis that is not that of the rows."""
    rows, places = w.values[node.inputs[0]], _shape(w, node.inputs[1])
    axis = node.integer("axis", 0) % len(rows.dims)
    if rows.dims[axis] is None:
        raise NotStepwiseError("rows or windows that are gathered")
    dims = (*rows.dims[:axis], *places, *rows.dims[axis + 1 :])
    _moved(w, node, dims, rows.axis + (len(places) - 1 if axis < rows.axis else 0))


def _concat(w: Writer, node: Node) -> None:
    if not all(name in w.values for name in node.inputs):
        raise NotStepwiseError("rows and constants that are joined")
    parts = w.aligned([w.values[name] for name in node.inputs])
    axis = node.integer("axis", 0) % len(parts[0].dims)
    sizes, dims = [part.dims[axis] for part in parts], list(parts[0].dims)
    if any(part.axis != parts[0].axis for part in parts) or None in sizes:
        raise NotStepwiseError("rows or windows that are joined one after the other")
    dims[axis] = sum(size or 0 for size in sizes)
    (name,) = w.repeat(node, [part.name for part in parts])
    w.values[node.outputs[0]] = replace(parts[0], name=name, dims=tuple(dims))

    def longer(count: int) -> str:
        return w.repeat(node, [w.earlier(part, count).name for part in parts], fresh=True)[0]

    w.again[name] = longer


def _conv(w: Writer, node: Node) -> None:
    rows, weight = w.values[node.inputs[0]], _shape(w, node.inputs[1])
    space = len(rows.dims) - 2
    where = rows.axis - 2
    if space < 1 or where < 0 or node.attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise NotStepwiseError("a convolution that is padded by the engine, or over other axes")
    if any(stride != 1 for stride in node.integers("strides") or ()):
        raise NotStepwiseError("a convolution with strides")
    dilations = node.integers("dilations") or [1] * space
    pads = list(node.integers("pads") or [0] * 2 * space)
    before, after = pads[where], pads[space + where]
    spans = [(size - 1) * dilation for size, dilation in zip(weight[2:], dilations, strict=True)]
    span = spans[where]
    grown = [
        None if k == where or dim is None else dim + pads[k] + pads[space + k] - spans[k]
        for k, dim in enumerate(rows.dims[2:])
    ]
    pads[where], pads[space + where] = 0, after if w.ahead else 0
    front, end = rows.front + before - span, rows.end + before + after - span
    inputs = [w.earlier(rows, span).name, *node.inputs[1:]]
    (name,) = w.repeat(node, inputs, {"pads": pads} if any(node.integers("pads") or ()) else {})
    ahead = rows.ahead + (after if w.ahead else 0)
    w.values[node.outputs[0]] = Rows(name, (None, weight[0], *grown), rows.axis, front, end, ahead)


def _matmul(w: Writer, node: Node) -> None:
    """Rows times a constant matrix."""
    if node.inputs[0] not in w.values or node.inputs[1] in w.values:
        raise NotStepwiseError("a product of rows with rows")
    rows, weight = w.values[node.inputs[0]], _shape(w, node.inputs[1])
    if len(weight) != 2 or rows.axis >= len(rows.dims) - 1:
        raise NotStepwiseError("a product over rows")
    (name,) = w.repeat(node, [rows.name, node.inputs[1]])
    w.values[node.outputs[0]] = replace(rows, name=name, dims=(*rows.dims[:-1], weight[1]))


def _known(w: Writer, node: Node, k: int) -> tuple[int, ...]:
    """Integers that an input must have."""
    tensor = w.fixed.get(node.inputs[k])
    if tensor is None or tensor.integers is None:
        raise NotStepwiseError(f"sizes of {node.op} that are computed")
    return tensor.integers


def _shape(w: Writer, name: str) -> tuple[int, ...]:
    tensor: Tensor | None = w.fixed.get(name)
    if tensor is None:
        raise NotStepwiseError(f"the constant {name}, whose size is computed")
    return tensor.dims


def _product(dims: Sequence[int | None]) -> int:
    product = 1
    for dim in dims:
        product *= -1 if dim is None else dim
    return product


RULES: dict[str, Rule] = {
    "Concat": _concat,
    "Conv": _conv,
    "Gather": _gather,
    "MatMul": _matmul,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
