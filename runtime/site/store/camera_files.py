"""What is remembered of each camera, once more in files: a database that is damaged must not take it along.

Without it a recording that has ended would be read again, under other ids of events, and a live camera would not know
how long it was away.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ...errors import PunctumError
from ...files.atomic import atomic_write

_log = logging.getLogger(__name__)


class CameraFiles:
    """One file for each camera.

    Args:
        folder: Where they are; made if necessary.

    Attributes:
        failed: Cameras whose files could not be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.failed: set[str] = set()

    def read(self, camera: str) -> dict[str, Any]:
        """What `write` stored; empty if there is nothing that can be read."""
        try:
            found = json.loads(self._path(camera).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, camera: str, state: dict[str, Any]) -> None:
        """Replace the file if the state differs. If that fails, the state is still in the database."""
        if self.read(camera) == state:
            self.failed.discard(camera)
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic_write(self._path(camera), json.dumps(state) + "\n")
        except (OSError, PunctumError) as error:
            if camera not in self.failed:
                _log.warning("the state of camera %s is in the database only (%s); trying again", camera, error)
            self.failed.add(camera)
        else:
            self.failed.discard(camera)

    def _path(self, camera: str) -> Path:
        return self._folder / f"{camera}.json"
