"""Code blocks of Markdown pages, and a scratch directory that runs them; README.md here has the conventions."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OWN_MODULE = ("tutorials", "how-to", "reference")  # so that they run beside each other
SHELL = ("console", "bash", "sh")
PYTHON = ("python",)
LIMIT_S = 240
_FENCE = re.compile(r"^(?P<indent>\s*)(?P<mark>`{3,}|~{3,}|:{3,})\s*(?P<language>[^`]*)$")
_COMMENT = re.compile(r"^\s*<!--\s*(?P<key>[a-z-]+):\s*(?P<text>.*?)\s*-->\s*$")
_KEYS = ("skip", "needs", "small", "setup", "exit")


@dataclass
class Block:
    """One fenced block: `language` is the first word after the fence, `comments` the ones on the lines before it."""

    page: Path
    line: int
    language: str
    text: str
    comments: list[tuple[str, str]] = field(default_factory=list)

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def values(self, key: str) -> list[str]:
        """Texts of the comments with this key."""
        return [text for name, text in self.comments if name == key]

    @property
    def runs(self) -> bool:
        return self.language in SHELL + PYTHON and not self.values("skip")

    def source(self) -> str:
        """What is run: commands without prompts and printed output, with the replacements of `small` comments."""
        text = self.text
        if self.language == "console":
            text = "\n".join(_commands(self.text, self.where))
        for replacement in self.values("small"):
            shown, mark, used = replacement.partition(" => ")
            if not mark or shown not in text:
                raise ValueError(
                    f"{self.where}: `small` needs 'shown => used', with a text of the block: {replacement!r}"
                )
            text = text.replace(shown, used)
        return text


def pages() -> list[Path]:
    """README and every page below docs, but for those that `make docs` writes."""
    reference = ROOT / "docs" / "reference"
    generated = {reference / "c.md", *(reference / "cli").glob("*.md")}
    found = [page for page in (ROOT / "docs").rglob("*.md") if page not in generated]
    return sorted([ROOT / "README.md", *found])


def runnable(*folders: str) -> list[Path]:
    """Pages with a block that runs: those in these folders of docs, or with none given all that are in no folder
    which has a module of tests of its own."""
    chosen = [page for page in pages() if any(block.runs for block in blocks(page))]
    apart = [ROOT / "docs" / folder for folder in folders or OWN_MODULE]
    return [page for page in chosen if any(folder in page.parents for folder in apart) == bool(folders)]


def name(page: Path) -> str:
    """For the id of a test."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order. A directive such as `{note}` counts as a block with that language."""
    return list(_blocks(page, page.read_text(encoding="utf-8")))


def _blocks(page: Path, text: str) -> Iterator[Block]:
    comments: list[tuple[str, str]] = []
    inside: Block | None = None
    fence, indent, rows = "", "", []
    for number, row in enumerate(text.splitlines(), 1):
        if inside is not None:
            if row.strip() == fence:
                inside.text = "\n".join(rows)
                yield inside
                inside = None
            else:
                rows.append(row.removeprefix(indent))
            continue
        if comment := _COMMENT.match(row):
            if comment["key"] in _KEYS:
                comments.append((comment["key"], comment["text"]))
        elif opened := _FENCE.match(row):
            if opened["mark"][0] == ":":  # a container: what it holds is read as part of the page
                continue
            words = opened["language"].split()
            inside = Block(page, number, words[0] if words else "", "", comments)
            fence, indent, rows, comments = opened["mark"], opened["indent"], [], []
        elif row.strip():
            comments = [c for c in comments if c[0] == "needs"]
    if inside is not None:
        raise ValueError(f"{inside.where}: the block does not end")


def needs(page: Path) -> list[str]:
    """Materials that the page asks for in its `needs` comments."""
    rows = map(_COMMENT.match, page.read_text(encoding="utf-8").splitlines())
    return [name for row in rows if row and row["key"] == "needs" for name in row["text"].split()]


def _commands(text: str, where: str) -> Iterator[str]:
    """The lines after `$ `, with those that continue them: after a backslash, or after `> `."""
    continues = False
    for row in text.splitlines():
        if row.startswith("$ "):
            yield row[2:]
        elif continues:
            yield row
        elif row.startswith("> "):
            yield row[2:]
        elif not row.startswith("$"):
            continues = False
            continue
        continues = row.endswith("\\")
    if "$ " not in text:
        raise ValueError(f"{where}: a console block has no line that starts with '$ '; call it bash, or add the prompt")


def run_page(page: Path, put: Callable[[str, Path], None], folder: Path) -> None:
    """Run all blocks of a page in `folder`, a new one. put: places a material in it. Raises AssertionError."""
    folder.mkdir()
    for material in needs(page):
        put(material, folder)
    scratch = Scratch(folder)
    try:
        for block in blocks(page):
            if block.runs:
                scratch.run(block)
    finally:
        scratch.close()


class Scratch:
    """A directory in which the blocks of one page run in order. Python blocks share one interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder.parent / f"{folder.name}.state"
        self._state.write_text(f"cd {shlex.quote(str(folder))}\n")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = os.environ | {"PATH": path, "TERM": "dumb", "COLUMNS": "120", "MPLBACKEND": "agg"}
        self._worker: subprocess.Popen[str] | None = None
        self._groups: list[int] = []

    def run(self, block: Block) -> str:
        """Output of the block. Raises AssertionError where it fails."""
        for command in block.values("setup"):
            self._shell(command, f"{block.where} (setup)", 0)
        if block.language in PYTHON:
            return self._python(block)
        wanted = [int(code) for code in block.values("exit")] or [0]
        return self._shell(block.source(), block.where, wanted[0])

    def _shell(self, commands: str, where: str, wanted: int) -> str:
        state = shlex.quote(str(self._state))
        script = (
            f"source {state}\nset -eo pipefail\n"
            f'trap \'{{ export -p; printf "cd %q\\n" "$PWD"; }} > {state}\' EXIT\n{commands}\n'
        )
        log = self.folder.parent / "output"
        with log.open("wb") as output:  # a file: a process left in the background would keep a pipe open
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
            self._groups.append(process.pid)
            try:
                code: int | str = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                code = f"none after {LIMIT_S} s"
        printed = log.read_text(encoding="utf-8", errors="replace")
        assert code == wanted, f"{where}: exit code {code}, expected {wanted}\n{commands}\n--- output\n{printed}"
        return printed

    def _python(self, block: Block) -> str:
        if self._worker is None:
            self._worker = subprocess.Popen(
                [sys.executable, str(Path(__file__).parent / "python_worker.py")],
                cwd=self.folder, env=self._environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            self._groups.append(self._worker.pid)
        assert self._worker.stdin is not None and self._worker.stdout is not None
        self._worker.stdin.write(json.dumps({"name": block.where, "line": block.line, "source": block.source()}) + "\n")
        self._worker.stdin.flush()
        answer = json.loads(self._worker.stdout.readline() or '{"failed": "the interpreter ended", "printed": ""}')
        assert not answer["failed"], f"{block.where}: {answer['failed']}\n--- output\n{answer['printed']}"
        return str(answer["printed"])

    def close(self) -> None:
        """End what blocks left running."""
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self._worker is not None:
            self._worker.communicate()
