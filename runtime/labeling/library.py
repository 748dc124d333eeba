"""The videos of a folder as pages see them, and the work on them in the background: conversion, thumbnails, motion."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PunctumError
from ..files.regular import special_kind
from ..text.display import as_utf8
from .media import Playback, playback, video_id
from .overview import Overview, look, new_overview
from .proxy import Stopped, make_proxy

_log = logging.getLogger(__name__)
_KEPT = 60  # overviews in memory; about a megabyte each
_FORMAT = 2  # of converted files
_SOON, _SOME_TIME = 0, 1
Notify = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Video:
    """A video. state: new, direct, waiting, converting, ready or failed; why: see `Playback`, or what failed."""

    id: str
    name: str
    path: Path
    state: str = "new"
    why: str = ""
    duration_s: float = 0.0
    rate: float = 0.0
    kind: str = ""
    done_s: float = 0.0
    proxy: Path | None = None
    facts: str = ""
    busy: threading.Lock = field(default_factory=threading.Lock)
    """Held while the file is examined: a drive that does not answer must not hold up the other videos."""

    def to_record(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "why": self.why,
            "duration_s": round(self.duration_s, 3),
            "rate": round(self.rate, 4),
            "done_s": round(self.done_s, 1),
            "version": self.facts[-12:],  # of the file, so that browsers keep no thumbnails of another one
        }

    @property
    def playable(self) -> Path | None:
        """The file that browsers get; None if there is none yet."""
        if self.state == "direct":
            return self.path
        return self.proxy if self.state == "ready" else None


class Library:
    """The videos of a folder. Background threads convert what browsers do not play, and look at what is opened.

    Args:
        paths: The videos, with distinct stems.
        work: Folder for converted videos, which can be removed at any time.
        notify: Called from any thread with an event for pages.
    """

    def __init__(self, paths: list[Path], work: Path, *, notify: Notify) -> None:
        self.videos = {video.id: video for video in (Video(video_id(p), as_utf8(p.stem), p) for p in paths)}
        self._names = {video.name: video for video in self.videos.values()}
        self._work, self.notify = work, notify
        self._overviews: OrderedDict[str, Overview] = OrderedDict()
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._converts, self._looks = _Jobs(), _Jobs()
        self._threads = [
            threading.Thread(target=self._run, args=(jobs, act), name=f"punctum-label-{name}", daemon=True)
            for name, jobs, act in (("convert", self._converts, self._convert), ("look", self._looks, self._look))
        ]

    def start(self) -> None:
        """Begin the background work: every video is examined, and converted if necessary."""
        with contextlib.suppress(OSError):  # what killed processes have left
            for draft in (self._work / "converted").glob(".*.mp4.????????"):
                draft.unlink(missing_ok=True)
        for video in self.videos.values():
            self._converts.put(_SOME_TIME, video.id)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop the background work. A conversion that is not complete leaves nothing."""
        self._stop.set()
        self._converts.close()
        self._looks.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5.0)

    def open(self, ident: str) -> Video | None:
        """Examine a video now, and give it priority. None if there is none of this id."""
        video = self.videos.get(ident)
        if video is None:
            return None
        self._note_change(video)
        self._examine(video)
        if video.state in ("waiting", "failed"):
            self._converts.put(_SOON, ident)
        self.overview(ident)
        return video

    def lost(self, ident: str) -> None:
        """Look again at a video whose file, or whose converted file, is not there any more."""
        video = self.videos[ident]
        with video.busy:
            if video.state not in ("direct", "ready"):
                return
            video.state = "new"
        self._examine(video)
        if video.state == "waiting":
            self._converts.put(_SOON, ident)

    def _note_change(self, video: Video) -> None:
        """Examine a video again if its file, or its converted file, has been replaced or removed."""
        with video.busy:
            if video.state in ("new", "converting"):
                return
            gone = video.state == "ready" and (video.proxy is None or not video.proxy.is_file())
            if not gone and video.facts in ("", self._key(video)):
                return
            video.state = "new"
        with self._guard:
            self._overviews.pop(video.id, None)

    def named(self, name: str) -> Video | None:
        """The video of a name; None if there is none."""
        return self._names.get(name)

    def refuse_direct(self, ident: str) -> Video | None:
        """Convert a video that a browser could not play although it should."""
        video = self.videos.get(ident)
        if video is None:
            return None
        with video.busy:
            if video.state == "direct":
                video.state, video.why = "waiting", "this browser does not play it"
        if video.state == "waiting":
            self._converts.put(_SOON, ident)
        return video

    def overview(self, ident: str) -> Overview | None:
        """Thumbnails and motion of a video as far as they are known; they are made if they are not."""
        video = self.videos.get(ident)
        if video is None:
            return None
        with self._guard:
            found = self._overviews.get(ident)
            if found is None:
                found = self._overviews[ident] = new_overview(video.duration_s)
                while len(self._overviews) > _KEPT:
                    self._overviews.popitem(last=False)
                self._looks.put(_SOON, ident)
            self._overviews.move_to_end(ident)
            return found

    def _run(self, jobs: _Jobs, act: Callable[[Video], None]) -> None:
        while (ident := jobs.take()) is not None:
            act(self.videos[ident])

    def _examine(self, video: Video) -> None:
        with video.busy:
            if video.state != "new":
                return
            video.facts = self._key(video)
            found: Playback = playback(video.path)
            video.duration_s, video.rate, video.kind, video.why = found.duration_s, found.rate, found.kind, found.why
            video.state = "direct" if found.direct else "waiting"
            if not found.direct:
                video.proxy = self._work / "converted" / f"{self._key(video)}.mp4"
                if video.proxy.is_file():
                    self._accept(video)
        self._publish(video)

    def _key(self, video: Video) -> str:
        """A name that changes with the file."""
        try:
            status = video.path.stat()
            facts = f"{_FORMAT} {status.st_size} {status.st_mtime_ns}"
        except OSError:
            facts = "missing"
        return f"{video.id}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"

    def _convert(self, video: Video) -> None:
        self._examine(video)
        if video.state not in ("waiting", "failed"):
            return
        if kind := special_kind(video.path):
            video.state, video.why = "failed", f"it is {kind}"
            self._publish(video)
            return
        video.proxy = self._work / "converted" / f"{self._key(video)}.mp4"
        video.state, video.done_s = "converting", 0.0
        self._publish(video)

        def progress(done_s: float) -> None:
            video.done_s = done_s
            self._publish(video)

        try:
            make_proxy(video.path, video.proxy, progress=progress, stopped=self._stop.is_set)
        except Stopped:
            video.state = "waiting"
            return
        except PunctumError as error:
            video.state, video.why = "failed", str(error)
        except (OSError, ValueError, RuntimeError, MemoryError) as error:  # the other videos wait
            _log.warning("%s cannot be converted", video.name, exc_info=error)
            video.state, video.why = "failed", f"it cannot be converted ({type(error).__name__})"
        else:
            self._accept(video)
        self._publish(video)

    def _accept(self, video: Video) -> None:
        """Take a converted file. Its length is the one that counts: headers of the original may be wrong."""
        made = playback(video.proxy or video.path)
        video.state, video.kind = "ready", "video/mp4"
        video.duration_s, video.rate = made.duration_s or video.duration_s, made.rate or video.rate

    def _look(self, video: Video) -> None:
        self._examine(video)
        with self._guard:
            overview = self._overviews.get(video.id)
            if overview is None or special_kind(video.path):
                return
            if overview.done or overview.motion:
                return
            overview.step_s = new_overview(video.duration_s).step_s
        event = {"overview": video.id}
        look(
            video.path,
            overview,
            video.duration_s,
            progress=lambda: self.notify(event),
            stopped=lambda: self._stop.is_set() or self._looks.urgent,
        )
        if self._stop.is_set():
            return
        if self._looks.urgent and not _whole(overview, video.duration_s):  # another video was opened meanwhile
            with self._guard:
                self._overviews.pop(video.id, None)

    def _publish(self, video: Video) -> None:
        self.notify({"video": video.to_record()})


def _whole(overview: Overview, duration_s: float) -> bool:
    return len(overview.motion) * overview.step_s >= duration_s - 2 * overview.step_s


class _Jobs:
    """A queue of video ids by priority; the latest urgent one comes first. Ids that wait already move up."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str]] = []
        self._change = threading.Condition()
        self._count = 0
        self._closed = False

    @property
    def urgent(self) -> bool:
        """Whether an urgent job waits."""
        with self._change:
            return bool(self._heap) and self._heap[0][0] == _SOON

    def put(self, priority: int, ident: str) -> None:
        with self._change:
            self._count += 1
            order = -self._count if priority == _SOON else self._count
            heapq.heappush(self._heap, (priority, order, ident))
            self._change.notify()

    def take(self) -> str | None:
        """The next id; None once the queue is closed."""
        with self._change:
            self._change.wait_for(lambda: self._closed or bool(self._heap))
            return None if self._closed else heapq.heappop(self._heap)[2]

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
