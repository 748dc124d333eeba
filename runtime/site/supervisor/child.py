"""A child process of the supervisor, with the channel to it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ..wire import Channel, Header

_log = logging.getLogger(__name__)

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MOST_LINE = 8192  # bytes of one line of a child's log
STOP_S = 5.0

Receive = Callable[["Child", Header, bytes], None]
"""Called with each message of a child, in its reading thread; the header {"type": "exit"} comes last."""


class Child:
    """A running process. `send` never blocks: a thread of its own passes messages on.

    Args:
        module: Module that is run, with the descriptor of the channel as its argument.
        name: For log lines.
        receive: Receives the messages.
    """

    def __init__(self, module: str, name: str, receive: Receive) -> None:
        self.name, self.started, self.beat = name, time.monotonic(), time.monotonic()
        self.last_words = ""
        """The last warning or error in its log."""
        self.killed = False
        """It was killed; its exit follows."""
        self._receive = receive
        self._channel, theirs = Channel.pair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs)],
                pass_fds=[theirs],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl+C in a terminal reaches the supervisor alone, which ends them in order
            )
        except BaseException:
            self._channel.close()
            raise
        finally:
            os.close(theirs)
        self._waiting: deque[tuple[Header, bytes]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        threads = ((self._write, "write"), (self._read, "read"), (self._follow_log, "log"))
        self._threads = [threading.Thread(target=t, name=f"{name} {what}", daemon=True) for t, what in threads]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def waiting(self) -> int:
        """Messages that the process has not read yet."""
        return len(self._waiting)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Queue a message. Callers bound what they send: see `Route`."""
        with self._changed:
            if not self._closed:
                self._waiting.append((header, payload))
                self._changed.notify()

    def cpu_s(self) -> float | None:
        """CPU time that it has used in seconds; None where the system does not provide it."""
        return cpu_seconds(self._process.pid)

    def kill(self) -> None:
        """End it at once."""
        self.killed = True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    def join(self, timeout_s: float = STOP_S) -> None:
        """Wait for its end; killed after the time-out."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        with self._changed:
            self._closed = True
            self._changed.notify()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(1.0)

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                message = self._waiting.popleft()
            try:
                self._channel.send(*message)
            except (OSError, ValueError):  # it has gone; the reading thread reports that
                with self._changed:
                    self._closed = True
                    self._waiting.clear()
                return

    def _read(self) -> None:
        try:
            while True:
                message = self._channel.receive()
                if message is None:
                    continue
                self.beat = time.monotonic()
                if message[0].get("type") != "beat":
                    self._receive(self, *message)
        except (EOFError, OSError, ValueError) as error:
            if not isinstance(error, EOFError | ConnectionResetError):
                _log.warning("%s: unreadable message (%s)", self.name, error)
        self.kill_if_deaf()
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._channel.close()
        self._receive(self, {"type": "exit", "code": self._process.returncode}, b"")

    def kill_if_deaf(self) -> None:
        """It has closed its channel: wait for its end, which is due now."""
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def _follow_log(self) -> None:
        stream = self._process.stderr
        if stream is None:
            return
        with stream:
            for line in _lines(stream):
                self._log_line(line)

    def _log_line(self, line: str) -> None:
        try:
            record = json.loads(line)
            level, text = LEVELS.get(record["level"], logging.INFO), str(record["message"])
        except (ValueError, KeyError, TypeError):
            level, text = logging.WARNING, line  # of a library, or the trace of a crash
        if not text.strip():
            return
        if level >= logging.WARNING:
            self.last_words = text
        _log.log(level, "%s: %s", self.name, text)


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process in seconds; None where the system does not provide it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _lines(stream: IO[bytes]) -> Iterator[str]:
    while data := stream.readline(MOST_LINE):
        yield data.decode("utf-8", "backslashreplace").rstrip("\n")
