"""Live pictures: each camera is asked at most once a second, however many clients want its picture."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ...errors import PunctumError

Picture = tuple[bytes, str]
_THREADS = 8
_MOST = 8 << 20


class LivePictures:
    """Asks cameras for pictures, and keeps the latest for a second.

    Args:
        request: Blocks until the camera has sent a JPEG; None: it has none.
        seconds: For which a picture, or that there is none, is given out again.
    """

    def __init__(self, request: Callable[[str], bytes | None], seconds: float) -> None:
        self._request, self._seconds = request, seconds
        self._kept: dict[str, tuple[float, asyncio.Future[Picture | None]]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "live-picture")  # slow cameras must not hold up other requests

    async def get(self, camera: str) -> Picture | None:
        """The picture and its ETag; None: there is none."""
        now = time.monotonic()
        asked, future = self._kept.get(camera, (0.0, None))
        if future is None or (future.done() and now >= asked + self._seconds):
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._threads, self._take, camera)
            for other in [name for name, (at, old) in self._kept.items() if old.done() and now > at + 60]:
                del self._kept[other]
            self._kept[camera] = (now, future)
        return await asyncio.shield(future)

    def _take(self, camera: str) -> Picture | None:
        try:
            jpeg = self._request(camera)
        except (PunctumError, OSError):
            return None
        if jpeg is None or not jpeg or len(jpeg) > _MOST:
            return None
        return jpeg, f'"{hashlib.sha256(jpeg).hexdigest()[:32]}"'

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
