"""Writing the bundle of a round, in a process of its own, and how to use it."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..bundle.writer import is_bundle_folder
from ..text.display import as_utf8
from .child import EXPORT_NEEDS, Child, missing

BUNDLE = "bundle"


class Exports:
    """One export at a time.

    Args:
        folder: What is labeled; the bundle is written into it.
        work: The learning folder.
        start: Starts a process.
        changed: Called when something has changed for pages.
        clock: Monotonic clock.
    """

    def __init__(
        self,
        folder: Path,
        work: Path,
        *,
        start: Callable[..., Child],
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._work, self._start, self._changed = folder.resolve(), work, start, changed
        self._clock = clock
        self._guard = threading.RLock()
        self._child: Child | None = None
        self._result: dict[str, Any] = {}
        self._min_score, self._round, self._began = "", 0, 0.0

    @property
    def place(self) -> Path:
        """Where the bundle is written."""
        return self._folder / BUNDLE

    def status(self) -> dict[str, Any]:
        """For pages. commands: none as long as there is no bundle."""
        with self._guard:
            exporting, place = self._child is not None, as_utf8(str(self.place))
            return {
                "exported": dict(self._result),
                "exporting": exporting,
                "exporting_s": round(self._clock() - self._began, 1) if exporting else 0.0,
                "bundle": place,
                "commands": commands(place) if (self.place / "manifest.json").is_file() else [],
            }

    def begin(self, run: str, number: int, min_score: float, *, chosen: bool = False) -> str:
        """Export a run folder. Returns why it cannot be; empty if it can, or is under way.

        Args:
            run: Name of the run folder.
            number: Number of its round.
            min_score: Default minimum score of the bundle.
            chosen: Whether a person has chosen it, in place of that of the run.
        """
        with self._guard:
            if self._child is not None:
                return ""
            if lacks := missing(EXPORT_NEEDS):
                return f"Exporting needs libraries that are not installed: pip install 'punctum[{lacks}]'"
            if self.place.is_dir() and any(self.place.iterdir()) and not is_bundle_folder(self.place):
                return f"{as_utf8(str(self.place))} contains other files: move them away, then export again"
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", self._folder.name).strip("-._")
            request: dict[str, Any] = {
                "job": "export",
                "work": str(self._work.resolve()),
                "run": run,
                "out": str(self.place),
                "name": name or "bundle",
            }
            if chosen:
                request["min_score"] = min_score
            self._result, self._min_score, self._round, self._began = {}, f"{min_score:.2f}", number, self._clock()
            try:
                self._child = self._start(
                    request, self._work / "export.log", on_message=self._receive, on_exit=self._exited
                )
            except OSError as error:
                return f"Exporting cannot be started: {as_utf8(str(error))}"
        return ""

    def close(self) -> None:
        """End the process. A bundle that is not complete does not appear."""
        with self._guard:
            child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _receive(self, message: dict[str, Any]) -> None:
        with self._guard:
            if "bundle" in message:
                self._result = {"folder": str(message["bundle"]), "id": str(message.get("id", ""))}
                self._result |= {"min_score": self._min_score, "round": self._round}
            elif "error" in message:
                self._result = {"error": str(message["error"].get("text", ""))}

    def _exited(self, code: int) -> None:
        with self._guard:
            self._child = None
            if code and "error" not in self._result:
                self._result = {"error": f"Exporting broke off. Details: {as_utf8(str(self._work / 'export.log'))}"}
        self._changed()


def commands(bundle: str) -> list[str]:
    """How to run a bundle on a file, and on a camera."""
    folder = shlex.quote(bundle)
    return [
        f"punctum run {folder} VIDEO.mp4",
        f"punctum run {folder} rtsp://CAMERA/stream --stream --max-delay 1",
        f"punctum run {folder} camera:/dev/video0 --stream --max-delay 1",
    ]
