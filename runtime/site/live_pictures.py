"""Live pictures of cameras, as their processes make them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .supervisor.supervisor import Supervisor

ANSWER_S = 5.0
WIDTH = 640


def live_picture(supervisor: Supervisor, folder: Path, camera: str) -> bytes | None:
    """A JPEG of what a camera sees now. Callers limit how often they ask; see `api.live`.

    Args:
        supervisor: Reaches the process of the camera.
        folder: Where that puts the picture.
        camera: Name of the camera; one request for it at a time.

    Returns:
        None if there is none within a few seconds.
    """
    path = folder / f"{camera}.jpg"
    answer = threading.Event()

    def send() -> bool:
        unit = supervisor.units.cameras.get(camera)
        if unit is None or unit.child is None or unit.state != "running":
            return False
        folder.mkdir(parents=True, exist_ok=True)
        message = {"type": "live_picture", "path": str(path), "width": WIDTH}
        supervisor.units.media.ask(unit.child, message, lambda header: answer.set())
        return True

    if not supervisor.call(send) or not answer.wait(ANSWER_S):
        return None
    try:
        data = path.read_bytes()
        path.unlink()
    except OSError:
        return None
    return data
