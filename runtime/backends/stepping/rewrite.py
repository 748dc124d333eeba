"""A convolutional locator as a step graph: new snippets and a state in, tracks and the next state out.

Let K snippets be known before a run and K' after it. Every value of the locator that has one row for each snippet is
computed only for its rows [K + front, K' + end), both of which are constants of the value: a layer that looks `r`
snippets ahead knows its rows up to K - r, and `end` says how far the value of a window reaches. Rows up to K' + front
are settled; those after them are as if the stream ended now, and the next run computes them again.

Where an operator needs earlier rows of a value (a convolution, or values that look ahead differently and are added),
they come from the state, and the last settled rows of the value go into the next state. An operator that works on
each row by itself stays as it is. Anything else, such as attention over the window, has no step graph (`rules`).

The arithmetic is that of the locator, with int8 weights and activations too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...datatypes import compact
from .graph import Graph, read_graph, write_graph
from .rules import write_node
from .wire import Malformed
from .writer import NotStepwiseError, Rows, Writer

__all__ = ["NotStepwiseError", "StepGraph", "step_graph"]


@compact
@dataclass(frozen=True, slots=True, repr=False)
class StepGraph:
    """A step graph.

    Attributes:
        data: The ONNX file: features [B, n, D] and state [B, S] -> class_track [B, n + ahead, C], actionness
            [B, n + ahead] and next_state [B, S].
        state: Number of values S.
        ahead: Rows of the tracks after the settled ones.
    """

    data: bytes
    state: int
    ahead: int


def step_graph(data: bytes, *, right: int, ahead: bool) -> StepGraph:
    """The step graph of a locator.

    Args:
        data: The locator's ONNX file: features [B, T, D] -> class_track [B, T, C] and actionness [B, T].
        right: Snippets after a snippet that its tracks depend on. Tracks are settled up to K' - right.
        ahead: Also compute the rows after those, as if the stream ended now.

    Raises:
        NotStepwiseError: It has none, or the file cannot be read.
    """
    try:
        graph = read_graph(data)
        sizes = _write(graph, right, ahead, {}).wanted
        writer = _write(graph, right, ahead, sizes)
    except (Malformed, UnicodeDecodeError, IndexError, StopIteration) as error:
        raise NotStepwiseError(f"a graph of another form ({error})") from None
    (dim,) = graph.inputs["features"][2:]
    (classes,) = writer.values["class_track"].dims[2:]
    encoded = write_graph(
        writer.nodes,
        [*(tensor.raw for tensor in graph.constants.values()), *writer.constants],
        {"features": ["B", "N", dim or "D"], "state": ["B", writer.state]},
        {"class_track": ["B", "M", classes or "C"], "actionness": ["B", "M"], "next_state": ["B", writer.state]},
        graph.frame,
    )
    return StepGraph(encoded, writer.state, right if ahead else 0)


def _write(graph: Graph, right: int, ahead: bool, sizes: Mapping[str, int]) -> Writer:
    shapes = {name: dims for name, dims in graph.inputs.items() if name not in graph.constants}
    if not graph.plain or list(shapes) != ["features"] or len(shapes["features"]) != 3:
        raise NotStepwiseError("other inputs than windows of features, or operators of an engine")
    writer = Writer(ahead=ahead, sizes=sizes)
    writer.fixed.update(graph.constants)
    writer.values["features"] = Rows("features", (None, None, shapes["features"][2]), 1, 0, 0, 0)
    names = {"class_track": 3, "actionness": 2}
    for node in graph.nodes:
        # A result keeps its name unless it is an output, whose rows are aligned at the end.
        write_node(writer, node.renamed({name: f"{name}_rows" for name in names}))
    for name, rank in names.items():
        rows = writer.values.get(f"{name}_rows")
        if rows is None or (len(rows.dims), rows.axis) != (rank, 1) or rows.end or rows.front < -right:
            raise NotStepwiseError(f"an output {name} that does not end with the window, or looks further ahead")
        (rows,) = writer.aligned([rows], -right)
        writer.add("Identity", [rows.name], name=name)
        writer.values[name] = rows
    writer.finish()
    return writer
