"""Clips and pictures of events: what the processes of the cameras are asked for, and what came of it."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..store.rows import MediaRow
from ..wire import Header

if TYPE_CHECKING:
    from ...events.event import Event
    from .camera_unit import CameraUnit
    from .child import Child

ANSWER_S = 60.0
MOST_ORDERS = 200  # of one camera; beyond that an event has no clip, which its row says
Kind = Literal["clip", "picture"]
KINDS: tuple[Kind, ...] = ("clip", "picture")


@dataclass(slots=True)
class _Order:
    camera: str
    event: str
    kind: Kind
    message: Header
    due_s: float  # media time of the camera from which it can be cut
    asked: float = 0.0  # monotonic time


class MediaOrders:
    """The orders of all cameras. Used by the control thread alone.

    Args:
        register: Stores what became of a clip or picture. Must not wait for the disk.
        folder: Where their files are.
        refused: Says why no further media of a kind are stored at the moment; empty: they are.
    """

    def __init__(self, register: Callable[[MediaRow], None], folder: Path, refused: Callable[[Kind], str]) -> None:
        self._register_row, self._folder, self._refused = register, folder, refused
        self._orders: dict[int, _Order] = {}
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[float, Callable[[Header], None]]] = {}  # by number: when, what is called

    def order(self, unit: CameraUnit, event: Event) -> None:
        """Ask for the clip and the picture of a final event."""
        media = unit.config.media
        wanted: list[tuple[Kind, Header, float]] = []
        if media.pictures:
            middle = 0.5 * (event.start + event.end)
            wanted.append(("picture", {"at_s": middle, "width": 640}, middle))
        else:
            self._register(unit.name, event.id, "picture", None, 0, event.start, event.end, "pictures are switched off")
        masked = media.mask and bool(unit.config.masks)
        if not media.clips or masked:
            why = "clips of masked cameras are not stored" if masked else "clips are switched off"
            self._register(unit.name, event.id, "clip", None, 0, event.start, event.end, why)
        else:
            begin, end = event.start - media.pre_s, event.end + media.post_s
            wanted.append(("clip", {"start_s": begin, "end_s": end}, end))
        for kind, details, due_s in wanted:
            why = self._refused(kind)
            if not why and sum(order.camera == unit.name for order in self._orders.values()) >= MOST_ORDERS:
                why = "too many clips and pictures of this camera are waiting"
            if why:
                self._register(unit.name, event.id, kind, None, 0, event.start, event.end, why)
                continue
            path = self._path(unit.name, event, kind)
            number = next(self._numbers)
            message = {"type": kind, "request": number, "path": str(path), **details}
            self._orders[number] = _Order(unit.name, event.id, kind, message, due_s)

    def refuse(self, camera: str, event: Event) -> None:
        """There is neither clip nor picture of the final event of a camera that was removed."""
        for kind in KINDS:
            self._register(camera, event.id, kind, None, 0, event.start, event.end, _absence(None))

    def ask(self, child: Child, message: Header, answered: Callable[[Header], None]) -> None:
        """Ask a process for something that belongs to no event, such as a live picture or the latest tracks.

        Args:
            child: The process.
            message: What is asked for.
            answered: Called with the answer in the control thread, unless there is none.
        """
        number = next(self._numbers)
        self._asked[number] = (time.monotonic(), answered)
        child.send({**message, "request": number})

    def tick(self, units: dict[str, CameraUnit]) -> None:
        """Send what can be cut now, and give up what can't be had."""
        now = time.monotonic()
        self._asked = {n: asked for n, asked in self._asked.items() if now - asked[0] < ANSWER_S}
        for number, order in list(self._orders.items()):
            unit = units.get(order.camera)
            if unit is None or unit.child is None:
                self._give_up(number, _absence(unit))
            elif not order.asked and (unit.last_at >= order.due_s or unit.state == "ended"):
                order.asked = now
                Path(order.message["path"]).parent.mkdir(parents=True, exist_ok=True)
                unit.child.send(order.message)
            elif order.asked and now - order.asked > ANSWER_S:
                self._give_up(number, f"no answer within {ANSWER_S:g} s")

    def answered(self, header: Header) -> None:
        """The process of a camera has answered."""
        if asked := self._asked.pop(int(header.get("request", 0)), None):
            asked[1](header)
            return
        order = self._orders.pop(int(header.get("request", 0)), None)
        if order is None:
            return
        # Streams that MP4 cannot hold come in a file with another ending.
        path = Path(str(header.get("path") or order.message["path"]))
        if header.get("ok") and path.is_file():
            begin, end = float(header.get("start_s") or 0.0), float(header.get("end_s") or 0.0)
            why = str(header.get("why") or "")  # why it is shorter than it should be
            self._register(order.camera, order.event, order.kind, path, path.stat().st_size, begin, end, why)
        else:
            why = str(header.get("why") or "its file is missing")
            self._register(order.camera, order.event, order.kind, None, 0, 0.0, 0.0, why)

    def camera_ended(self, camera: str, unit: CameraUnit | None) -> None:
        """The process of a camera has ended: nothing that it was asked for will come. unit: None where removed."""
        for number in [n for n, order in self._orders.items() if order.camera == camera]:
            self._give_up(number, _absence(unit))

    @property
    def waiting(self) -> int:
        return len(self._orders)

    def _give_up(self, number: int, why: str) -> None:
        order = self._orders.pop(number)
        self._register(order.camera, order.event, order.kind, None, 0, 0.0, 0.0, why)

    def _register(
        self,
        camera: str,
        event: str,
        kind: Kind,
        path: Path | None,
        size: int,
        start_s: float,
        end_s: float,
        why: str,
    ) -> None:
        where = None if path is None else str(path)
        self._register_row(MediaRow(camera, event, kind, where, size, start_s, end_s, why, time.time()))

    def _path(self, camera: str, event: Event, kind: Kind) -> Path:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        # Event ids hold slashes and names that others have chosen.
        name = hashlib.sha256(event.id.encode()).hexdigest()[:24]
        return self._folder / camera / day / f"{name}.{'mp4' if kind == 'clip' else 'jpg'}"


def _absence(unit: CameraUnit | None) -> str:
    """Why a camera has no video, which its process keeps in memory."""
    state = "removed" if unit is None else unit.state
    reasons = {
        "removed": "the camera was removed or changed before it was made",
        "ended": "the recording had ended before the event was final, and its video is kept only while it is read",
        "scheduled": "the schedule of the camera ended before it was made",
        "off": "the camera was disabled before it was made",
    }
    return reasons.get(state, "the process of the camera ended, or was not running, before it was made")
