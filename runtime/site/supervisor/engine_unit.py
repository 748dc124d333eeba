"""One engine: the process that runs a version of a bundle for all cameras that use it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..config.models import BundleConfig
from ..wire import Header
from .backoff import Backoff
from .child import Child

MODULE = "punctum.runtime.site.engine"
START_S = 1800.0  # kernels may have to be compiled
STUCK_S = 60.0
_log = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed", "stopping"]


@dataclass(slots=True)
class EngineUnit:
    """The engine of one version of a bundle. Used by the control thread alone.

    Args:
        key: Names this engine: the name of the bundle, and for later versions a number behind it.
        bundle: Name of the bundle in the configuration.
        config: Its configuration.
        path: Where the bundle is.
        state_dir: Folder of journals and snapshots.
        receive: Receives the messages of its process.
    """

    key: str
    bundle: str
    config: BundleConfig
    path: Path | str
    state_dir: Path
    receive: Callable[[Child, Header, bytes], None]
    state: State = "loading"
    why: str = ""
    code: str = ""
    since: float = field(default_factory=time.time)
    ready: dict[str, Any] = field(default_factory=dict)
    """What the engine said when it had loaded the bundle."""
    stats: dict[str, Any] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    """Camera -> why its features cannot be stored for a restart at the moment; empty: they are."""
    child: Child | None = None
    starts: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    next_start: float = 0.0

    @property
    def version(self) -> int:
        """Counts replacements of the bundle since the start of the service, from 1."""
        return int(self.key.partition("@")[2] or 1)

    def stored_cameras(self) -> list[str]:
        """Names of the cameras of which sessions are stored."""
        try:
            return sorted(path.name for path in self.state_dir.iterdir() if path.is_dir())
        except OSError:
            return []

    def stores(self, camera: str) -> bool:
        """Whether a session of this camera is stored, which a new process continues."""
        try:
            names = [path.name for path in (self.state_dir / camera).iterdir()]
        except OSError:
            return False
        return any(name == "snapshot" or name.startswith("journal.") for name in names)

    @property
    def feed(self) -> str:
        """Which features it takes; empty until it is ready."""
        return str(self.ready.get("feed", ""))

    @property
    def stride_s(self) -> float:
        """Seconds per snippet."""
        return float(self.ready.get("stride_s", 1.0))

    def set_state(self, state: State, why: str = "", code: str = "") -> None:
        """Change the state, and say so once."""
        if (state, why) != (self.state, self.why):
            level = logging.WARNING if state == "failed" else logging.INFO
            _log.log(level, "bundle %s: %s%s", self.key, state, f" ({why})" if why else "")
            self.since = time.time() if state != self.state else self.since
            self.state, self.why, self.code = state, why, code

    def start(self, snapshot_every_s: float) -> None:
        """Start the process."""
        self.starts += 1
        try:
            self.child = Child(MODULE, f"bundle {self.key}", self.receive)
        except OSError as error:
            self.restart_later(f"its process cannot be started ({error.strerror})", "engine-process")
            return
        self.set_state("loading")
        self.send(
            {
                "type": "start",
                "name": self.bundle,
                "bundle_path": str(self.path),
                "precision": self.config.precision,
                "device": self.config.device,
                "threads": self.config.threads,
                "state_dir": str(self.state_dir),
                "snapshot_every_s": snapshot_every_s,
            }
        )

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send a message; without a process it is forgotten."""
        if self.child is not None:
            self.child.send(header, payload)

    def restart_later(self, why: str, code: str, *, ran_s: float = 0.0) -> None:
        """It has failed: start it again after a pause."""
        self.next_start = time.monotonic() + self.backoff.failed(ran_s)
        self.set_state("failed", why, code)

    def fault(self, now: float) -> str:
        """Why its process has to be ended; empty: it need not."""
        if self.child is None or self.child.killed:  # its exit follows
            return ""
        quiet = now - self.child.beat
        return f"no sign of life for {quiet:.0f} s" if quiet > (STUCK_S if self.ready else START_S) else ""
