"""Two results of a benchmark, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BUSY = 0.5  # load for each core above which a machine counts as busy


@dataclass(frozen=True, slots=True)
class Compared:
    """A row that both results have.

    Attributes:
        name: What was measured.
        unit: Its unit.
        before: Value in the first result.
        after: Value in the second.
        change: after / before; None where before is 0 or the quotient is too large for float64.
        before_ratio: Ratio within the first run, where it has one.
        after_ratio: Ratio within the second.
    """

    name: str
    unit: str
    before: float
    after: float
    change: float | None
    before_ratio: float | None
    after_ratio: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two results.

    Attributes:
        rows: Rows with the same name and unit in both.
        only_before: Names of the others in the first.
        only_after: Names of the others in the second.
        machines: How the machines differ, in sentences.
        versions: How the versions differ, in sentences.
        notes: What else limits the comparison.
    """

    rows: tuple[Compared, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    machines: tuple[str, ...]
    versions: tuple[str, ...]
    notes: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """For JSON."""
        from dataclasses import asdict

        return {"schema": "punctum.comparison/1", "absolute_times_comparable": not self.machines, **asdict(self)}


def compare_results(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare two results of `read_result` or `result_of`."""
    first, second = ({row["name"]: row for row in side["rows"]} for side in (before, after))
    shared = [name for name in first if name in second and first[name]["unit"] == second[name]["unit"]]
    rows = tuple(
        Compared(
            name,
            first[name]["unit"],
            first[name]["value"],
            second[name]["value"],
            _change(first[name]["value"], second[name]["value"]),
            first[name].get("ratio"),
            second[name].get("ratio"),
        )
        for name in shared
    )
    notes = []
    if before["name"] != after["name"]:
        notes.append(f"the benchmarks differ: {before['name']}, then {after['name']}")
    if before["command"] != after["command"]:
        notes.append(f"the commands differ: `{before['command']}`, then `{after['command']}`")
    for which, side in (("first", before), ("second", after)):
        cores, load = side["machine"].get("cores"), side["machine"].get("load")
        if isinstance(cores, int | float) and isinstance(load, int | float) and load > _BUSY * max(cores, 1):
            notes.append(f"the machine of the {which} result was busy: load {load:g} on {cores:g} cores")
    return Comparison(
        rows,
        tuple(name for name in first if name not in shared),
        tuple(name for name in second if name not in shared),
        _differences(before["machine"], after["machine"], leave=("load",)),
        _differences(before["versions"], after["versions"]),
        tuple(notes),
    )


def _change(before: float, after: float) -> float | None:
    quotient = after / before if before else math.inf
    return quotient if math.isfinite(quotient) else None


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], leave: tuple[str, ...] = ()) -> tuple[str, ...]:
    keys = [key for key in dict.fromkeys([*before, *after]) if key not in leave and before.get(key) != after.get(key)]
    return tuple(f"{key}: {before.get(key, 'none')}, then {after.get(key, 'none')}" for key in keys)
