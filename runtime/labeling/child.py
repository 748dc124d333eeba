"""The process that trains or exports for the page: started by the server and ended with it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import PunctumError
from .lock import make_work

_log = logging.getLogger(__name__)
MODULE = "punctum.export.cli.guided"  # of an upper floor: found by name, never imported here
TRAIN_NEEDS = (("torch", "train"), ("safetensors", "train"), ("onnxruntime", "cpu"))
EXPORT_NEEDS = (*TRAIN_NEEDS, ("onnx", "export"), ("onnxscript", "export"))
_END_S = 5.0
_MAX_LINE = 1 << 16


def missing(needs: Sequence[tuple[str, str]]) -> str:
    """The extra that installs the first library that is missing; empty if none is. Nothing is imported."""
    return next((extra for library, extra in needs if find_spec(library) is None), "")


class Child:
    """One process of `MODULE`.

    Args:
        request: What it should do.
        log: File that gets its standard error.
        on_message: Called for each of its messages, in a thread of its own.
        on_exit: Called with the exit code after the last message, in that thread.
        command: Starts the process; for tests.
    """

    def __init__(
        self,
        request: dict[str, Any],
        log: Path,
        *,
        on_message: Callable[[dict[str, Any]], None],
        on_exit: Callable[[int], None],
        command: Sequence[str] = (sys.executable, "-m", MODULE),
    ) -> None:
        make_work(log.parent)
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is for the server, which ends this process
            )
        self._receive, self._exited = on_message, on_exit
        self._stopping = False
        with contextlib.suppress(OSError):
            _pipe(self._process.stdin).write(json.dumps(request).encode() + b"\n")
            _pipe(self._process.stdin).flush()
        self._thread = threading.Thread(target=self._listen, name="punctum-label-child", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End it. Messages that arrive later are dropped."""
        self._stopping = True
        if self._process.poll() is None:
            self._process.kill()  # whatever it was writing appears as a whole or not at all
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        if threading.current_thread() is not self._thread:
            self._thread.join(_END_S)

    def _listen(self) -> None:
        stream = _pipe(self._process.stdout)
        while line := stream.readline(_MAX_LINE):
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and not self._stopping:
                try:
                    self._receive(message)
                except (PunctumError, OSError) as error:  # its end is to be known in any case
                    _log.warning("a message of the process was lost", exc_info=error)
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()
        if not self._stopping:
            self._exited(code)


def _pipe(pipe: Any) -> Any:
    """A pipe of the process. Raises RuntimeError without one, which Popen excludes here."""
    if pipe is None:
        raise RuntimeError("the process has no pipe")
    return pipe
