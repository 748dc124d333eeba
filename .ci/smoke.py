"""What an installed punctum must do with the libraries it finds beside it: help, doctor, a video whole and as a stream,
a report.

Run by the interpreter of an environment that has the wheel with `cpu`, `video` and `report`, in an empty folder:

    python smoke.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "numpy",
    "numba",
    "llvmlite",
    "pydantic",
    "typer",
    "click",
    "rich",
    "onnxruntime",
    "av",
    "jinja2",
    "matplotlib",
)
HELP = """
import contextlib, io, sys
from punctum.runtime.cli import invoke
from punctum.runtime.cli._app import build
def text(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = invoke([*words, "--help"])
    if code or "Usage" not in out.getvalue():
        sys.exit(f"punctum {' '.join(words)} --help ended with {code}: {out.getvalue()[:200]}")
    return out.getvalue()
def commands(group, page):  # as typer has them; the page of a group has to show each
    names = list(getattr(group, "commands", {}))
    missing = [name for name in names if name not in page.split()]
    if missing:
        sys.exit(f"a help page leaves out {missing}")
    return names
root = build()
top = commands(root, text())
if len(top) < 12:
    sys.exit(f"too few commands: {top}")
inner = [(name, one) for name in top for one in commands(root.commands[name], text(name))]
if not inner:
    sys.exit("no command of a group was found")
for words in inner:
    text(*words)
print(len(top) + len(inner))
"""


def run(*arguments: str) -> str:
    """A command of this environment; its standard output. Ends the program where the command fails."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=600)
    shown = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    if done.returncode or "Traceback" in done.stderr:
        sys.exit(f"smoke: {' '.join(arguments)[:200]} ended with {done.returncode}\n{shown}")
    return done.stdout


def punctum(*arguments: str) -> str:
    return run("-c", "from punctum.runtime.cli import main; main()", *arguments)


def refused(*arguments: str) -> None:
    """Wrong words end with exit code 2 and without a traceback; an older typer called the command with None instead."""
    done = subprocess.run(
        [sys.executable, "-c", "from punctum.runtime.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode != 2 or "Traceback" in done.stderr:
        sys.exit(f"smoke: punctum {' '.join(arguments)} ended with {done.returncode}\n{done.stderr[-3000:]}")


def finals(text: str) -> list[tuple[str, float, float, float]]:
    events = [json.loads(line) for line in text.splitlines()]
    return sorted((e["label"], e["start"], e["end"], e["score"]) for e in events if e["phase"] == "final")


def same(a: list[tuple[str, float, float, float]], b: list[tuple[str, float, float, float]]) -> bool:
    return [x[0] for x in a] == [x[0] for x in b] and all(
        abs(p - q) <= 1e-4 for x, y in zip(a, b, strict=True) for p, q in zip(x[1:], y[1:], strict=True)
    )


def main() -> None:
    found = {d.metadata["Name"].lower(): d.version for d in metadata.distributions() if d.metadata["Name"]}
    told = ", ".join(f"{name} {found[name]}" for name in LIBRARIES if name in found)
    print(f"Python {sys.version.split()[0]}: {told}", flush=True)
    print(f"  help: {run('-c', HELP).strip()} commands", flush=True)
    for words in (["run"], ["run", "nowhere"], ["convert", "--nosuch"], ["nosuch"], ["demo", "--seconds", "x"]):
        refused(*words)
    record = json.loads(punctum("doctor", "--json"))
    if not record["runs"] or record["sections"].get("Video", {}).get("test clip", "").split(",")[0] != "read":
        sys.exit(f"smoke: doctor finds a fault: {json.dumps(record['sections'])}\n{record['findings']}")
    demo = json.loads(punctum("demo", "--seconds", "15", "--out", "demo", "--json"))
    bundle = run("-c", "from punctum.runtime.bundle.reader import SHIPPED; print(SHIPPED)").strip()
    offline = finals(punctum("run", bundle, demo["video"]))
    live = finals(punctum("run", bundle, demo["video"], "--stream", "--max-delay", "1"))
    if not offline or not same(offline, live):
        sys.exit(f"smoke: offline and stream differ:\n{offline}\n{live}")
    punctum("report", bundle, demo["video"], "--out", "page.html")
    size = Path("page.html").stat().st_size
    print(f"  doctor, demo, {len(offline)} events offline and as a stream, report of {size // 1024} KiB", flush=True)


if __name__ == "__main__":
    main()
