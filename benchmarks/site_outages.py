"""Parts of a site that a benchmark takes away and gives back: its disk, its broker; and what a subscriber receives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.helpers.site import free_port

DISK = "2g"


class Disk:
    """A tmpfs for the state folder, which can be full or read-only. Needs root.

    Args:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._filler = folder, folder / "filler"
        self.full = self.read_only = False
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True) if os.geteuid() == 0 else None
        self.trouble = "needs root" if done is None else done.stderr.strip()
        """Why there is none; empty if there is."""

    @property
    def lost(self) -> bool:
        """Whether nothing can be written."""
        return self.full or self.read_only

    def fill(self) -> None:
        """Take all room that there is. Call it again, since the service makes room."""
        self.full = True
        block = bytes(1 << 20)
        try:
            with self._filler.open("ab", buffering=0) as file:
                while file.write(block) == len(block):
                    pass
                while file.write(b"\0"):
                    pass
        except OSError:
            return

    def empty(self) -> None:
        """Give the room back; while nothing can be written, once that ends."""
        self.full = False
        if not self.read_only:
            self._filler.unlink(missing_ok=True)

    def remount(self, how: str) -> bool:
        """how: "ro" or "rw". Returns whether it worked: not to "ro" while a file is open for writing."""
        done = subprocess.run(["mount", "-o", f"remount,{how}", str(self._folder)], capture_output=True)
        if done.returncode == 0:
            self.read_only = how == "ro"
            if not self.lost:
                self.empty()
        return done.returncode == 0

    def close(self) -> None:
        """Copy what is there to an ordinary folder of the same name, and remove the mount."""
        if self.trouble:
            return
        self.remount("rw")
        self.empty()
        copy = self._folder.with_name(f"{self._folder.name}.copy")
        shutil.copytree(self._folder, copy, ignore=shutil.ignore_patterns("media"))
        subprocess.run(["umount", "--lazy", str(self._folder)], check=True)
        self._folder.rmdir()
        copy.rename(self._folder)


class Broker:
    """A Mosquitto on a free port, which keeps sessions over restarts. Output: folder/mosquitto.log."""

    def __init__(self, folder: Path) -> None:
        self.program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        self.port, self._folder = free_port(), folder / "broker"
        self._process: subprocess.Popen[bytes] | None = None
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\nautosave_interval 1\n"
            f"persistence_location {self._folder}/\nmax_queued_messages 0\nmax_inflight_messages 0\n"
        )

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None

    def start(self) -> None:
        """Start it."""
        with (self._folder / "log").open("ab") as log:
            command = [str(self.program), "-c", str(self._folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Subscriber:
    """Collects all events at a broker, with a session that the broker keeps."""

    def __init__(self, port: int, topic: str) -> None:
        from paho.mqtt import client as paho

        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="benchmark", protocol=paho.MQTTv311, clean_session=False
        )
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda one, *_: one.subscribe(f"{topic}/+", qos=1)
        client.on_message = self._take
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        self._client = client

    def _take(self, client: Any, userdata: Any, message: Any) -> None:
        if not message.topic.endswith("/status"):
            with self._lock:
                self._events.append(json.loads(message.payload))

    def events(self) -> list[dict[str, Any]]:
        """All so far, in the order of their arrival."""
        with self._lock:
            return list(self._events)

    def close(self) -> None:
        """End it."""
        self._client.disconnect()
        self._client.loop_stop()
