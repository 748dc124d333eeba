"""A running `punctum serve`, and what tests ask of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

START_S = 120.0


class Site:
    """The service on a folder with site.yaml; started by `start`.

    Args:
        folder: Gets site.yaml, state/ and log.
        config: The configuration, without `http`.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder, self.config = folder, {"http": {"listen": "127.0.0.1:0"}, **config}
        self.path, self.log = folder / "site.yaml", folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.write()

    def write(self) -> None:
        """Write the configuration."""
        self.path.write_text(yaml.safe_dump(self.config, sort_keys=False))

    def start(self) -> None:
        """Start the service, and wait until its page answers."""
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            command = [sys.executable, "-c", "from punctum.runtime.cli import main; main()", "serve", str(self.path)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

        def listening() -> bool:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the service ended: {self.text()[before:][-3000:]}")
            for line in self.text()[before:].splitlines():
                if "serving " in line and "http://" in line:
                    self.port = int(line.rpartition(":")[2].strip("/ \n"))
                    return True
            return False

        self.until(listening, START_S)

    def text(self) -> str:
        """The log."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """kill -9 of the service, and of nothing else: its processes have to notice by themselves."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        return code

    def get(self, path: str) -> Any:
        """The JSON of an address of the API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/api/v1{path}")
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"{path}: {answer.status} {body[:300]!r}")
        return json.loads(body)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of a request to the API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(data) if data else None

    def states(self) -> dict[str, str]:
        """Camera -> state."""
        return {camera["name"]: camera["state"] for camera in self.get("/cameras")["cameras"]}

    def until(self, condition: Callable[[], bool], seconds: float, *, every_s: float = 0.1) -> None:
        """Wait for a condition; fails with the end of the log."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds:g} s: {self.text()[-4000:]}")
            time.sleep(every_s)

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            self.kill()


def lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a JSON Lines file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def finals(path: Path, camera: str | None = None) -> list[dict[str, Any]]:
    """The final events of a file, of one camera."""
    return [e for e in lines(path) if e["phase"] == "final" and camera in (None, e["stream"])]


def open_files(pid: int) -> int:
    """Number of descriptors that a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
