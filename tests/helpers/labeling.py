"""A folder that `punctum label` serves in a process of its own, and what tests do with its page."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from punctum.runtime.labeling.round_result import FILE, RoundEvent, RoundResult, RoundVideo

from tests.system import browser as kit

READY = "const v = document.getElementById('video'); return v.readyState >= 2 && document.getElementById('wait').hidden"
# The number that tests.helpers.video_corpus.picture painted into the frame on screen, and the time of the page.
LOOK = """
const v = document.getElementById("video"), c = document.createElement("canvas");
c.width = v.videoWidth; c.height = v.videoHeight;
const g = c.getContext("2d");
g.drawImage(v, 0, 0);
let number = 0;
for (let bit = 0; bit < 8; bit++) {
  const x = Math.floor((bit + 0.5) * c.width / 8), p = g.getImageData(x - 2, Math.floor(c.height / 4) - 2, 5, 5).data;
  let sum = 0;
  for (let k = 0; k < p.length; k += 4) sum += p[k + 1];
  number = number * 2 + (sum / (p.length / 4) > 127 ? 1 : 0);
}
return [number, v.currentTime];
"""


class LabelServer:
    """`punctum label` on a folder."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, prelude: str = "") -> None:
        """prelude: Python code that the process runs first."""
        self.folder, self.options, self.prelude = folder, options, prelude
        self.port = port
        self.process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> str:
        """Start it, and return the address that it prints."""
        more = () if self.port is None else ("--port", str(self.port))
        command = f"{self.prelude}\nfrom punctum.runtime.cli import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, "label", str(self.folder), "--no-browser", *more, *self.options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=\S+", line)
        if match is None:
            raise AssertionError(line + (self.process.communicate(timeout=30)[1] or ""))
        self.port = int(match[1])
        self.address = match[0]
        return self.address

    def kill(self) -> None:
        """End it without any chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=30)

    def stop(self) -> int:
        """End it with Ctrl-C, and return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def rows(self) -> list[dict[str, str]]:
        """The rows of points.csv."""
        try:
            with (self.folder / "points.csv").open(newline="", encoding="utf-8") as stream:
                return list(csv.DictReader(stream))
        except FileNotFoundError:
            return []

    def spans(self) -> list[dict[str, str]]:
        """The rows of background.csv."""
        try:
            with (self.folder / "background.csv").open(newline="", encoding="utf-8") as stream:
                return list(csv.DictReader(stream))
        except FileNotFoundError:
            return []

    def record(self) -> dict[str, Any]:
        """The content of labeling.json."""
        return dict(json.loads((self.folder / "labeling.json").read_text(encoding="utf-8")))


def write_round(folder: Path, videos: dict[str, tuple[bool, list[tuple[str, float, float, float]]]]) -> RoundResult:
    """The files of a round of training that has ended. videos: whether each is held out, and its events."""
    found = RoundResult(
        "0" * 64,
        1,
        "run-0",
        ("open", "close"),
        4,
        0.3,
        {"training": 1.0},
        {n: RoundVideo(8.0, held, tuple(RoundEvent(*row) for row in rows)) for n, (held, rows) in videos.items()},
    )
    work = folder / ".punctum-label" / "learning"
    work.mkdir(parents=True)
    (work / FILE).write_text(json.dumps(found.to_record()))
    (work / "trained.json").write_text(json.dumps({"state": found.state, "keys": []}))
    return found


class Page:
    """The labeling page in a browser."""

    def __init__(self, browser: kit.Browser) -> None:
        self.browser = browser
        self.pressed = 0

    def open(self, address: str, size: str = "desktop", *, dark: bool = False) -> None:
        self.browser.open(address, size, dark=dark)
        self.saved()

    def saved(self) -> None:
        """Wait until everything is saved."""
        self.browser.wait("return document.getElementById('saved')?.textContent === 'Saved'")

    def show(self, name: str, *, seconds: float = 60.0) -> None:
        """Open a video by the list, and wait until its first frame is there."""
        script = (
            "const n = [...document.querySelectorAll('#videos button')].find((b) => "
            "b.querySelector('.label').textContent === arguments[0]); if (n) n.click(); return Boolean(n)"
        )
        self.browser.wait(script, name)
        self.ready(name, seconds=seconds)

    def ready(self, name: str, *, seconds: float = 60.0) -> None:
        self.browser.wait(
            f"if (document.getElementById('video-name').textContent !== arguments[0]) return false; {READY}",
            name,
            seconds=seconds,
        )

    def press(self, *keys: str) -> None:
        """Press keys one after the other; they are counted."""
        self.browser.keys(*keys)
        self.pressed += len(keys)

    def chord(self, modifier: str, key: str) -> None:
        """Press a key while another one is held."""
        from selenium.webdriver import ActionChains

        chain = ActionChains(self.browser.driver, duration=0)
        chain.key_down(modifier).send_keys(key).key_up(modifier).perform()
        self.pressed += 2

    def seek(self, time_s: float) -> None:
        script = (
            "const done = arguments[1], v = document.getElementById('video'); v.pause();"
            "v.requestVideoFrameCallback(() => setTimeout(done, 30)); setTimeout(done, 1500);"
            "v.currentTime = arguments[0];"
        )
        self.browser.driver.execute_async_script(script, time_s)

    def wait_for_time(self, time_s: float, *, seconds: float = 60.0) -> None:
        """Wait until playback has reached a media time."""
        script = (
            "const done = arguments[2], v = document.getElementById('video'), until = performance.now() + arguments[1];"
            "const look = () => (v.currentTime >= arguments[0] || performance.now() > until ? done(v.currentTime) : "
            "requestAnimationFrame(look)); look();"
        )
        self.browser.driver.set_script_timeout(seconds + 5)
        at = self.browser.driver.execute_async_script(script, time_s, 1000 * seconds)
        assert at >= time_s, (at, time_s)

    def message(self) -> str:
        return str(self.browser.run("return document.getElementById('say').textContent"))


def until(check: Any, *, seconds: float = 45.0) -> Any:
    """The first true value of `check`."""
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value
