"""The page of measured results: docs/benchmarks/measured.md, written from the files in docs/benchmarks/results.

python .ci/benchmarks.py            write the page
python .ci/benchmarks.py --check    fail if the page is out of date, or a file is not a result
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from punctum.runtime.bench import read_result
from punctum.runtime.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "benchmarks" / "results"
PAGE = RESULTS.parent / "measured.md"

_HEAD = """\
<!-- Written by .ci/benchmarks.py from results/*.json. Do not edit. -->

# Measured results

Each section is one file of `docs/benchmarks/results`, which a command has written: with the command, the commit,
the machine and the versions. Ratios compare values of the same run. To compare your machine with a file, run the
command with `--json FILE`, then `punctum bench --compare docs/benchmarks/results/NAME.json --compare FILE`; where
machines or versions differ, it says so, because absolute times are then not comparable.
"""


def page() -> str:
    """The text of the page. Raises InputError for a file that is not a result."""
    return "\n".join([_HEAD, *(_section(file.name, read_result(file)) for file in sorted(RESULTS.glob("*.json")))])


def _section(name: str, result: dict[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    vectors = f" ({machine['vectors']})" if machine.get("vectors") else ""  # results of earlier versions lack them
    spreads = any(row.get("spread") for row in result["rows"])  # no column where there were no repetitions
    told = ", ".join(f"{key} {value}" for key, value in versions.items() if key not in ("git", "punctum"))
    lines = [
        f"## {name.removesuffix('.json')}\n",
        "<!-- skip: measures for minutes, and some need data sets that are not part of the repository -->\n"
        f"```bash\n{result['command']}\n```\n",
        f"{machine['cpu']}{vectors}, {machine['cores']:g} cores, load {_number(machine['load'])} at the end, "
        f"{machine['system']}; {result['measured'][:10]}, commit {versions.get('git') or 'unknown'}; {told}.\n",
        f"| | value | {'spread | ' * spreads}ratio |",
        "|---|---|---|---|" if spreads else "|---|---|---|",
    ]
    for row in result["rows"]:
        spread = " to ".join(map(_number, row.get("spread") or ())) + " | " if spreads else ""
        ratio = "" if row.get("ratio") is None else f"{_number(row['ratio'])} ({row['baseline']})"
        value = f"{_number(row['value'])} {row['unit']}".strip()
        lines.append(f"| {row['name'].replace('|', '/')} | {value} | {spread}{ratio} |")
    lines += [f"\nNot measured: {what}: {why}." for what, why in result.get("skipped", {}).items()]
    return "\n".join([*lines, ""])


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def differences() -> list[str]:
    """What keeps page and files from agreeing."""
    try:
        wanted = page()
    except InputError as error:
        return [str(error)]
    present = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    return [] if present == wanted else [f"{PAGE.name} is out of date: run python .ci/benchmarks.py"]


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    if "--check" not in arguments:
        PAGE.write_text(page(), encoding="utf-8")
    found = differences()
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
