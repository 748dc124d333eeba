"""What a run tells: one JSON line per record in log.jsonl, and a progress bar where someone watches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from punctum.runtime.cli.progress import ProgressBar
from punctum.runtime.files.atomic import atomic_write


class Reporter:
    """Appends records to a JSON Lines file; draws a bar on stderr if that is a terminal."""

    def __init__(self, log: Path, *, quiet: bool = False) -> None:
        self._log = log
        self._bar: ProgressBar | None = None
        self._visible = not quiet

    def rewind(self, stage: str, step: int) -> None:
        """Forget the records of `stage` after `step` (a killed run logged more than it saved) and its later stages."""
        if not self._log.is_file():
            return
        kept = []
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                at, name = record.get("step", 0), record.get("stage")
                later = name == stage and at > step
            except (ValueError, TypeError, AttributeError, RecursionError):
                continue  # the line that was being written when the run was killed
            if later:
                break
            kept.append(line)
        atomic_write(self._log, "".join(line + "\n" for line in kept))

    def record(self, **fields: Any) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")

    def begin(self, title: str, total: int, done: int) -> None:
        self._bar = ProgressBar(title, total, done=done, visible=self._visible)

    def advance(self, note: str) -> None:
        if self._bar is not None:
            self._bar.advance(note=note)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
