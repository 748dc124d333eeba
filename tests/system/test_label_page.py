"""The labeling page in headless Chromium: how it looks, names of its controls, hosts, touch, odd videos."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")

from tests.helpers.labeling import LabelServer, Page, until
from tests.helpers.video_corpus import encode
from tests.system import browser as kit
from tests.system.label_fixtures import SIZE, copied

pytest_plugins = ["tests.system.label_fixtures"]
pytestmark = pytest.mark.slow

NASTY = "</script><img src=x onerror=\"document.title='broken'\">"


# --- the page


@pytest.fixture(scope="module")
def shown(clips, tmp_path_factory) -> Iterator[LabelServer]:
    """A folder with hostile names, several classes, clicks of two annotators and notes."""
    folder = Path(shutil.copytree(clips, tmp_path_factory.mktemp("shown") / "my-videos"))
    (folder / "a.mp4").rename(folder / f"{NASTY.replace('/', '_')}.mp4")
    (folder / "points.csv").write_text(
        "class,video_id,time_s,annotator,note\n"
        f'"{NASTY.replace(chr(34), chr(34) * 2)}",c,1,ann,"{NASTY.replace(chr(34), chr(34) * 2)}"\n'
        f"open,c,2,ben,\n{'very-long-class-name' * 4},c,3,ann,\n"
    )
    server = LabelServer(folder, "--annotator", "ann")
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", kit.SIZES)
def test_the_page_fits_and_can_be_read(shown, browser, size, dark):
    page = Page(browser)
    page.open(shown.address, size, dark=dark)
    page.show("c")
    browser.run("document.querySelector('#clicks button').click()")
    browser.wait("return !document.getElementById('selected').hidden")
    width = kit.SIZES[size][0]
    assert browser.run("return [document.documentElement.scrollWidth, window.innerWidth]") == [width, width]
    outside = (
        "return [...document.querySelectorAll('body *')].filter((n) => !n.closest('dialog, .scroll, ol') && "
        "n.getClientRects().length && n.getBoundingClientRect().right > innerWidth + 0.5)"
        ".map((n) => n.outerHTML.slice(0, 80))"
    )
    assert browser.run(outside) == []
    seen, bad = browser.run(kit.CONTRAST)
    assert seen > 30
    assert bad == []
    small = (
        "return [...document.querySelectorAll('button, input[type=text], select, summary, label:has(input)')]"
        ".filter((n) => n.getClientRects().length && n.getBoundingClientRect().height < 24)"
        ".map((n) => n.outerHTML.slice(0, 80))"
    )
    assert browser.run(small) == []
    assert browser.driver.title != "broken"
    assert browser.complaints() == []


def test_every_control_has_a_name(shown, browser):
    page = Page(browser)
    page.open(shown.address)
    page.show("c")
    browser.run("document.querySelector('#clicks button').click()")
    browser.wait("return !document.getElementById('selected').hidden")
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = {"button", "textbox", "combobox", "slider", "checkbox", "link", "listbox"}
    nameless = [
        node["role"]["value"]
        for node in tree
        if not node.get("ignored")
        and node.get("role", {}).get("value") in controls
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []
    assert len([node for node in tree if node.get("role", {}).get("value") == "button"]) > 15


def test_no_other_host_is_asked(shown, browser):
    page = Page(browser)
    page.open(shown.address)
    page.show("c")
    page.press("?")
    asked = [url for url in browser.requests() if not url.startswith(("data:", "blob:"))]
    assert asked
    assert all(url.startswith(f"http://127.0.0.1:{shown.port}/") for url in asked), asked
    script = "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done('sent'), () => done('refused'))"
    assert browser.driver.execute_async_script(script) == "refused"


def test_touch_clicks_and_drags(clips, serve, browser, tmp_path):
    server = serve(copied(clips, tmp_path), "--classes", "open,close")
    page = Page(browser)
    page.open(server.address, "tablet")
    page.show("c")
    page.seek(2.0)
    box = browser.box(".class")
    browser.touch("touchStart", (box["x"] + 40, box["y"] + 15))
    browser.touch("touchEnd")
    rows = until(lambda: server.rows())
    assert len(rows) == 1
    page.saved()
    line = browser.box("#timeline")
    x, y = line["x"] + line["w"] * float(rows[0]["time_s"]) / 8, line["y"] + 33
    browser.touch("touchStart", (x, y))
    for step in range(1, 8):
        browser.touch("touchMove", (x + 20 * step, y))
    browser.touch("touchEnd")
    moved = until(lambda: server.rows()[0]["time_s"] != rows[0]["time_s"] and server.rows())
    assert float(moved[0]["time_s"]) - float(rows[0]["time_s"]) == pytest.approx(140 / line["w"] * 8, abs=0.1)
    assert moved[0]["clicked_s"] == rows[0]["clicked_s"]
    # two fingers zoom
    whole = browser.run("const d = document.getElementById('timeline').dataset; return d.to - d.from")
    y = line["y"] + 90
    browser.touch("touchStart", (line["x"] + 300, y), (line["x"] + 360, y))
    for apart in (50, 80, 120):
        browser.touch("touchMove", (line["x"] + 330 - apart, y), (line["x"] + 330 + apart, y))
    browser.touch("touchEnd")
    browser.wait(
        "const d = document.getElementById('timeline').dataset; return d.to - d.from < arguments[0]", 0.7 * whole
    )


def test_still_parts_are_skipped(serve, browser, tmp_path):
    folder = tmp_path / "my-videos"
    folder.mkdir()

    def paint(k: int) -> np.ndarray:
        image = np.full((*SIZE, 3), 90, np.uint8)
        if k > 250:
            image[60:160, (4 * k) % 250 : (4 * k) % 250 + 60] = 230
        return image

    encode(folder / "still.mp4", 400, size=SIZE, paint=paint)
    page = Page(browser)
    page.open(serve(folder, "--classes", "open").address)
    page.ready("still")
    browser.driver.execute_async_script(
        "const done = arguments[0]; import('/page/model.js').then((m) => { const look = () => "
        "(m.state.overview?.done ? done() : setTimeout(look, 50)); look(); })"
    )
    began = time.monotonic()
    page.press("s", " ")
    page.wait_for_time(9.0)
    assert time.monotonic() - began < 8  # 9 s without the skip
    page.press("s", "k")


def test_a_video_that_cannot_be_read_is_named(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    (folder / "broken.avi").write_bytes(b"RIFF" + b"\0" * 400)
    page = Page(browser)
    page.open(serve(folder).address)
    browser.run(
        "[...document.querySelectorAll('#videos button')].find((b) => b.textContent.startsWith('broken')).click()"
    )
    text = browser.wait(
        "const n = document.getElementById('wait');"
        "return !n.hidden && !/^(Open|Wait|Conv)/.test(n.textContent) && n.textContent"
    )
    assert "broken.avi" in text
