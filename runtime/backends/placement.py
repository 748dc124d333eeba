"""Which provider runs which node of a session: evidence, as data, that a device is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..session.engine import Backend, Placement

RECORD = "session.record_ep_graph_assignment_info"
# Operators that providers leave to the CPU on purpose: arithmetic on sizes, a few numbers per run. Every GPU provider
# has kernels for all of them, so a node of this kind that works on rows stays on the GPU.
SIZE_OPERATORS = frozenset(
    (
        *("Shape", "Size", "Gather", "Squeeze", "Unsqueeze", "Concat", "Slice", "Cast", "Reshape", "Identity"),
        *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Min", "Max", "Floor", "Ceil", "ReduceProd", "Range"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Where"),
        *("Constant", "ConstantOfShape", "Expand"),
    )
)


class _Node(Protocol):
    """A node of a graph, as ONNX Runtime reports it."""

    domain: str
    op_type: str


class _Part(Protocol):
    """The nodes of a graph that one provider runs."""

    ep_name: str

    def get_nodes(self) -> Sequence[_Node]: ...


def session_placement(session: object) -> dict[str, dict[str, int]]:
    """Provider -> operator -> number of nodes, as the session was partitioned (before the provider fuses nodes).

    Empty where this ONNX Runtime does not report it, or where the session was opened without `RECORD`.
    """
    report: Callable[[], Sequence[_Part]] | None = getattr(session, "get_provider_graph_assignment_info", None)
    if report is None:
        return {}
    try:
        parts = report()
    except Exception:  # noqa: BLE001 - raised in many types where nothing was recorded
        return {}
    counts: dict[str, Counter[str]] = {}
    for part in parts:
        counts.setdefault(part.ep_name, Counter()).update(_operator(node) for node in part.get_nodes())
    return {provider: dict(sorted(ops.items())) for provider, ops in sorted(counts.items())}


def fallback_nodes(placement: dict[str, dict[str, int]]) -> dict[str, int]:
    """Operators on the CPU that are not arithmetic on sizes, with their counts."""
    return {op: n for op, n in placement.get("CPUExecutionProvider", {}).items() if op not in SIZE_OPERATORS}


def placement_counts(backend: Backend) -> dict[str, int]:
    """Provider -> number of nodes over all graphs; {} for a backend that does not report its placement."""
    report: Callable[[], Placement] | None = getattr(backend, "placement", None)
    counts: dict[str, int] = {}
    for graph in (report() if report is not None else {}).values():
        if not isinstance(graph, dict) or not all(isinstance(ops, dict) for ops in graph.values()):
            continue
        for provider, operators in graph.items():
            nodes = operators.get("layers", sum(operators.values()))
            counts[provider] = counts.get(provider, 0) + nodes
    return counts


def engine_record(backend: Backend) -> dict[str, str]:
    """Requested and actual device, precision, and for "auto" the reason for the choice, as data for JSON."""
    record = {
        "requested": backend.requested,
        "actual": backend.actual,
        "precision": getattr(backend, "precision", "fp32"),
    }
    choice = getattr(backend, "choice", "")
    return {**record, "choice": choice} if choice else record


def _operator(node: _Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)
