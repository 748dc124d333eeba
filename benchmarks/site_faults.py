"""`punctum serve` with many cameras under faults: what is left of the events, and what is declared as lost.

    python benchmarks/site_faults.py VIDEOS [--cameras 16] [--minutes 60] [--out DIR] [--json FILE]

VIDEOS is a folder of mp4 files of 320x240 at 10 frames per second, such as `punctum data make-videos` renders; each
camera is one of them over RTSP on loopback, and begins it anew for each connection. Needs GStreamer's RTSP server
(Debian packages as in tests/system/test_rtsp.py), ffmpeg, mosquitto, and root for faults of the disk. The bundle is
`default`. State, logs and events are kept in DIR.

Faults, about one every `--every` seconds in random order: a camera is killed for .5 to 6 s; frozen for 1 to 15 s; shows
another recording from now on (its own, one of 640x480, in H.265, or motion JPEG); its time stamps step 5 s forward or
backward; the process of a camera or of the engine is killed; the broker is killed for 5 to 60 s; the disk of the state
folder is full for 3 to 20 s. Besides, evenly over the run, `--service-kills` times the whole service is killed with
SIGKILL and started again after up to 3 s, every fourth time with a disk that is read-only for 3 to 8 s (a mounted disk
cannot be made read-only while the service has its files open), and the bundle is replaced `--bundles` times.

Afterwards, site_checks.py says what has to hold: final reports are once in the file and at the broker; the events of
each section between two declared gaps are those of the same frames offline; a camera that was killed, and a service
that was down, left a declared gap of that length. Memory and descriptors are sampled every 30 s.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from result_file import add_json, rows_of, save
from site_cameras import ASSETS, Camera, all_run, encoded, family, prepared, rss_mb, running
from site_checks import Absence, Offline, Section, Served, Stored, all_compared, delivered, undeclared
from site_outages import Broker, Disk, Subscriber

from tests.helpers.sites import Site, lines, open_files

TOPIC = "benchmark"
WEIGHTS = {
    "camera killed": 3.0,
    "camera frozen": 2.0,
    "camera changed": 2.0,
    "time forward": 1.0,
    "time backward": 1.0,
    "camera process": 2.0,
    "engine process": 1.0,
    "broker": 0.7,
    "disk full": 0.7,
}
OTHERS = {
    "size": ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50", "-vf", "scale=640:480"],
    "hevc": ["-c:v", "libx265", "-preset", "ultrafast", "-g", "20", "-x265-params", "bframes=0:log-level=error"],
    "mjpeg": ["-c:v", "mjpeg", "-huffman", "default", "-q:v", "3"],
}
SAMPLE_S, PROGRESS_S, TICK_S = 30.0, 60.0, 0.2
SETTLE_S = 30.0
NEAR_S = 30.0  # of a fault that is named beside a difference


@dataclass(slots=True)
class Faults:
    """What is done to the service. Each fault returns at once; what ends it is due later.

    Attributes:
        history: When what was done, in Unix time, with the camera that it was done to.
        absences: When cameras were away.
        served: Camera -> what it shows.
        refused: Starts of the service that ended with an error, while the disk was lost.
    """

    site: Site
    cameras: list[Camera]
    rng: random.Random
    others: list[Path]
    broker: Broker
    disk: Disk
    history: list[tuple[float, str, str]] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    served: dict[str, Served] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    _due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _busy: set[int] = field(default_factory=set)
    _own: list[Path] = field(default_factory=list)
    _version: int = 0

    def __post_init__(self) -> None:
        self._own = [camera.path for camera in self.cameras]
        for number, camera in enumerate(self.cameras):
            self.served[f"cam{number}"] = [(0.0, camera.path)]

    def one(self, kind: str | None = None) -> None:
        """One fault; kind: not a random one."""
        kinds = [one for one in WEIGHTS if not (one == "disk full" and (self.disk.trouble or self.disk.lost))]
        kinds = [one for one in kinds if not (one == "broker" and not self.broker.running)]
        kind = kind or self.rng.choices(kinds, [WEIGHTS[one] for one in kinds])[0]
        getattr(self, "_" + kind.replace(" ", "_"))()

    def tick(self) -> None:
        """End the faults whose time has come."""
        if self.disk.full:
            self.disk.fill()
        for due in [one for one in self._due if one[0] <= time.time()]:
            self._due.remove(due)
            due[1]()

    def settle(self) -> None:
        """End all faults."""
        while self._due:
            self.tick()
            time.sleep(TICK_S)

    def _later(self, low_s: float, high_s: float, end: Callable[[], None]) -> None:
        self._due.append((time.time() + self.rng.uniform(low_s, high_s), end))

    def _note(self, kind: str, camera: str = "") -> None:
        self.history.append((time.time(), kind, camera))
        self.done[kind] = self.done.get(kind, 0) + 1

    def _free(self) -> int | None:
        """A camera to which nothing is being done."""
        numbers = [number for number in range(len(self.cameras)) if number not in self._busy]
        return self.rng.choice(numbers) if numbers else None

    def _away(self, kind: str, number: int, low_s: float, high_s: float, back: Callable[[], None]) -> None:
        """A camera sends nothing, until `back` is called."""
        began, name = time.time(), f"cam{number}"
        self._note(kind, name)
        self._busy.add(number)

        def end() -> None:
            back()
            self.absences.append(Absence(kind, name, began, time.time()))
            self._busy.discard(number)

        self._later(low_s, high_s, end)

    def _camera_killed(self) -> None:
        if (number := self._free()) is not None:
            self.cameras[number].kill()
            self._away("camera killed", number, 0.5, 6.0, self.cameras[number].start)

    def _camera_frozen(self) -> None:
        if (number := self._free()) is not None:
            camera = self.cameras[number]
            camera.signal(signal.SIGSTOP)
            self._away("camera frozen", number, 1.0, 15.0, lambda: camera.signal(signal.SIGCONT))

    def _camera_changed(self) -> None:
        if (number := self._free()) is None:
            return
        camera = self.cameras[number]
        path = self.rng.choice([one for one in (*self.others, self._own[number]) if one != camera.path])
        camera.kill()

        def back() -> None:
            self.served[f"cam{number}"].append((time.time(), path))
            camera.start(path)

        self._away("camera changed", number, 0.0, 1.0, back)

    def _time_forward(self) -> None:
        self._step("time forward", signal.SIGUSR1)

    def _time_backward(self) -> None:
        self._step("time backward", signal.SIGUSR2)

    def _step(self, kind: str, number: int) -> None:
        if (camera := self._free()) is not None:
            self._note(kind, f"cam{camera}")
            self.cameras[camera].signal(number)

    def _camera_process(self) -> None:
        self._kill("camera process", "runtime.site.camera")

    def _engine_process(self) -> None:
        self._kill("engine process", "runtime.site.engine")

    def _kill(self, kind: str, module: str) -> None:
        pids = [] if self.site.process is None else [p for p, c in family(self.site.process.pid).items() if module in c]
        if pids:
            self._note(kind)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.rng.choice(pids), signal.SIGKILL)

    def _broker(self) -> None:
        self._note("broker")
        self.broker.kill()
        self._later(5.0, 60.0, self.broker.start)

    def _disk_full(self) -> None:
        self._note("disk full")
        self.disk.fill()
        self._later(3.0, 20.0, self.disk.empty)

    def service(self) -> None:
        """SIGKILL, and a new start."""
        if self.site.process is None:
            return
        self._note("service")
        began = time.time()
        self.site.kill()
        if self.done["service"] % 4 == 0 and not self.disk.trouble:
            time.sleep(1.0)  # the processes of the service notice its end, and close their files
            if self.disk.remount("ro"):
                self._note("disk read-only")
                self._later(3.0, 8.0, lambda: self.disk.remount("rw") and None)

        def start() -> None:
            try:
                self.site.start()
            except AssertionError:
                self.site.process = None
                if not self.disk.lost:
                    raise
                self.refused += 1
                self._later(2.0, 2.0, start)
                return
            self.absences.append(Absence("service", None, began, time.time()))

        self._later(0.0, 3.0, start)

    def bundle(self) -> None:
        """A new version of the bundle in a folder of its own, taken over on SIGHUP or at the next start."""
        from punctum.runtime import Bundle

        self._note("bundle")
        self._version += 1
        folder = self.site.folder / f"bundle-{self._version}"
        with_version(Bundle.load(ASSETS / "default"), folder, f"1.0.{self._version}")
        self.site.config["bundles"]["default"]["path"] = str(folder)
        self.site.write()
        if self.site.process is not None:
            self.site.process.send_signal(signal.SIGHUP)


def near(history: list[tuple[float, str, str]], section: Section, at_s: float) -> str:
    """The faults of a camera next to a media time."""
    unix = section.unix + at_s - section.start_s
    close = [one for one in history if one[2] in ("", section.camera) and abs(one[0] - unix) < NEAR_S]
    close.sort(key=lambda one: abs(one[0] - unix))
    return ", ".join(f"{kind} at {when - unix:+.1f} s" for when, kind, _ in close[:3]) or "no fault near"


def with_version(bundle: Any, folder: Path, version: str) -> None:
    """Write a bundle with another version."""
    from punctum.runtime.bundle.writer import save_bundle, seal_bundle

    save_bundle(seal_bundle(bundle.manifest.model_copy(update={"version": version}), bundle.content), folder)


def footprint(site: Site) -> dict[str, float]:
    """Memory and descriptors of the service. Raises OSError while it ends."""
    pid = site.process.pid if site.process else 0
    known = family(pid)
    found = {"supervisor_mb": rss_mb(pid), "supervisor_descriptors": float(open_files(pid))}
    for name in ("engine", "camera"):
        pids = [one for one, command in known.items() if f"runtime.site.{name}" in command]
        found[f"{name}s_mb"] = sum(rss_mb(one) for one in pids)
        found[f"{name}s_descriptors"] = float(sum(open_files(one) for one in pids))
        found[f"{name}s"] = float(len(pids))
    return {key: round(value, 1) for key, value in found.items()}


def quarters(samples: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Medians of the first and the last quarter."""
    part = max(len(samples) // 4, 1)
    keys = [key for key in samples[0] if key != "at_s"] if samples else []
    first, last = samples[:part], samples[-part:]
    return {key: {"first": median(s[key] for s in first), "last": median(s[key] for s in last)} for key in keys}


def run(made: Faults, minutes: float, every_s: float, kills: int, bundles: int) -> list[dict[str, float]]:
    """Make faults for so long. Returns samples of memory and descriptors."""
    began, rng, samples = time.time(), made.rng, []
    length_s = 60 * minutes

    def evenly(count: int) -> list[float]:
        return [began + (k + rng.uniform(0.2, 0.8)) * length_s / count for k in range(count)]

    plan = sorted([(at, made.service) for at in evenly(kills)] + [(at, made.bundle) for at in evenly(bundles)])
    fault = sample = shown = began
    while (now := time.time()) < began + length_s:
        made.tick()
        if plan and plan[0][0] <= now:
            plan.pop(0)[1]()
        elif now >= fault:
            made.one()
            fault = now + rng.uniform(0.3, 1.7) * every_s
        if now >= sample:
            with contextlib.suppress(OSError):
                samples.append({"at_s": round(now - began, 1), **footprint(made.site)})
                sample = now + SAMPLE_S
        if now >= shown:
            shown = now + PROGRESS_S
            progress(f"{(now - began) / 60:.0f} of {minutes:g} min: {json.dumps(made.done)}")
        time.sleep(TICK_S)
    made.settle()
    return samples


def progress(text: str) -> None:
    """A line to standard error."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def faults(videos: list[Path], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run with faults, and look at what is left."""
    encodings = options.recordings or folder / "recordings"
    recordings = prepared(videos, encodings)
    others = [
        encoded(videos[at], encodings / f"other-{name}.mp4", *how)
        for at, (name, how) in zip((0, len(videos) // 2, -1), OTHERS.items(), strict=True)
    ]
    broker, disk = Broker(folder), Disk(folder / "state")
    progress(f"faults of the disk: {disk.trouble or 'yes'}")
    broker.start()
    subscriber = Subscriber(broker.port, TOPIC)
    sinks = {
        "file": {"type": "jsonl", "path": "events.jsonl"},
        "broker": {"type": "mqtt", "url": f"mqtt://127.0.0.1:{broker.port}/{TOPIC}"},
    }
    try:
        with running(recordings, folder, sinks=sinks, retention={"gb": 0.8, "free_gb": 0.2}) as (site, cameras):
            site.start()
            site.until(lambda: all_run(site), 300)
            made = Faults(site, cameras, random.Random(options.seed), others, broker, disk)
            samples = run(made, options.minutes, options.every, options.kills, options.bundles)
            progress("waiting for all cameras and outputs")
            site.until(lambda: all_run(site), 300, every_s=1.0)
            time.sleep(SETTLE_S)
            site.until(lambda: all(sink["waiting"] == 0 for sink in site.get("/sinks")["sinks"]), 180, every_s=1.0)
            stopped = time.time()
            code = site.stop()
            time.sleep(2.0)  # the subscriber receives what the broker has
            log = site.text()
    finally:
        subscriber.close()
        broker.kill()
        disk.close()
    record = {"history": made.history, "served": made.served, "absences": [asdict(one) for one in made.absences]}
    record["stopped"] = stopped
    (folder / "history.json").write_text(json.dumps(record | {"broker": subscriber.events()}, default=str))
    progress("comparing with the recordings offline")
    stored = Stored(folder / "state")
    same = all_compared(stored.sections(Offline().stride_s, stopped), made.served, partial(near, made.history))
    gaps, missing = undeclared(stored, made.absences, list(made.served))
    found = [*same["lines"], *missing]
    (folder / "differences.txt").write_text("".join(f"{line}\n" for line in found))
    for line in found:
        progress(line)
    return {
        "faults": made.done | {"starts refused while the disk was lost": made.refused},
        "exit_code": code,
        "tracebacks": log.count("Traceback"),
        "errors_logged": sum(" ERROR " in line or "error:" in line for line in log.splitlines()),
        "outputs": delivered(stored, lines(folder / "events.jsonl"), subscriber.events()),
        "offline": same["counts"],
        "gaps": {"declared": len(stored.gaps), **gaps},
        "footprint": quarters(samples),
        "differences": found,
        "samples": samples,
        "skipped": {"faults of the disk": disk.trouble} if disk.trouble else {},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=7.0, help="mean seconds between faults")
    parser.add_argument("--service-kills", dest="kills", type=int, help="default: one every 3 minutes")
    parser.add_argument("--bundles", type=int, default=3, help="how often the bundle is replaced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a new folder that keeps state, logs and events")
    parser.add_argument(
        "--recordings", type=Path, help="keeps what the cameras send, for further runs with these videos"
    )
    add_json(parser)
    options = parser.parse_args()
    options.kills = max(round(options.minutes / 3), 1) if options.kills is None else options.kills
    videos = sorted(options.videos.glob("*.mp4"))[: options.cameras]
    if len(videos) < options.cameras:
        raise SystemExit(f"{options.videos} has {len(videos)} videos, {options.cameras} are needed")
    with contextlib.ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        result = faults(videos, folder.resolve(), options)
    samples, skipped, differences = (result.pop(key) for key in ("samples", "skipped", "differences"))
    print(json.dumps(result, indent=1))
    details = {"samples": samples, "differences": differences}
    save(options.json, rows_of(result), details=details, skipped=skipped)


if __name__ == "__main__":
    main()
