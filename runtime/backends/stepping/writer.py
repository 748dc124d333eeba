"""A step graph as it is written: values with one row for each snippet, and the state from which earlier rows come."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from .graph import Node, Tensor, encode_axis, encode_integers, encode_node

END = 2**63 - 1  # of a slice: up to the last row
MOST_STATE = 1 << 24  # values of one stream


class NotStepwiseError(ValueError):
    """The locator has no step graph, and why."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A value with one row for each snippet; `rewrite` explains which rows a run computes.

    Attributes:
        name: In the step graph.
        dims: None for sizes that vary: the batch and the rows.
        axis: Of the rows.
        front: Rows from K + front on are computed; those up to K' + front are settled.
        end: In the window of a stream that has K' snippets, the value has K' + end rows.
        ahead: Rows computed after the settled ones.
    """

    name: str
    dims: tuple[int | None, ...]
    axis: int
    front: int
    end: int
    ahead: int


class Writer:
    """Collects the nodes, the constants and the state of a step graph.

    Attributes:
        ahead: Also compute the rows that are not settled.
        values: The values with rows, by their name in the locator.
        fixed: The constants, by name; None where only the engine knows them.
        lengths: Numbers computed from the length of the window, by name: what they are more than it.
        again: Values that are cheaper to compute for more rows than to keep: the name of such a longer value, by name.
        wanted: Most rows of each value that were asked for.
        state: Values in the state so far.
    """

    def __init__(self, *, ahead: bool, sizes: Mapping[str, int]) -> None:
        """An empty graph. sizes: `wanted` of an earlier writer, so that the state holds no row twice."""
        self.ahead, self._sizes = ahead, sizes
        self.values: dict[str, Rows] = {}
        self.fixed: dict[str, Tensor | None] = {}
        self.lengths: dict[str, int] = {}
        self.again: dict[str, Callable[[int], str]] = {}
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []
        self.wanted: dict[str, int] = {}
        self.state = 0
        self._joined: dict[str, tuple[str, int]] = {}
        self._longer: dict[tuple[str, int], str] = {}
        self._next: list[str] = []
        self._integers: dict[tuple[int, ...], str] = {}
        self._count = 0

    def integers(self, *values: int) -> str:
        """The name of a constant int64 [n]."""
        if values not in self._integers:
            self._integers[values] = name = f"step_c{len(self._integers)}"
            self.constants.append(encode_integers(name, values))
        return self._integers[values]

    def add(self, op: str, inputs: Sequence[str], attributes: Mapping[str, bytes] | None = None, name: str = "") -> str:
        """Add a node with one result; returns its name."""
        self._count += 1
        name = name or f"step_{self._count}"
        self.nodes.append(encode_node(op, inputs, [name], attributes or {}))
        return name

    def repeat(
        self,
        node: Node,
        inputs: Sequence[str],
        changes: Mapping[str, Sequence[int]] | None = None,
        *,
        fresh: bool = False,
    ) -> list[str]:
        """Add a node of the locator on other inputs; returns the names of its results, which are new if `fresh`."""
        names = list(node.outputs)
        if fresh:
            self._count += 1
            names = [f"{name}_{self._count}" for name in names]
        self.nodes.append(node.encoded(inputs, names, changes or {}))
        return names

    def cut(self, name: str, axis: int, start: int, stop: int = END) -> str:
        """Rows `start` to `stop` along an axis."""
        return self.add("Slice", [name, self.integers(start), self.integers(stop), self.integers(axis)])

    def earlier(self, rows: Rows, count: int) -> Rows:
        """The value with `count` more rows in front."""
        if count == 0:
            return rows
        key = rows.name, count
        if key not in self._longer:
            compute = self.again.get(rows.name)
            self._longer[key] = self._kept(rows, count) if compute is None else compute(count)
        return replace(rows, name=self._longer[key], front=rows.front - count, ahead=rows.ahead + count)

    def aligned(self, values: Sequence[Rows], front: int | None = None) -> list[Rows]:
        """Values that are combined row by row, each with the rows from `front` on, by default those that all have."""
        front = min(value.front for value in values) if front is None else front
        if len({rows.end for rows in values}) > 1:
            raise NotStepwiseError("values of different lengths are combined")
        found = [self.earlier(value, value.front - front) for value in values]
        if self.ahead:
            return found
        # What one value knows of later rows is of no use to the others.
        return [
            replace(rows, name=self.cut(rows.name, rows.axis, 0, -rows.ahead), ahead=0) if rows.ahead else rows
            for rows in found
        ]

    def finish(self) -> None:
        """Join the next state."""
        if not 0 < self.state <= MOST_STATE:
            raise NotStepwiseError(f"a state of {self.state} values")
        self.add("Concat", self._next, encode_axis(1), name="next_state")

    def _kept(self, rows: Rows, count: int) -> str:
        """The name of the value with earlier rows out of the state, into which its last settled rows go."""
        self.wanted[rows.name] = max(self.wanted.get(rows.name, 0), count)
        if rows.name not in self._joined:
            size = max(self._sizes.get(rows.name, 0), count)
            dims = [size if k == rows.axis else dim or 0 for k, dim in enumerate(rows.dims)][1:]
            values = math.prod(dims)
            if rows.axis == 0 or not values:
                raise NotStepwiseError(f"the size of {rows.name} is not known")
            piece = self.cut("state", 1, self.state, self.state + values)
            piece = self.add("Reshape", [piece, self.integers(0, *dims)])
            joined = self.add("Concat", [piece, rows.name], encode_axis(rows.axis))
            last = -rows.ahead if rows.ahead else END
            keep = self.cut(joined, rows.axis, -(size + rows.ahead), last)
            self._next.append(self.add("Reshape", [keep, self.integers(0, values)]))
            self._joined[rows.name] = joined, size
            self.state += values
        joined, size = self._joined[rows.name]
        return joined if size == count else self.cut(joined, rows.axis, size - count)
