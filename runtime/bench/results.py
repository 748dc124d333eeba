"""Results of benchmarks in one form, which `punctum bench` and the scripts in `benchmarks/` write and read.

A result is a JSON object: what was measured, the command, the machine, the versions, and rows with a value each.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.atomic import atomic_write
from ..files.regular import read_regular
from ..text.display import shown

SCHEMA = "punctum.benchmark/1"
_LIBRARIES = ("numpy", "numba", "onnxruntime", "onnxruntime-gpu", "tensorrt", "torch", "av")
_LARGEST = 64 << 20
_NEXT = "give a file that `punctum bench --json` or a script in benchmarks/ with --json has written"


@dataclass(frozen=True, slots=True)
class Row:
    """One number.

    Attributes:
        name: What was measured; unique in a result.
        value: The number; NaN is not allowed.
        unit: Its unit, such as "ms", "MiB", "x", "".
        spread: Lowest and highest of the repetitions, where there were several.
        ratio: The value relative to another one of the same run, such as how many times as fast a kernel is as its
            twin. Ratios can be compared between machines, values in seconds cannot.
        baseline: What `ratio` relates to.
    """

    name: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None
    ratio: float | None = None
    baseline: str = ""


def row_of(name: str, values: Sequence[float], unit: str, *, ratio: float | None = None, baseline: str = "") -> Row:
    """The median of repetitions with their spread."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    value = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Row(name, value, unit, (ordered[0], ordered[-1]), ratio, baseline)


def result_of(
    name: str,
    rows: Sequence[Row],
    *,
    command: str,
    revision: str = "",
    details: Mapping[str, Any] | None = None,
    skipped: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A result for JSON.

    Args:
        name: Name of the benchmark, such as "kernels".
        rows: The numbers.
        command: The command line that measured them.
        revision: The git commit, where it is known.
        details: Whatever else the benchmark tells; not compared.
        skipped: What was not measured, and why.
    """
    return {
        "schema": SCHEMA,
        "name": name,
        "command": command,
        "measured": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine(),
        "versions": versions(revision),
        "rows": [asdict(row) for row in rows],
        "skipped": dict(skipped or {}),
        "details": _finite(dict(details or {})),
    }


def _finite(value: Any) -> Any:
    """The same with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def machine() -> dict[str, Any]:
    """The machine, without host and user name, because results are shared."""
    from ..machine.cores import usable_cores
    from ..machine.vectors import vector_instructions
    from ..report.facts import machine_facts

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": str(machine_facts()["Machine"].get("processor", platform.machine())),
        "vectors": vector_instructions(),
        "cores": usable_cores(),
        "load": None if load is None else round(load, 2),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def versions(revision: str = "") -> dict[str, str]:
    """Versions of what takes part in a measurement. `kernels` is the form that runs, or that none does."""
    from punctum import kernels

    from .._version import __version__

    found = {"punctum": __version__, "python": platform.python_version()}
    if revision:
        found["git"] = revision
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    try:
        form = kernels.form()
        found["kernels"] = f"{form.name} {form.level}".strip()
    except kernels.KernelsUnavailableError:
        found["kernels"] = "none"
    return found


def write_result(path: str | Path, result: Mapping[str, Any]) -> None:
    """Write a result of `result_of`; a file that is there is replaced as a whole.

    Raises:
        PunctumError: The file cannot be written.
    """
    atomic_write(path, json.dumps(result, indent=1, allow_nan=False) + "\n")


def read_result(path: str | Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        InputError: The file cannot be read, or is no result of this form.
    """
    name = shown(path)
    try:
        data = read_regular(Path(path), _LARGEST + 1)
        if len(data) > _LARGEST:
            raise InputError("benchmark-result", f"{name} has more than 64 MiB", required="a result", next_step=_NEXT)
        result = json.loads(data)
    except OSError as error:
        why = shown(error.strerror or error)
        raise InputError("benchmark-result", f"{name} cannot be read ({why})", next_step=_NEXT) from None
    except (ValueError, RecursionError):
        raise InputError("benchmark-result", f"{name} is not JSON", required="a result", next_step=_NEXT) from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        schema = result.get("schema") if isinstance(result, dict) else None
        given = f"{name} is not a result of a benchmark" + (f" (schema {shown(schema)!r})" if schema else "")
        raise InputError("benchmark-result", given, required=f"schema {SCHEMA}", next_step=_NEXT)
    if wrong := _wrong(result):
        raise InputError("benchmark-result", f"{name}: {wrong}", required=f"schema {SCHEMA}", next_step=_NEXT)
    return result


def _wrong(result: dict[str, Any]) -> str:
    """What keeps an object with the right schema from being a result; "" if nothing does."""
    for key, kind in (("name", str), ("command", str), ("machine", dict), ("versions", dict), ("rows", list)):
        if not isinstance(result.get(key), kind):
            return f"`{key}` is missing or of another type"
    for key in ("cores", "load"):
        if not (result["machine"].get(key) is None or _number(result["machine"][key])):
            return f"`machine.{key}` is no number"
    names = set()
    for at, row in enumerate(result["rows"]):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not isinstance(row.get("unit"), str):
            return f"row {at} has no name or unit"
        if not _number(row.get("value")) or not (row.get("ratio") is None or _number(row["ratio"])):
            return f"row {at} has no finite value"
        if not (row.get("spread") is None or _pair(row["spread"])):
            return f"row {at} has a spread that is not two finite numbers"
        if row["name"] in names:
            return f"two rows have the name {shown(row['name'])!r}"
        names.add(row["name"])
    return ""


def _pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_number, value))


def _number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond float64
        return False
