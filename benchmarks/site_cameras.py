"""What the benchmarks of `punctum serve` share: cameras over RTSP, a service that uses them, and its processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from punctum.runtime.site.supervisor.child import cpu_seconds

from tests.helpers.sites import Site

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_cameras.py")
ASSETS = Path(__file__).resolve().parent.parent / "runtime" / "assets"
MIN_SCORE = 0.05
FAST = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "20")


@dataclass(slots=True)
class Camera:
    """An RTSP server for one file, in a process of its own, so that it can be killed or frozen.

    Attributes:
        path: The recording.
        port: Where it listens; 0 until the first start.
        process: None while it does not run.
    """

    path: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self, path: Path | None = None) -> None:
        """Start it; path: another recording from now on."""
        self.path = path or self.path
        command = [SYSTEM_PYTHON, str(SERVER), str(self.port), str(self.path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        word, _, rest = (self.process.stdout.readline() if self.process.stdout else "").partition(" ")
        if word != "ready":
            raise SystemExit(f"no RTSP server: {word} {rest}")
        self.port = int(rest)

    def signal(self, number: int) -> None:
        """Send a signal to its process."""
        if self.process is not None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def family(pid: int) -> dict[int, str]:
    """A process and those below it, with their command lines."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: commands.get(one, "") for one in found}


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and those below it."""
    return sum(cpu_seconds(one) or 0.0 for one in family(pid))


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


def prepared(videos: list[Path], folder: Path) -> list[Path]:
    """The recordings without B-frames and with a key frame every 2 s, as cameras send them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [encoded(path, folder / f"{path.stem}.mp4", *FAST) for path in videos]


def encoded(path: Path, out: Path, *options: str) -> Path:
    """A recording that ffmpeg writes with these options; kept if it is there already."""
    if not out.exists():
        draft = out.with_name(f"draft-{out.name}")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(path), *options, str(draft)], check=True)
        draft.replace(out)
    return out


@contextlib.contextmanager
def running(videos: list[Path], folder: Path, **changes: Any) -> Iterator[tuple[Site, list[Camera]]]:
    """A service with a camera for each file. changes: of the configuration."""
    cameras = [Camera(path) for path in videos]
    site: Site | None = None
    try:
        for camera in cameras:
            camera.start()
        config: dict[str, Any] = {
            "bundles": {"default": {"path": str(folder / "bundle")}},
            "cameras": {
                f"cam{k}": {
                    "source": f"rtsp://127.0.0.1:{camera.port}/0",
                    "bundles": ["default"],
                    "min_score": MIN_SCORE,
                    "media": {"clips": True, "pictures": True},
                }
                for k, camera in enumerate(cameras)
            },
            "sinks": {"file": {"type": "jsonl", "path": "events.jsonl"}},
        }
        if not (folder / "bundle").exists():
            shutil.copytree(ASSETS / "default", folder / "bundle")
        site = Site(folder, config | changes)
        yield site, cameras
    finally:
        if site is not None:
            site.close()
        for camera in cameras:
            camera.kill()


def all_run(site: Site) -> bool:
    """Whether every camera is running."""
    return set(site.states().values()) == {"running"}
