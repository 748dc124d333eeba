"""Training from the labeling page, in headless Chromium."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")
from punctum.runtime import Bundle

from tests.helpers.labeling import LabelServer, Page, until
from tests.system.label_fixtures import copied

pytest_plugins = ["tests.system.label_fixtures"]
pytestmark = pytest.mark.slow

SMALL = (
    "import punctum.runtime.labeling.learner as learner\n"
    "learner.ROUND = {'locator_steps': 4, 'center_steps': 4}\n"
    "learner.QUIET_S = 0.2"
)


def children_of(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found += [int(p) for p in (task / "children").read_text().split()]
    return found


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def training(server: LabelServer) -> int:
    """The process that trains, once there is one."""
    assert server.process is not None
    pid = server.process.pid
    (child,) = until(lambda: children_of(pid), seconds=30)
    return child


@pytest.fixture
def learned(clips, browser, tmp_path):
    """Serves a folder with clicks in two videos, with small rounds of training."""
    for library in ("torch", "safetensors", "onnxruntime"):
        pytest.importorskip(library, reason="training needs the extra train")
    folder = copied(clips, tmp_path)
    rows = [f"{('open', 'close')[k % 2]},{video},{1 + 1.5 * k},ann" for video in "ab" for k in range(2)]
    (folder / "points.csv").write_text("class,video_id,time_s,annotator\n" + "\n".join(rows) + "\n")
    server = LabelServer(folder, "--annotator", "ann", "--train-after", "5", prelude=SMALL)
    server.start()
    yield server
    browser.driver.get("about:blank")
    server.stop()


def label_one(page: Page) -> None:
    page.show("b")
    page.seek(5.0)
    page.press("1")
    page.saved()


def test_clicks_train_and_the_bundle_is_exported(learned, browser):
    page = Page(browser)
    page.open(learned.address)
    browser.wait("return document.getElementById('learn').textContent === '1 more click until training begins.'")
    label_one(page)
    browser.wait("return !document.getElementById('learn-bar').hidden", seconds=30)
    page.press("2", "z")  # the page answers while it trains
    page.saved()
    before = (learned.folder / "points.csv").read_bytes()
    browser.wait("return document.getElementById('learn').textContent.startsWith('Round 1')", seconds=240)
    assert (learned.folder / "points.csv").read_bytes() == before
    assert {p.name for p in learned.folder.iterdir()} <= {
        *("a.mp4", "b.mp4", "c.mp4", "points.csv", "labeling.json", ".punctum-label"),
    }
    browser.wait("return !document.getElementById('b-outcome').disabled")
    browser.run("document.getElementById('b-outcome').click()")
    browser.wait("return document.getElementById('o-figures').textContent.includes('Precision')")
    pytest.importorskip("onnxscript", reason="exporting needs the extra export")
    browser.run("document.getElementById('o-least').value = 'slider'")
    browser.run("const s = document.getElementById('least'); s.value = 0.42; s.dispatchEvent(new Event('input'))")
    browser.run("document.getElementById('b-export').click()")
    browser.wait("return document.getElementById('o-export').textContent.startsWith('Written')", seconds=120)
    text = browser.run("return document.getElementById('o-export').textContent")
    assert "round 1, minimum score 0.42." in text
    assert not browser.run("return document.getElementById('o-run').hidden")
    bundle = Bundle.load(learned.folder / "bundle")
    assert bundle.manifest.calibration is not None
    assert {each.min_score for each in bundle.manifest.calibration.classes} == {0.42}
    assert bundle.labels == ("close", "open") or bundle.labels == ("open", "close")
    assert bundle.manifest.backbone is not None
    from punctum.runtime.cli import invoke

    result = invoke(["run", str(learned.folder / "bundle"), str(learned.folder / "c.mp4")])
    assert result == 0
    assert browser.complaints() == []


def test_training_that_crashes_is_started_once_more(learned, browser):
    page = Page(browser)
    page.open(learned.address)
    label_one(page)
    for _ in range(2):
        child = training(learned)
        browser.wait("return !document.getElementById('learn-bar').hidden", seconds=30)
        os.kill(child, signal.SIGKILL)
        until(lambda child=child: not alive(child))
    browser.wait("return document.getElementById('learn').textContent.includes('broke off twice')", seconds=30)
    assert learned.process is not None
    assert [p for p in children_of(learned.process.pid) if alive(p)] == []
    assert len(learned.rows()) == 5


def test_a_crash_of_the_server_ends_training_and_loses_nothing(learned, browser):
    page = Page(browser)
    page.open(learned.address)
    label_one(page)
    child = training(learned)
    time.sleep(1.0)
    learned.kill()
    until(lambda: not alive(child), seconds=10)
    assert len(learned.rows()) == 5
    page.open(learned.start())  # trains anew
    browser.wait("return document.getElementById('learn').textContent.startsWith('Round 1')", seconds=240)
    assert len(learned.rows()) == 5


def test_training_ends_with_the_server(learned, browser):
    page = Page(browser)
    page.open(learned.address)
    label_one(page)
    child = training(learned)
    assert Path(f"/proc/{child}/stat").read_text()
    until(lambda: os.getpriority(os.PRIO_PROCESS, child) >= 10 if alive(child) else True)
    assert learned.stop() == 0
    assert not alive(child)
