"""The catalog of error codes: what the code raises, what docs/reference/errors.toml explains, and the page of both.

python .ci/errors.py            write docs/reference/errors.md
python .ci/errors.py --check    fail if the page is out of date, or the codes of catalog and code differ
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CATALOG = ROOT / "docs" / "reference" / "errors.toml"
PAGE = ROOT / "docs" / "reference" / "errors.md"
FOLDERS = ("kernels", "runtime", "training", "export")

# Calls whose first argument is a code. Methods `error` and `warn` are findings of `punctum data check`.
CLASSES = {"PunctumError", "InputError", "EngineError", "SourceLostError", "Fault", "WrongInput"}
CLASSES |= {"StoreError", "StoreFullError", "StoreDamagedError"}
FINDINGS = {"error", "warn"}

# Codes that are composed: the expression in the source, and its values.
COMPOSED = {
    "name.replace('_', '-')": ("group-items", "workers"),
    "option": ("format", "kind", "engine"),
    "f'{what}-out-of-range'": ("tracks-out-of-range", "scores-out-of-range"),
    "f'{what}-not-finite'": ("tracks-not-finite", "scores-not-finite"),
}


def used_codes(root: Path = ROOT) -> dict[str, list[str]]:
    """Every code that the source can raise or report, with the places (file:line) that do.

    Codes are found as the first argument of errors and findings, as the argument `code` of any function of the module,
    in conditional expressions, and in COMPOSED.
    """
    trees = parsed(root)
    takers = {function: position for tree in trees.values() for function, position in _takers(tree)}
    places: dict[str, list[str]] = {}
    for name, tree in trees.items():
        for code, line in _codes(tree, takers):
            places.setdefault(code, []).append(f"{name}:{line}")
    return places


def called_name(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


@cache
def parsed(root: Path = ROOT) -> dict[str, ast.Module]:
    """The syntax tree of every module, by its path below root."""
    paths = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    return {p.relative_to(root).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in paths}


def _codes(tree: ast.Module, takers: dict[str, int]) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                if argument.arg == "code" and isinstance(default, ast.Constant):
                    yield str(default.value), node.lineno
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "_log":
            continue
        called = called_name(node)
        found = [k.value for k in node.keywords if k.arg == "code"]
        if called in CLASSES or called in {"kind", "complain"} or (called in FINDINGS and len(node.args) >= 3):
            found += node.args[:1]
        elif called in takers and len(node.args) > takers[called]:
            found.append(node.args[takers[called]])
        for expression in found:
            for code in _values(expression):
                yield code, node.lineno


def _takers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Functions with a parameter `code`, and its position in calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [a.arg for a in node.args.args if a.arg not in ("self", "kind")]
            kinds = [ast.unparse(a.annotation) for a in node.args.args if a.arg == "code" and a.annotation]
            if kinds == ["str"] and node.name != "__init__":
                yield node.name, names.index("code")


def _values(expression: ast.expr) -> Iterator[str]:
    if isinstance(expression, ast.Constant):
        if isinstance(expression.value, str) and expression.value:
            yield expression.value
    elif isinstance(expression, ast.IfExp):
        yield from _values(expression.body)
        yield from _values(expression.orelse)
    else:
        yield from COMPOSED.get(ast.unparse(expression), ())


def catalog(path: Path = CATALOG) -> dict[str, dict[str, dict[str, str]]]:
    """Title of an area -> code -> its cause and fix."""
    areas = tomllib.loads(path.read_text(encoding="utf-8"))
    return {area["title"]: area["codes"] for area in areas.values()}


def page() -> str:
    """The text of docs/reference/errors.md."""
    lines = [_HEAD]
    for title, codes in catalog().items():
        lines.append(f"## {title}\n")
        for code in sorted(codes):
            entry = codes[code]
            lines.append(f"(error-{code})=\n**`{code}`**\\\n{entry['cause']}\\\n*Fix:* {entry['fix']}\n")
    return "\n".join(lines)


_HEAD = """\
<!-- Written by .ci/errors.py from errors.toml. Do not edit. -->

# Errors

Every error is one line on standard error. It begins with a code that does not change between versions, so scripts can
rely on it:

```text
error [fps-missing]: gtea counts frames, and the frame rate of S1 is unknown. Next: add `fps` to dataset.json.
```

After the description of the problem, `Required:` says what is missing, `Allowed:` lists the permitted values, and
`Next:` says what to do. In Python the same parts are the attributes `code`, `given`, `required`, `allowed` and
`next_step` of `punctum.runtime.PunctumError`. Messages of the library name Python parameters, such as
`` `max_delay_s` ``; the command line names its own options instead. `punctum data check` reports its findings with the
same codes.
"""


def differences() -> list[str]:
    """What keeps catalog, page and code from agreeing."""
    used = used_codes()
    known = {code for codes in catalog().values() for code in codes}
    found = [f"{code} is not in {CATALOG.name} ({used[code][0]})" for code in sorted(used.keys() - known)]
    found += [f"{code} is in {CATALOG.name}, and nothing raises it" for code in sorted(known - used.keys())]
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        found.append(f"{PAGE.name} is out of date: run python .ci/errors.py")
    return found


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
