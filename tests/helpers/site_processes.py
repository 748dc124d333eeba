"""The part of the supervisor, for tests of camera and engine processes: routes messages, stores reports, restarts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from punctum.runtime.events.event import Event
from punctum.runtime.site.wire import Channel

Header = dict[str, Any]


class Child:
    """A child process and what it said."""

    def __init__(self, kind: str, start: Header) -> None:
        self.channel, theirs = Channel.pair()
        command = [sys.executable, "-m", f"punctum.runtime.site.{kind}", str(theirs)]
        self.process = subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.PIPE, text=True)
        os.close(theirs)
        self.said: list[Header] = []
        self.gone = False
        self.send({"type": "start", **start})

    def send(self, header: Header, payload: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # it has ended; what it said before is still to be read
            self.channel.send(header, payload)

    def take(self, timeout_s: float = 0.02) -> tuple[Header, bytes] | None:
        if self.gone:
            return None
        try:
            received = self.channel.receive(timeout_s)
        except (EOFError, OSError):
            self.gone = True
            return None
        if received is not None:
            self.said.append(received[0])
        return received

    def of(self, kind: str) -> list[Header]:
        return [header for header in self.said if header["type"] == kind]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> str:
        """Close, wait, and return the log."""
        self.channel.close()
        self.gone = True
        if self.process.stderr is not None and self.process.stderr.closed:
            return ""
        try:
            _, log = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, log = self.process.communicate()
            raise AssertionError(f"the process did not end: {log}") from None
        return log


class Site:
    """One engine, and cameras that send to it. Reports are stored once, by camera, event and revision."""

    def __init__(self, state: Path, bundle: str, **start: Any) -> None:
        self.start: Header = {"name": "b", "bundle_path": bundle, "state_dir": str(state), "snapshot_every_s": 0.2}
        self.start |= start
        self.engine: Child | None = None
        self.cameras: dict[str, Child] = {}
        self.ready: Header = {}
        self.reports: dict[tuple[str, str, int], Event] = {}
        self.repeated = 0
        self.gaps: list[Header] = []
        self.commits = True

    def start_engine(self) -> Header:
        self.engine = Child("engine", self.start)
        self.until(lambda: self.engine.of("ready") or self.engine.gone, 60)
        if self.engine.gone:
            raise AssertionError(self.engine.end())
        self.ready = self.engine.of("ready")[0]
        return self.ready

    def open(self, camera: str, **options: Any) -> Header:
        count = len([one for one in self.engine.of("opened") if one["camera"] == camera])
        message = {
            "type": "open",
            "camera": camera,
            "stream": camera,
            "run_id": "r",
            "policy": "wait",
            "min_score": 0.0,
        }
        self.engine.send(message | options)
        self.until(lambda: len([one for one in self.engine.of("opened") if one["camera"] == camera]) > count, 10)
        return [one for one in self.engine.of("opened") if one["camera"] == camera][-1]

    def start_camera(self, name: str, source: str | Path, **start: Any) -> Child:
        feeds = [{"feed": self.ready["feed"], "bundle_path": self.start["bundle_path"]}]
        message = {"name": name, "source": str(source), "start_s": 0.0, "position": None, "media": {}, "feeds": feeds}
        message["start_steady"] = time.monotonic() + 3600.0  # the first frame is at start_s, however long opening takes
        message |= {"dim": self.ready["dim"], "stride_s": self.ready["stride_s"]}
        self.cameras[name] = Child("camera", message | start)
        return self.cameras[name]

    def send_rows(self, camera: str, seq: int, rows: np.ndarray, at: float | None, **more: Any) -> None:
        header = {"type": "chunk", "camera": camera, "seq": seq, "at": at, "rows": len(rows), "dim": rows.shape[1]}
        header |= {"position": {"row": seq}, "arrival_unix": None, "lost": []}
        self.engine.send(header | more, np.ascontiguousarray(rows, "<f4").tobytes())

    def pump(self, timeout_s: float = 0.02) -> None:
        """Handle what has arrived."""
        for name, camera in list(self.cameras.items()):
            while (received := camera.take(0.0)) is not None:
                header, payload = received
                if header["type"] in ("begin", "chunk") and self.engine is not None:
                    self.engine.send({**header, "camera": name}, payload)
        if self.engine is None:
            return
        while (received := self.engine.take(timeout_s)) is not None:
            timeout_s = 0.0
            self._from_engine(received[0])

    def _from_engine(self, header: Header) -> None:
        kind = header["type"]
        if kind == "events":
            for line in header["reports"]:
                self._store(header["camera"], Event.from_json(line))
            if self.commits:
                self.engine.send({"type": "committed", "seq": header["seq"]})
        elif kind == "taken" and header["camera"] in self.cameras:
            self.cameras[header["camera"]].send({"type": "taken", "feed": None, "seq": header["seq"]})
        elif kind == "gaps":
            self.gaps.append(header)

    def _store(self, camera: str, event: Event) -> None:
        key = (camera, event.id, event.revision)
        if key in self.reports:
            self.repeated += 1
            same_events([event], [self.reports[key]], ids=True)  # sums in another order differ in the last digits
        else:
            self.reports[key] = event

    def until(self, done: Callable[[], Any], timeout_s: float = 30.0) -> None:
        limit = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < limit, self.engine.said[-5:] if self.engine else []
            self.pump()

    def close(self, camera: str) -> None:
        """End a stream, and wait until it has."""
        before = len(self.engine.of("closed"))
        self.engine.send({"type": "close", "camera": camera})
        self.until(lambda: len(self.engine.of("closed")) > before)

    def stop(self, *, flush: bool = False) -> str:
        self.engine.send({"type": "stop", "flush": flush})
        self.until(lambda: self.engine.gone)
        log = self.engine.end()
        assert self.engine.process.returncode == 0, log
        return log

    def finals(self, camera: str) -> list[Event]:
        return [event for (name, _, _), event in self.reports.items() if name == camera and event.phase == "final"]

    def shut(self) -> None:
        """Kill whatever still runs."""
        for child in [self.engine, *self.cameras.values()]:
            if child is not None:
                child.process.kill()
                child.end()


def same_events(found: list[Event], expected: list[Event], *, ids: bool = False, tolerance: float = 1e-4) -> None:
    """Assert that two lists have the same events in the same order."""
    assert [event.label for event in found] == [event.label for event in expected]
    for one, other in zip(found, expected, strict=True):
        for name in ("start", "end", "score"):
            assert abs(getattr(one, name) - getattr(other, name)) <= tolerance, (one, other)
        if ids:
            assert one.id == other.id
