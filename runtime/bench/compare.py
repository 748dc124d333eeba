"""Two results of a benchmark, side by side."""

from __future__ import annotations

import math
import shlex
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
        before_spread: Lowest and highest of the repetitions of the first, where it says so.
        after_spread: The same of the second.
    """

    name: str
    unit: str
    before: float
    after: float
    change: float | None
    before_ratio: float | None
    after_ratio: float | None
    before_spread: tuple[float, float] | None = None
    after_spread: tuple[float, float] | None = None

    @property
    def undecided(self) -> bool:
        """Whether the spreads of the two overlap, so that the change may be chance."""
        if self.before_spread is None or self.after_spread is None:
            return False
        return max(self.before_spread[0], self.after_spread[0]) <= min(self.before_spread[1], self.after_spread[1])


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

        rows = [{**asdict(row), "undecided": row.undecided} for row in self.rows]
        comparable = {"schema": "punctum.comparison/1", "absolute_times_comparable": not self.machines}
        return {**comparable, **asdict(self), "rows": rows}


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
            _spread(first[name]),
            _spread(second[name]),
        )
        for name in shared
    )
    notes = []
    if before["name"] != after["name"]:
        notes.append(f"the benchmarks differ: {before['name']}, then {after['name']}")
    if _measured(before["command"]) != _measured(after["command"]):
        notes.append(f"the commands differ: `{before['command']}`, then `{after['command']}`")
    for which, side in (("first", before), ("second", after)):
        cores, load = side["machine"].get("cores"), side["machine"].get("load")
        if isinstance(cores, int | float) and isinstance(load, int | float) and load > _BUSY * max(cores, 1):
            notes.append(f"the machine of the {which} result was busy: load {load:g} on {cores:g} cores")
    return Comparison(
        rows,
        tuple(name for name in first if name not in shared),
        tuple(name for name in second if name not in shared),
        _differences(before["machine"], after["machine"], leave=("load", *_unknown(before, after))),
        _differences(before["versions"], after["versions"]),
        tuple(notes),
    )


def _change(before: float, after: float) -> float | None:
    quotient = after / before if before else math.inf
    return quotient if math.isfinite(quotient) else None


def _unknown(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What results of earlier versions do not say about a machine."""
    return [key for key in ("vectors",) if not (before["machine"].get(key) and after["machine"].get(key))]


def _spread(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """The spread of a row of several repetitions."""
    lowest, highest = row.get("spread") or (None, None)
    return None if lowest is None or highest is None or lowest == highest else (lowest, highest)


def _measured(command: str) -> list[str]:
    """The words of a command line without the options that say where its result goes and what it is compared with."""
    try:
        words = shlex.split(command)
    except ValueError:  # no command of a shell
        return [command]
    takes_value = {"--compare", *(() if words[:1] == ["punctum"] else ("--json",))}  # of scripts, --json names a file
    kept: list[str] = []
    skip = False
    for word in words:
        name = word.partition("=")[0]
        if not skip and name not in ("--compare", "--json"):
            kept.append(word)
        skip = not skip and word in takes_value
    return kept


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], leave: tuple[str, ...] = ()) -> tuple[str, ...]:
    keys = [key for key in dict.fromkeys([*before, *after]) if key not in leave and before.get(key) != after.get(key)]
    return tuple(f"{key}: {before.get(key, 'none')}, then {after.get(key, 'none')}" for key in keys)
