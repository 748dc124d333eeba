"""Which provider runs which node of a session: the proof that a device is used, as data."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..session.engine import Backend

RECORD = "session.record_ep_graph_assignment_info"
# What providers leave to the CPU on purpose: arithmetic on sizes, a few numbers a run. All of these have kernels on
# every GPU provider, so a node of such a kind that works on rows does not stray; one that is missing here may.
SIZES = frozenset(
    (
        *("Shape", "Size", "Gather", "Squeeze", "Unsqueeze", "Concat", "Slice", "Cast", "Reshape", "Identity"),
        *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Min", "Max", "Floor", "Ceil", "ReduceProd", "Range"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Where"),
        *("Constant", "ConstantOfShape", "Expand"),
    )
)


def node_placement(session: Any) -> dict[str, dict[str, int]]:
    """Provider -> operator -> nodes, as the session was partitioned (before the provider fuses nodes of its own).

    Empty where this ONNX Runtime cannot tell, or the session was opened without `RECORD`.
    """
    told = getattr(session, "get_provider_graph_assignment_info", None)
    if told is None:
        return {}
    try:
        parts = told()
    except Exception:  # noqa: BLE001 - raised in many types where nothing was recorded
        return {}
    counts: dict[str, Counter[str]] = {}
    for part in parts:
        counts.setdefault(part.ep_name, Counter()).update(_operator(node) for node in part.get_nodes())
    return {provider: dict(sorted(ops.items())) for provider, ops in sorted(counts.items())}


def strays(placement: dict[str, dict[str, int]]) -> dict[str, int]:
    """Operators on the CPU that are no arithmetic on sizes, with their counts."""
    return {op: n for op, n in placement.get("CPUExecutionProvider", {}).items() if op not in SIZES}


def summary(placement: dict[str, dict[str, int]]) -> dict[str, int]:
    """Provider -> number of nodes."""
    return {provider: sum(ops.values()) for provider, ops in placement.items()}


def placement_counts(backend: Backend) -> dict[str, int]:
    """Provider -> nodes, over all graphs; {} for a backend that cannot tell."""
    told: Any = getattr(backend, "placement", None)
    counts: dict[str, int] = {}
    for graph in (told() if told is not None else {}).values():
        if not isinstance(graph, dict) or not all(isinstance(ops, dict) for ops in graph.values()):
            continue
        for provider, nodes in summary(graph).items():
            nodes = graph[provider].get("layers", nodes)
            counts[provider] = counts.get(provider, 0) + nodes
    return counts


def engine_record(backend: Any) -> dict[str, Any]:
    """What was asked for and what runs, for JSON: requested and actual device, precision, with "auto" the reason."""
    record = {
        "requested": backend.requested,
        "actual": backend.actual,
        "precision": getattr(backend, "precision", "fp32"),
    }
    choice = getattr(backend, "choice", "")
    return {**record, "choice": choice} if choice else record


def _operator(node: Any) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)
