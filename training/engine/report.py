"""The log of a run, one JSON line per record in log.jsonl, and progress on standard error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from punctum.runtime.cli.progress import ProgressBar, say_stage
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import counted, duration


@dataclass(slots=True)
class StageCount:
    """How many stages a run has, and which one runs; shared by the reporters of a run.

    Attributes:
        total: number of stages; 0: not known.
        done: number of stages that are over, including those of earlier calls.
        seconds: estimate for all stages; None: not known yet.
    """

    total: int = 0
    done: int = 0
    seconds: float | None = None

    def text(self) -> str:
        """Which stage begins, and how long all take."""
        if self.total < 2:
            return ""
        whole = "" if self.seconds is None else f", about {duration(self.seconds)} in all"
        return f" (stage {self.done + 1} of {self.total}{whole})"


class Reporter:
    """Appends records to a JSON Lines file and shows progress on standard error: a bar, or lines without a terminal."""

    def __init__(self, log: Path, *, quiet: bool = False) -> None:
        self._log = log
        self._bar: ProgressBar | None = None
        self._visible = not quiet
        self._prefix = ""
        self.stages = StageCount()

    def within(self, name: str) -> Reporter:
        """A reporter for training within a stage: same log and progress, with `name` before the names of its stages."""
        inner = Reporter(self._log, quiet=not self._visible)
        inner._prefix = f"{self._prefix}{name}/"
        inner.stages = self.stages
        return inner

    def rewind(self, stage: str, step: int) -> None:
        """Drop the records of `stage` after `step`, and of later stages: a killed run logged more than it saved."""
        stage = self._prefix + stage
        if not self._log.is_file():
            return
        remaining = []
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                at, name = record.get("step", 0), record.get("stage")
                later = name == stage and at > step
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue  # a line that was being written when the run was killed
            if later:
                break
            remaining.append(line)
        atomic_write(self._log, "".join(line + "\n" for line in remaining))

    def record(self, **fields: Any) -> None:
        """Append one record."""
        if "stage" in fields:
            fields["stage"] = f"{self._prefix}{fields['stage']}"
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")

    def begin(self, title: str, total: int, done: int, *, unit: str = "step") -> None:
        """A stage begins. Where there is no terminal, a line says so at once."""
        title = self._prefix + title
        if self._visible:
            before = f", {done} of them done before" if done else ""
            say_stage(f"{title}: {counted(total, unit)}{before}{self.stages.text()}")
        self._bar = ProgressBar(
            f"{title}{self.stages.text()}", total, done=done, unit=f"{unit}s", visible=self._visible
        )

    def advance(self, note: str) -> None:
        """Advance the bar by one. note: shown beside it."""
        if self._bar is not None:
            self._bar.advance(note=note)

    def end(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
